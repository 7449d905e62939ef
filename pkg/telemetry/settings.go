package telemetry

import (
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"
)

// heeded are the settings of OpenTelemetry that change what the server does. The SDK itself reads
// those of the span processor, the sampler, the limits and the resource.
var heeded = []string{
	"OTEL_SDK_DISABLED", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_PROPAGATORS",
	"OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER",
	"OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_EXPORTER_OTLP_ENDPOINT",
	"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TIMEOUT",
	"OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_EXPORTER_OTLP_CERTIFICATE",
	"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_KEY",
	"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
	"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
	"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
	"OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
	"OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT", "OTEL_BSP_MAX_QUEUE_SIZE",
	"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
	"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_EVENT_COUNT_LIMIT",
	"OTEL_SPAN_LINK_COUNT_LIMIT", "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
	"OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
}

// ignored are the beginnings of names that fleets set for all their programs and that can mean
// nothing here: nothing is pushed but traces, and an operator's injector leaves notes to itself.
var ignored = []string{
	"OTEL_EXPORTER_OTLP_METRICS_", "OTEL_EXPORTER_OTLP_LOGS_", "OTEL_METRIC_EXPORT_",
	"OTEL_METRICS_EXEMPLAR_FILTER", "OTEL_BLRP_", "OTEL_LOGRECORD_", "OTEL_LOG_LEVEL",
	"OTEL_SEMCONV_STABILITY_OPT_IN", "OTEL_RESOURCE_ATTRIBUTES_", "OTEL_NODE_IP", "OTEL_POD_IP",
}

// traceSettings is what the OTEL_ settings say.
type traceSettings struct {
	exports      bool
	propagator   propagation.TextMapPropagator
	withheld     bool // the trace context is not among the propagators
	endpoint     string
	headers      map[string]string
	timeout      time.Duration
	gzip         bool
	roots        *x509.CertPool
	certificates []tls.Certificate
}

// SettingFault is what is wrong with one setting. It never shows the value.
type SettingFault struct{ Name, Text string }

// Error names the setting.
func (f SettingFault) Error() string { return f.Name + ": " + f.Text }

// settingsReader collects what is wrong.
type settingsReader struct {
	environ map[string]string
	faults  []SettingFault
}

// CheckSettings says what is wrong with the OTEL_ settings. A setting that is not heeded is
// refused, unless it is one of those that say nothing about this program.
func CheckSettings(environ map[string]string) []SettingFault {
	_, faults := readTraceSettings(environ)
	return faults
}

func readTraceSettings(environ map[string]string) (traceSettings, []SettingFault) {
	r := &settingsReader{environ: environ}
	for _, name := range slices.Sorted(maps.Keys(environ)) {
		if strings.HasPrefix(name, "OTEL_") && environ[name] != "" &&
			!slices.Contains(heeded, name) &&
			!slices.ContainsFunc(ignored, func(start string) bool { return strings.HasPrefix(name, start) }) {
			r.fault(name, "is not heeded here")
		}
	}
	s := traceSettings{propagator: r.propagator(), timeout: r.timeout()}
	s.withheld = s.propagator != nil && !slices.Contains(s.propagator.Fields(), "traceparent")
	endpoint := r.endpoint()
	r.oneOf(
		"OTEL_METRICS_EXPORTER",
		"metrics are read at /metrics on the admin listener",
		"",
		"none",
		"prometheus",
	)
	r.oneOf("OTEL_LOGS_EXPORTER", "the log goes to the standard error", "", "none", "console")
	r.oneOf(
		"OTEL_TRACES_SAMPLER",
		"",
		"",
		"always_on",
		"always_off",
		"traceidratio",
		"parentbased_always_on",
		"parentbased_always_off",
		"parentbased_traceidratio",
	)
	if argument := environ["OTEL_TRACES_SAMPLER_ARG"]; argument != "" {
		if ratio, err := strconv.ParseFloat(argument, 64); err != nil ||
			!(ratio >= 0 && ratio <= 1) {
			r.fault("OTEL_TRACES_SAMPLER_ARG", "must be from 0 to 1")
		}
	}
	r.numbers()
	disabled := r.oneOf("OTEL_SDK_DISABLED", "", "", "true", "false") == "true"
	exporter := r.oneOf(
		"OTEL_TRACES_EXPORTER",
		"only otlp and none are built in",
		"",
		"otlp",
		"none",
	)
	s.exports = !disabled && (exporter == "otlp" || exporter == "" && endpoint != "")
	if s.endpoint = endpoint; endpoint == "" {
		s.endpoint = "http://localhost:4318/v1/traces"
	}
	protocol, name := r.exporter("PROTOCOL")
	if protocol != "" && protocol != "http/protobuf" {
		r.fault(name, "only http/protobuf is built in; collectors take it on port 4318")
	}
	compression, name := r.exporter("COMPRESSION")
	if s.gzip = compression == "gzip"; !s.gzip && compression != "" && compression != "none" {
		r.fault(name, "must be gzip or none")
	}
	s.headers = r.headers()
	r.certificates(&s)
	return s, r.faults
}

