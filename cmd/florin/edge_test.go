package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/pkg/telemetry"
)

// certificate makes a certificate for loopback that signs itself, and returns its files and a pool that trusts it.
func certificate(t *testing.T, dir, name string) (cert, key string, trust *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	trust = x509.NewCertPool()
	pemCert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	require.True(t, trust.AppendCertsFromPEM(pemCert))
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(cert, pemCert, 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), 0o600))
	return cert, key, trust
}

func TestS39_HTTPSHereWithABankThatStillReachesUs(t *testing.T) {
	dir := t.TempDir()
	cert, key, trust := certificate(t, dir, "first")
	app := startApp(t, map[string]string{"TLS_CERT": cert, "TLS_KEY": key})
	require.True(t, strings.HasPrefix(app.PublicURL(), "https://"))
	c := newDemoClient(app.PublicURL())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}}
	c.http.Transport = transport
	t.Cleanup(transport.CloseIdleConnections)
	teller := teller{client: c, out: t.Output()}
	require.NoError(t, teller.signUp(t.Context(), "ada", "a-good-password-42"))
	var deposit transactionView
	require.NoError(t, teller.money(t.Context(), "deposit", openAccount(t, c, "EUR").ID, "deposit",
		object{"amount": "5.00", "currency": "EUR", "money_source": "card"}, &deposit))
	assert.Equal(t, "completed", deposit.Status)

	old := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}}
	_, err := (&http.Client{Transport: old}).Get(app.PublicURL() + "/healthz")
	require.ErrorContains(t, err, "protocol version", "TLS below 1.2 is refused")

	// A renewed certificate is in force after a reload, without a restart.
	_, _, renewed := certificate(t, dir, "second")
	require.NoError(t, app.Reload(app.Config))
	fresh := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: renewed}, DisableKeepAlives: true}
	response, err := (&http.Client{Transport: fresh}).Get(app.PublicURL() + "/healthz")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
}

func TestRequestsAreLoggedWithTheirTraceAndCounted(t *testing.T) {
	var out notifying
	app := buildApp(t, nil, Options{Log: telemetry.NewLogger(out.init(), slog.LevelInfo)})
	app.Start()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, app.PublicURL()+"/account/nonsense?token=c4nary", nil)
	require.NoError(t, err)
	request.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	request.Header.Set("X-Request-Id", "r-77")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)

	var record map[string]any
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, `"msg":"request"`) && strings.Contains(line, "r-77") {
			require.NoError(t, json.Unmarshal([]byte(line), &record))
		}
	}
	require.NotNil(t, record, out.String())
	assert.Equal(t, "0af7651916cd43dd8448eb211c80319c", record["trace_id"])
	assert.Equal(t, "/account/:id", record["route"])
	assert.NotContains(t, out.String(), "c4nary")

	_, unknown := fetch(t, app.PublicURL()+"/nowhere/at/all")
	assert.Contains(t, unknown, "route_not_found")
	_, metrics := fetch(t, app.AdminURL()+"/metrics")
	for _, line := range []string{`florin_http_requests_total{method="GET",route="/account/:id",status="401"} 1`,
		`florin_http_requests_total{method="GET",route="none",status="404"} 1`, `florin_errors_total{code="http_404"} 1`,
		`florin_errors_total{code="unauthenticated"} 1`} {
		assert.Contains(t, metrics, line)
	}
	assert.NotContains(t, metrics, "nowhere")
}
