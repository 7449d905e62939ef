package eventbus_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/pkg/eventbus"
)

func TestParseBrokersTellsHostsFromURLs(t *testing.T) {
	brokers, err := eventbus.ParseBrokers("nats://a,b/florin.events, kafka://user:p%2Cw%40@a:1,[::1]/topic?tls=true,redis://a/stream")
	require.NoError(t, err)
	require.Len(t, brokers, 3)
	assert.Equal(t, "nats:florin.events", brokers[0].SubscriberName())
	assert.Equal(t, []string{"a:4222", "b:4222"}, brokers[0].Hosts)
	assert.Equal(t, []string{"a:1", "[::1]:9092"}, brokers[1].Hosts)
	assert.Equal(t, "p,w@", brokers[1].Password)
	assert.Equal(t, "kafka://a:1,[::1]:9092/topic", brokers[1].String(), "a password must not be printed")
	assert.Equal(t, []string{"a:6379"}, brokers[2].Hosts)
}

func TestParseBrokersRefusesAndShowsNoPassword(t *testing.T) {
	for _, list := range []string{
		"a/subject", "amqp://a/q", "nats://", "nats://a", "nats://a/", "nats://a/sub ject", "nats:///subject", "nats://a:0/s", "nats://a:x/s",
		"nats://a:70000/s", "nats://u:canary@a:1:2/s", "nats://u:canary%zz@a/s", "nats://a,,b/s", "nats://a/s?%zz", "nats://a/s,nats://b/s",
		"redis://u:canary@a b/s",
	} {
		_, err := eventbus.ParseBrokers(list)
		require.Error(t, err, list)
		assert.NotContains(t, err.Error(), "canary")
	}
}

func TestBrokerOptionsNameEveryFault(t *testing.T) {
	brokers, err := eventbus.ParseBrokers("nats://a/s?replicas=0&max_age=1s&sasl=md5&creds=/nowhere&tls=perhaps&ca=/nowhere&unknown=1&twice=1&twice=2")
	require.NoError(t, err)
	read := brokers[0].Options()
	read.Count("replicas")
	read.Duration("max_age", time.Hour)
	read.OneOf("sasl", "plain", "scram")
	read.File("creds")
	read.TLS()
	read.Text("twice", "")
	err = read.Err()
	for _, name := range []string{"replicas", "max_age", "sasl", "creds", "tls", "ca", "unknown", "twice"} {
		assert.ErrorContains(t, err, "option "+name+":")
	}
}
