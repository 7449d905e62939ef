package redis_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/stretchr/testify/require"

	"florin/infra/eventbus/redis"
	"florin/pkg/eventbus"
	"florin/pkg/eventbus/eventbustest"
)

// certificate is one for 127.0.0.1, and the file of what signed it.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses: []net.IP{
			net.IPv4(127, 0, 0, 1),
		},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	made, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(
		t,
		os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made}), 0o600),
	)
	return tls.Certificate{Certificate: [][]byte{made}, PrivateKey: key}, path
}

// TestF145_TLSAndPasswords: the connection is what the URL says, and nothing else passes.
func TestF145_TLSAndPasswords(t *testing.T) {
	pair, ca := certificate(t)
	broker, err := miniredis.RunTLS(&tls.Config{Certificates: []tls.Certificate{pair}})
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	broker.RequireUserAuth("florin", "p@ss")
	event := eventbustest.Events(1)[0]
	at := "@" + broker.Addr() + "/events?tls=true"
	require.NoError(
		t,
		openAt(
			t,
			"redis://florin:p%40ss"+at+"&ca="+ca,
			nil,
		).PublishPaymentEvent(t.Context(), event),
	)
	for name, url := range map[string]string{
		"other password": "redis://florin:other" + at + "&ca=" + ca,
		"unknown signer": "redis://florin:p%40ss" + at,
		"no TLS":         "redis://florin:p%40ss@" + broker.Addr() + "/events",
	} {
		t.Run(name, func(t *testing.T) {
			err := openAt(t, url, nil).PublishPaymentEvent(t.Context(), event)
			require.ErrorIs(t, err, eventbus.ErrAway)
			require.NotContains(t, err.Error(), "p@ss")
		})
	}
}

// TestF145_SilentBrokerIsGivenUp: one that accepts and never answers holds nobody beyond their
// deadline.
func TestF145_SilentBrokerIsGivenUp(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	for name, url := range map[string]string{
		"plain":    "redis://" + l.Addr().String() + "/events",
		"password": "redis://:secret@" + l.Addr().String() + "/events",
		"TLS":      "redis://" + l.Addr().String() + "/events?tls=true",
		"sentinel": "redis://" + l.Addr().String() + "/events?sentinel=main",
	} {
		t.Run(name, func(t *testing.T) {
			bus := openAt(t, url, nil)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			began := time.Now()
			require.ErrorIs(
				t,
				bus.PublishPaymentEvent(ctx, eventbustest.Events(1)[0]),
				eventbus.ErrAway,
			)
			require.ErrorIs(t, bus.Ping(ctx), eventbus.ErrAway)
			require.Less(t, time.Since(began), 2*time.Second)
		})
	}
}

// TestF145_SentinelsLeadToTheMaster: what was the master and is none any more gets nothing.
func TestF145_SentinelsLeadToTheMaster(t *testing.T) {
	first, second := miniredis.RunT(t), miniredis.RunT(t)
	var master atomic.Pointer[miniredis.Miniredis]
	var known atomic.Pointer[miniredis.Miniredis] // to the sentinel
	master.Store(first)
	known.Store(first)
	for _, m := range []*miniredis.Miniredis{first, second} {
		require.NoError(t, m.Server().Register("ROLE", func(c *server.Peer, _ string, _ []string) {
			c.WriteLen(1)
			if master.Load() == m {
				c.WriteBulk("master")
			} else {
				c.WriteBulk("slave")
			}
		}))
	}
	sentinel, err := server.NewServer("127.0.0.1:0")
	require.NoError(t, err)
	defer sentinel.Close()
	require.NoError(t, sentinel.Register("SENTINEL", func(c *server.Peer, _ string, _ []string) {
		c.WriteLen(2)
		c.WriteBulk(known.Load().Host())
		c.WriteBulk(known.Load().Port())
	}))
	brokers, err := eventbus.ParseBrokers(
		"redis://127.0.0.1:1," + sentinel.Addr().String() + "/events?sentinel=main",
	)
	require.NoError(t, err)
	bus, err := redis.Open(brokers[0], eventbus.Options{})
	require.NoError(t, err)
	defer bus.Close()
	event := eventbustest.Events(1)[0]
	require.NoError(t, bus.PublishPaymentEvent(t.Context(), event))
	require.True(t, first.Exists("events"))
	master.Store(second)
	require.ErrorIs(
		t,
		bus.PublishPaymentEvent(t.Context(), event),
		eventbus.ErrAway,
		"the sentinels do not know it yet",
	)
	known.Store(second)
	require.NoError(t, bus.PublishPaymentEvent(t.Context(), event))
	require.True(t, second.Exists("events"))
}
