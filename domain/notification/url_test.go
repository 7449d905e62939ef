package notification_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/errs"
	"florin/domain/notification"
)

// TestS34_URLsThatWebhooksMayNotGoTo: each is refused when private addresses are not allowed; the second column says what
// becomes of it when they are.
func TestS34_URLsThatWebhooksMayNotGoTo(t *testing.T) {
	t.Parallel()
	const refused, allowed = false, true
	for _, c := range []struct {
		url     string
		private bool
	}{
		{"", refused},
		{"example.com/hook", refused},
		{"//example.com/hook", refused},
		{"https:example.com", refused},
		{"https://", refused},
		{"https:///hook", refused},
		{"ftp://example.com/hook", refused},
		{"file:///etc/passwd", refused},
		{"gopher://example.com/", refused},
		{"https://example.com/\r\nX: y", refused},
		{"https://example.com/ a", refused},
		{"https://exa mple.com/", refused},
		{"https://example.com\\@127.0.0.1/", refused},
		{"https://пример.example/", refused},
		{"https://%6c%6f%63alhost/", refused},
		{"http://example.com/hook", allowed},

		{"https://user@example.com/hook", refused},
		{"https://user:password@example.com/hook", refused},
		{"https://example.com/hook#there", refused},
		{"https://example.com/hook#", refused},
		{"https://example.com:/hook", refused},
		{"https://example.com:0/hook", refused},
		{"https://example.com:22/hook", allowed},
		{"https://example.com:8080/hook", allowed},
		{"https://example.com:99999999/hook", refused},

		{"https://localhost/hook", allowed},
		{"https://LOCALHOST./hook", allowed},
		{"https://hook.localhost/", allowed},
		{"https://printer.local/", allowed},
		{"https://db.internal/", allowed},
		{"https://metadata.google.internal/", allowed},
		{"https://router.home.arpa/", allowed},
		{"https://intranet/", allowed},

		{"https://127.0.0.1/", allowed},
		{"https://127.8.9.10/", allowed},
		{"https://10.1.2.3/", allowed},
		{"https://172.16.0.1/", allowed},
		{"https://172.31.255.255/", allowed},
		{"https://192.168.1.1/", allowed},
		{"https://100.64.0.1/", allowed},
		{"https://100.127.255.254/", allowed},
		{"https://[::1]/", allowed},
		{"https://[fc00::1]/", allowed},
		{"https://[fd12:3456::1]/", allowed},

		{"https://0.0.0.0/", refused},
		{"https://0.1.2.3/", refused},
		{"https://169.254.1.1/", refused},
		{"https://169.254.169.254/latest/meta-data/", refused},
		{"https://168.63.129.16/", refused},
		{"https://[fd00:ec2::254]/", refused},
		{"https://192.0.0.1/", refused},
		{"https://192.0.2.1/", refused},
		{"https://198.18.0.1/", refused},
		{"https://198.51.100.1/", refused},
		{"https://203.0.113.1/", refused},
		{"https://224.0.0.1/", refused},
		{"https://239.255.255.255/", refused},
		{"https://240.0.0.1/", refused},
		{"https://255.255.255.255/", refused},
		{"https://[::]/", refused},
		{"https://[fe80::1]/", refused},
		{"https://[fe80::1%25eth0]/", refused},
		{"https://[ff02::1]/", refused},
		{"https://[2001:db8::1]/", refused},
		{"https://[2001::1]/", refused},
		{"https://[2002:7f00:1::]/", refused},

		{"https://[::ffff:127.0.0.1]/", allowed},
		{"https://[::ffff:7f00:1]/", allowed},
		{"https://[::ffff:169.254.169.254]/", refused},
		{"https://[::127.0.0.1]/", refused},
		{"https://[64:ff9b::7f00:1]/", refused},
		{"https://[64:ff9b::a9fe:a9fe]/", refused},
		{"https://[64:ff9b:1::1]/", refused},

		{"https://2130706433/", refused},
		{"https://0x7f000001/", refused},
		{"https://0x7f.0.0.1/", refused},
		{"https://0177.0.0.1/", refused},
		{"https://127.1/", refused},
		{"https://127.0.0.1./", refused},
		{"https://127.0.0.0x1/", refused},
		{"https://017700000001/", refused},
		{"https://example.0x7f/", refused},
		{"https://0x/", refused},
		{"https://127.0.0.256/", refused},
	} {
		_, err := notification.ParseURL(c.url, false)
		assert.Equal(t, errs.Refused, errs.KindOf(err), "%q", c.url)
		_, err = notification.ParseURL(c.url, true)
		if c.private {
			assert.NoError(t, err, "%q where private is allowed", c.url)
		} else {
			assert.Equal(t, errs.Refused, errs.KindOf(err), "%q where private is allowed", c.url)
		}
	}
}

func TestURLsThatWebhooksMayGoTo(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"https://example.com", "https://example.com/", "https://Hooks.Example.COM/a/b?c=d&e=%20", "https://example.com:443/x",
		"https://example.com:8443/x", "https://xn--e1afmkfd.xn--p1ai/", "https://1.1.1.1/hook", "https://[2606:4700:4700::1111]/hook",
		"https://example.com./hook", "https://a_b.example.com/", "https://172.32.0.1/", "https://100.128.0.1/", "https://11.0.0.1/",
		"https://1.example.com/", "https://localhost.example.com/", "https://notinternal.example/",
	} {
		u, err := notification.ParseURL(text, false)
		require.NoError(t, err, text)
		assert.Equal(t, text, u.String(), "it is sent to as it was given")
	}
}

func TestS34_AddressesAtConnectTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct{ public, private bool }{
		"127.0.0.1": {false, true}, "::1": {false, true}, "10.0.0.1": {false, true}, "::ffff:10.0.0.1": {false, true}, "fd00::1": {false, true},
		"169.254.169.254": {}, "::ffff:169.254.169.254": {}, "fe80::1%lo": {}, "0.0.0.0": {}, "::": {}, "224.0.0.1": {}, "ff02::1": {},
		"64:ff9b::7f00:1": {}, "::7f00:1": {}, "fd00:ec2::254": {}, "2001:db8::1": {},
		"1.1.1.1": {true, true}, "2606:4700::1111": {true, true}, "::ffff:1.1.1.1": {true, true},
	} {
		address := netip.MustParseAddr(text)
		assert.Equal(t, want.public, notification.CheckAddress(address, false) == nil, text)
		assert.Equal(t, want.private, notification.CheckAddress(address, true) == nil, "%s where private is allowed", text)
	}
	assert.ErrorIs(t, notification.CheckAddress(netip.Addr{}, true), notification.ErrAddressNotAllowed)
}

// FuzzURL: whatever is accepted without private addresses is https to a public name or address, as the standard library, which
// will dial it, reads it.
func FuzzURL(f *testing.F) {
	f.Add("https://example.com/hook")
	f.Add("https://[::ffff:7f00:1]:8443/?a=b")
	f.Add("https://0x7f.1/")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := notification.ParseURL(text, false)
		if err != nil {
			return
		}
		host := hostOf(t, u.String())
		if address, err := netip.ParseAddr(host); err == nil {
			require.NoError(t, notification.CheckAddress(address, false))
		}
	})
}
