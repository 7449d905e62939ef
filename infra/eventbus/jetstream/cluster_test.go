package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"florin/pkg/eventbus"
)

// cluster is JetStream servers in this process.
type cluster struct {
	t       *testing.T
	options []*server.Options
	servers []*server.Server
}

// startCluster starts n servers that know each other, and waits until they have a leader.
func startCluster(t *testing.T, n int) *cluster {
	t.Helper()
	c := &cluster{t: t}
	ports := freePorts(t, 2*n)
	var routes []*url.URL
	for i := range n {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", ports[n+i])})
	}
	folder := t.TempDir()
	for i := range n {
		options := &server.Options{
			ServerName: fmt.Sprint("server", i), Host: "127.0.0.1", Port: ports[i], JetStream: true,
			StoreDir: filepath.Join(folder, fmt.Sprint(i)), NoLog: true, NoSigs: true,
		}
		if n > 1 {
			options.Cluster = server.ClusterOpts{Name: "florin", Host: "127.0.0.1", Port: ports[n+i]}
			options.Routes = routes
		}
		c.options = append(c.options, options)
		c.servers = append(c.servers, nil)
		c.start(i)
	}
	t.Cleanup(func() {
		for i := range c.servers {
			c.stop(i)
		}
	})
	c.awaitReady()
	return c
}

// freePorts are ports that were free a moment ago.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

func (c *cluster) start(i int) {
	c.t.Helper()
	options := c.options[i].Clone()
	s, err := server.NewServer(options)
	require.NoError(c.t, err)
	s.Start()
	require.True(c.t, s.ReadyForConnections(20*time.Second))
	c.servers[i] = s
}

func (c *cluster) stop(i int) {
	if c.servers[i] != nil {
		c.servers[i].Shutdown()
		c.servers[i].WaitForShutdown()
		c.servers[i] = nil
	}
}

func (c *cluster) hosts() []string {
	var hosts []string
	for _, o := range c.options {
		hosts = append(hosts, fmt.Sprintf("127.0.0.1:%d", o.Port))
	}
	return hosts
}

// awaitReady waits until a stream with as many replicas as there are servers can be made.
func (c *cluster) awaitReady() {
	c.t.Helper()
	conn, err := nats.Connect(strings.Join(c.hosts(), ","))
	require.NoError(c.t, err)
	defer conn.Close()
	js, err := natsjs.New(conn)
	require.NoError(c.t, err)
	require.Eventually(c.t, func() bool {
		ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Second)
		defer cancel()
		_, err := js.CreateStream(ctx, natsjs.StreamConfig{Name: "READY", Subjects: []string{"ready"}, Replicas: len(c.servers)})
		return err == nil || errors.Is(err, natsjs.ErrStreamNameAlreadyInUse)
	}, 30*time.Second, 50*time.Millisecond)
	require.NoError(c.t, js.DeleteStream(c.t.Context(), "READY"))
}

// leader is the server that leads the stream.
func (c *cluster) leader(js natsjs.JetStream, stream string) int {
	c.t.Helper()
	found, err := js.Stream(c.t.Context(), stream)
	require.NoError(c.t, err)
	for i, o := range c.options {
		if o.ServerName == found.CachedInfo().Cluster.Leader {
			return i
		}
	}
	require.FailNow(c.t, "the stream has no leader")
	return 0
}

func (c *cluster) broker(subject string) eventbus.Broker {
	c.t.Helper()
	brokers, err := eventbus.ParseBrokers("nats://" + strings.Join(c.hosts(), ",") + "/" + subject)
	require.NoError(c.t, err)
	return brokers[0]
}
