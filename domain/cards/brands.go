package cards

// brand is the numbers that begin with first to last, which have as many digits as each other, and
// the lengths they have.
type brand struct {
	first, last int
	digits      int
	lengths     []int
}

// great are the brands whose cards have a number of one length, or of two, printed on them.
var great = []brand{
	{4, 4, 1, []int{16}},                               // Visa
	{51, 55, 2, []int{16}}, {2221, 2720, 4, []int{16}}, // Mastercard
	{34, 34, 2, []int{15}}, {37, 37, 2, []int{15}}, // American Express
	{6011, 6011, 4, []int{16}}, {644, 659, 3, []int{16}}, // Discover
	{300, 305, 3, []int{14, 16}}, {3095, 3095, 4, []int{14, 16}}, // Diners Club
	{36, 36, 2, []int{14, 16}}, {38, 39, 2, []int{14, 16}}, // Diners Club
	{3528, 3589, 4, []int{16}},                             // JCB
	{2200, 2204, 4, []int{16}}, {9792, 9792, 4, []int{16}}, // Mir, Troy
	{62, 62, 2, []int{16}}, {81, 81, 2, []int{16}}, {60, 60, 2, []int{16}}, // UnionPay, RuPay
	{82, 82, 2, []int{16}}, {508, 508, 3, []int{16}}, {353, 353, 3, []int{16}}, // RuPay
}

// brands are all of them, with the lengths that their rules allow.
var brands = append([]brand{
	{4, 4, 1, []int{13, 16, 19}},                                                   // Visa
	{3528, 3589, 4, []int{16, 17, 18, 19}}, {2200, 2204, 4, []int{16, 17, 18, 19}}, // JCB, Mir
	{62, 62, 2, []int{16, 17, 18, 19}}, {81, 81, 2, []int{16, 17, 18, 19}}, // UnionPay
	{50, 50, 2, []int{13, 14, 15, 16, 17, 18, 19}}, {56, 69, 2, []int{13, 14, 15, 16, 17, 18, 19}}, // Maestro, Discover
}, great...)

func (n number) ofBrand(of []brand) bool {
	for _, b := range of {
		prefix := 0
		for _, digit := range n[:b.digits] {
			prefix = prefix*10 + int(digit)
		}
		if prefix < b.first || prefix > b.last {
			continue
		}
		for _, length := range b.lengths {
			if length == len(n) {
				return true
			}
		}
	}
	return false
}