func (r *settingsReader) fault(name, text string) {
	r.faults = append(r.faults, SettingFault{name, text})
}

func (r *settingsReader) oneOf(name, hint string, allowed ...string) string {
	value := strings.ToLower(r.environ[name])
	if !slices.Contains(allowed, value) {
		if hint != "" {
			hint = ": " + hint
		}
		r.fault(name, "must be one of "+strings.Join(allowed[1:], ", ")+hint)
	}
	return value
}

// exporter reads a setting of the exporter: that of traces goes before that of all signals. The
// name is of the one that counts.
func (r *settingsReader) exporter(what string) (value, name string) {
	for _, start := range []string{"OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"} {
		if name = start + what; r.environ[name] != "" {
			return r.environ[name], name
		}
	}
	return "", name
}

// endpoint is the address of the collector, "" where none is set.
func (r *settingsReader) endpoint() string {
	text, name := r.exporter("ENDPOINT")
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		r.fault(name, "must be an http or https URL")
		return ""
	}
	if name == "OTEL_EXPORTER_OTLP_ENDPOINT" {
		return u.JoinPath("v1", "traces").String()
	}
	return u.String()
}

const exportWithin = 10 * time.Second

func (r *settingsReader) timeout() time.Duration {
	text, name := r.exporter("TIMEOUT")
	if text == "" {
		return exportWithin
	}
	milliseconds, err := strconv.ParseUint(text, 10, 31)
	if err != nil || milliseconds == 0 {
		r.fault(name, "must be milliseconds, above 0")
		return exportWithin
	}
	return time.Duration(milliseconds) * time.Millisecond
}

func (r *settingsReader) headers() map[string]string {
	text, name := r.exporter("HEADERS")
	headers := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		key, value, found := strings.Cut(part, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if key = strings.TrimSpace(key); !found || key == "" || err != nil ||
			strings.ContainsAny(key+value, "\r\n\x00") {
			r.fault(name, "must be name=value,name=value, percent-encoded")
			return nil
		}
		headers[key] = value
	}
	return headers
}

// numbers are those that the SDK reads; it would take its own in place of what cannot be read.
func (r *settingsReader) numbers() {
	for _, name := range heeded {
		if value := r.environ[name]; value != "" &&
			(strings.HasPrefix(name, "OTEL_BSP_") || strings.HasSuffix(name, "_LIMIT")) {
			if _, err := strconv.ParseInt(value, 10, 32); err != nil {
				r.fault(name, "must be a number")
			}
		}
	}
}

func (r *settingsReader) propagator() propagation.TextMapPropagator {
	text := r.environ["OTEL_PROPAGATORS"]
	if text == "" {
		text = "tracecontext,baggage"
	}
	var all []propagation.TextMapPropagator
	for part := range strings.SplitSeq(text, ",") {
		switch strings.TrimSpace(part) {
		case "tracecontext":
			all = append(all, propagation.TraceContext{})
		case "baggage":
			all = append(all, propagation.Baggage{})
		case "none":
		default:
			r.fault("OTEL_PROPAGATORS", "only tracecontext, baggage and none are built in")
			return nil
		}
	}
	return propagation.NewCompositeTextMapPropagator(all...)
}

func (r *settingsReader) certificates(s *traceSettings) {
	if path, name := r.exporter("CERTIFICATE"); path != "" {
		pem, err := os.ReadFile(path)
		if s.roots = x509.NewCertPool(); err != nil || !s.roots.AppendCertsFromPEM(pem) {
			r.fault(name, "is not a file of certificates")
		}
	}
	certificate, name := r.exporter("CLIENT_CERTIFICATE")
	key, keyName := r.exporter("CLIENT_KEY")
	switch {
	case certificate == "" && key == "":
	case certificate == "" || key == "":
		r.fault(name, "goes with "+keyName)
	default:
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			r.fault(name, "is not a certificate that fits "+keyName)
		}
		s.certificates = []tls.Certificate{pair}
	}
}
