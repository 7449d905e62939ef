package eventbus

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Broker is where a broker is, as EVENT_BUS_URL says it: scheme://user:password@host:port,host:port/name?option=value.
type Broker struct {
	Scheme         string
	User, Password string
	Hosts          []string // host:port; never empty
	// Name is the subject, topic or stream.
	Name    string
	options url.Values
}

// SubscriberName is what the sink is called: it stays the same when hosts come and go.
func (b Broker) SubscriberName() string { return b.Scheme + ":" + b.Name }

// String shows no password.
func (b Broker) String() string {
	return b.Scheme + "://" + strings.Join(b.Hosts, ",") + "/" + b.Name
}

// brokerSchemes gives each scheme its default port.
var brokerSchemes = map[string]string{"nats": "4222", "kafka": "9092", "redis": "6379"}

var brokerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}$`)

// ParseBrokers reads a comma-separated list of broker URLs. Commas also separate the hosts of one URL: a part with a
// scheme begins the next URL. No error shows a password.
func ParseBrokers(list string) ([]Broker, error) {
	var each []string
	for _, part := range strings.Split(list, ",") {
		part = strings.TrimSpace(part)
		if strings.Contains(part, "://") || len(each) == 0 {
			each = append(each, part)
		} else {
			each[len(each)-1] += "," + part
		}
	}
	var brokers []Broker
	for i, text := range each {
		broker, err := parseBroker(text)
		if err != nil {
			return nil, fmt.Errorf("number %d: %w", i+1, err)
		}
		if slices.ContainsFunc(brokers, func(b Broker) bool { return b.SubscriberName() == broker.SubscriberName() }) {
			return nil, fmt.Errorf("number %d: %s twice", i+1, broker.SubscriberName())
		}
		brokers = append(brokers, broker)
	}
	return brokers, nil
}

func parseBroker(text string) (Broker, error) {
	scheme, rest, found := strings.Cut(text, "://")
	port, known := brokerSchemes[scheme]
	if !found || !known {
		return Broker{}, errors.New("not a URL like nats://host/subject, kafka://host/topic or redis://host/stream")
	}
	b := Broker{Scheme: scheme}
	rest, query, _ := strings.Cut(rest, "?")
	authority, name, _ := strings.Cut(rest, "/")
	if b.Name = name; !brokerName.MatchString(name) {
		return Broker{}, errors.New("the name behind the hosts must be letters, digits and _ . : - only")
	}
	hosts := authority
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		hosts = authority[at+1:]
		user, password, _ := strings.Cut(authority[:at], ":")
		var errUser, errPassword error
		b.User, errUser = url.PathUnescape(user)
		b.Password, errPassword = url.PathUnescape(password)
		if errUser != nil || errPassword != nil {
			return Broker{}, errors.New("user and password must be percent-encoded")
		}
	}
	for _, host := range strings.Split(hosts, ",") {
		address, err := withPort(host, port)
		if err != nil {
			return Broker{}, err
		}
		b.Hosts = append(b.Hosts, address)
	}
	var err error
	if b.options, err = url.ParseQuery(query); err != nil {
		return Broker{}, errors.New("the options behind ? cannot be read")
	}
	return b, nil
}

func withPort(host, port string) (string, error) {
	name, given := host, port
	if strings.LastIndex(host, ":") > strings.LastIndex(host, "]") {
		var err error
		if name, given, err = net.SplitHostPort(host); err != nil {
			return "", fmt.Errorf("%q is not host or host:port", host)
		}
	}
	number, err := strconv.ParseUint(given, 10, 16)
	if name = strings.Trim(name, "[]"); name == "" || err != nil || number == 0 || strings.ContainsAny(name, " /@?#") {
		return "", fmt.Errorf("%q is not host or host:port", host)
	}
	return net.JoinHostPort(name, given), nil
}

// BrokerOptions reads the options of one URL and collects what is wrong with them.
type BrokerOptions struct {
	values url.Values
	faults []error
}

// Options begins to read.
func (b Broker) Options() *BrokerOptions {
	left := make(url.Values, len(b.options))
	for name, values := range b.options {
		left[name] = values
	}
	return &BrokerOptions{values: left}
}

func (o *BrokerOptions) take(name string) (string, bool) {
	values, given := o.values[name]
	delete(o.values, name)
	if len(values) > 1 {
		o.fault(name, "given twice")
	}
	if !given {
		return "", false
	}
	return values[0], true
}

func (o *BrokerOptions) fault(name, text string) {
	o.faults = append(o.faults, fmt.Errorf("option %s: %s", name, text))
}

// Text is an option's text, fallback where it is not given.
func (o *BrokerOptions) Text(name, fallback string) string {
	if value, given := o.take(name); given {
		return value
	}
	return fallback
}

// OneOf is Text of which only some are allowed.
func (o *BrokerOptions) OneOf(name string, allowed ...string) string {
	value := o.Text(name, allowed[0])
	if !slices.Contains(allowed, value) {
		o.fault(name, "not one of: "+strings.Join(allowed, ", "))
	}
	return value
}

// Bool is true or false.
func (o *BrokerOptions) Bool(name string) bool { return o.OneOf(name, "false", "true") == "true" }

// Count is a whole number of at least 1, 0 where it is not given.
func (o *BrokerOptions) Count(name string) int {
	value, given := o.take(name)
	if !given {
		return 0
	}
	n, err := strconv.ParseUint(value, 10, 15)
	if err != nil || n == 0 {
		o.fault(name, "not a whole number of at least 1")
	}
	return int(n)
}

// Duration is at least a minute.
func (o *BrokerOptions) Duration(name string, fallback time.Duration) time.Duration {
	value, given := o.take(name)
	if !given {
		return fallback
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < time.Minute {
		o.fault(name, "not a duration like 168h of at least a minute")
	}
	return d
}

// TLS is how the connection is secured: tls=true with the system's authorities, or those of the file ca; cert and key are
// files of the client's own certificate. It is nil where none of them is given.
func (o *BrokerOptions) TLS() *tls.Config {
	on, ca, cert, key := o.Bool("tls"), o.Text("ca", ""), o.Text("cert", ""), o.Text("key", "")
	if !on && ca == "" && cert == "" && key == "" {
		return nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		text, err := os.ReadFile(ca)
		config.RootCAs = x509.NewCertPool()
		if err != nil || !config.RootCAs.AppendCertsFromPEM(text) {
			o.fault("ca", "no certificates in "+ca)
		}
	}
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			o.fault("cert", err.Error())
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}

// File is the path of a file that must be there, "" where it is not given.
func (o *BrokerOptions) File(name string) string {
	path := o.Text(name, "")
	if path != "" {
		if _, err := os.Stat(path); err != nil {
			o.fault(name, err.Error())
		}
	}
	return path
}

// Err is all faults, and every option that nobody has asked for.
func (o *BrokerOptions) Err() error {
	for name := range o.values {
		o.fault(name, "not known")
	}
	return errors.Join(o.faults...)
}
