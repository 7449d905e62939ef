// Package currency knows the currencies of ISO 4217: code, number, minor digits and English name. The
// list (iso4217.go) is part of the program, so that the digits of a stored amount never depend on a file.
package currency

import (
	"fmt"

	"florin/domain/errs"
)

// Currency is one active ISO 4217 currency. It is one byte, comparable and fit for a map key. The zero
// value is no currency: its code is empty.
type Currency struct {
	// row is the index in table, which starts with the row of no currency.
	row uint8
}

// iso is one row of the list.
type iso struct {
	code    string
	numeric int
	digits  int
	name    string
}

// rowOf finds a code's row in table.
var rowOf = indexTable()

func indexTable() map[string]uint8 {
	index := make(map[string]uint8, len(table))
	for i := 1; i < len(table); i++ {
		index[table[i].code] = uint8(i)
	}
	return index
}

// Currencies that the program or its tests speak of by name; all others come from Parse or All.
var (
	AED = MustParse("AED")
	AUD = MustParse("AUD")
	BHD = MustParse("BHD")
	BRL = MustParse("BRL")
	CAD = MustParse("CAD")
	CHF = MustParse("CHF")
	CLF = MustParse("CLF")
	CLP = MustParse("CLP")
	CNY = MustParse("CNY")
	CZK = MustParse("CZK")
	DKK = MustParse("DKK")
	EUR = MustParse("EUR")
	GBP = MustParse("GBP")
	HKD = MustParse("HKD")
	HUF = MustParse("HUF")
	IDR = MustParse("IDR")
	ILS = MustParse("ILS")
	INR = MustParse("INR")
	ISK = MustParse("ISK")
	JOD = MustParse("JOD")
	JPY = MustParse("JPY")
	KRW = MustParse("KRW")
	KWD = MustParse("KWD")
	MXN = MustParse("MXN")
	MYR = MustParse("MYR")
	NOK = MustParse("NOK")
	NZD = MustParse("NZD")
	OMR = MustParse("OMR")
	PHP = MustParse("PHP")
	PLN = MustParse("PLN")
	RON = MustParse("RON")
	SAR = MustParse("SAR")
	SEK = MustParse("SEK")
	SGD = MustParse("SGD")
	THB = MustParse("THB")
	TND = MustParse("TND")
	TRY = MustParse("TRY")
	TWD = MustParse("TWD")
	UGX = MustParse("UGX")
	USD = MustParse("USD")
	UYW = MustParse("UYW")
	VND = MustParse("VND")
	ZAR = MustParse("ZAR")
)

// Parse returns the active currency of an alphabetic code in upper case ("EUR"). Anything else, lower case
// and withdrawn codes included, is an *errs.Error, Refused, with the code unknown_currency.
func Parse(code string) (Currency, error) {
	row, ok := rowOf[code]
	if !ok {
		return Currency{}, errs.New(errs.Refused, "unknown_currency", unknown(code))
	}
	return Currency{row: row}, nil
}

// unknown is the message about a code that is not in the list; it repeats no more of a stranger's text
// than a code is long.
func unknown(code string) string {
	if len(code) == 3 {
		return fmt.Sprintf("%q is not an active ISO 4217 currency code", code)
	}
	return `a currency is an active ISO 4217 code of three upper-case letters, such as "EUR"`
}

// MustParse is Parse for codes written in the program; it panics on any other.
func MustParse(code string) Currency {
	c, err := Parse(code)
	if err != nil {
		panic(err)
	}
	return c
}

// All returns every active currency, sorted by code. The slice is the caller's own.
func All() []Currency {
	all := make([]Currency, 0, len(table)-1)
	for i := 1; i < len(table); i++ {
		all = append(all, Currency{row: uint8(i)})
	}
	return all
}

// Code is the alphabetic code ("EUR"); empty for no currency.
func (c Currency) Code() string { return table[c.row].code }

// Numeric is the ISO number, printed with three digits by custom (8 is "008"); 0 for no currency.
func (c Currency) Numeric() int { return table[c.row].numeric }

// Name is the English name in the ISO list; empty for no currency.
func (c Currency) Name() string { return table[c.row].name }

// Digits is the number of decimal digits of the minor unit, 0 to 4. A payment provider may count
// otherwise (ISK, UGX): that is its adapter's affair.
func (c Currency) Digits() int { return table[c.row].digits }

// IsZero says that this is no currency.
func (c Currency) IsZero() bool { return c.row == 0 }

// String is the code.
func (c Currency) String() string { return c.Code() }
