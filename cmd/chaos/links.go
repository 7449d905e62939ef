package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// calmWithin bounds the removal of a toxic: Toxiproxy waits for the links that it is on.
const calmWithin = 5 * time.Second

// links are the proxies between the processes, by name. They run in the rig's own process.
type links struct {
	server  *toxiproxy.ApiServer
	proxies map[string]*toxiproxy.Proxy
}

func newLinks() *links {
	return &links{server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), proxies: map[string]*toxiproxy.Proxy{}}
}

// proxyHost is loopback too, and nobody's source: a proxy gives its port up for a moment whenever it is stopped or pointed elsewhere,
// and on 127.0.0.1 a connection of any process could be given it as its own meanwhile.
const proxyHost = "127.0.0.2"

// open puts a proxy in front of an address and returns its own, which stays the same for as long as the rig runs.
func (l *links) open(name, upstream string) (address string, err error) {
	p := toxiproxy.NewProxy(l.server, name, proxyHost+":0", upstream)
	if err := p.Start(); err != nil {
		return "", fmt.Errorf("proxy in front of the %s: %w", name, err)
	}
	l.proxies[name] = p
	return p.Listen, nil
}

// point has a proxy lead somewhere else from now on. Connections that are open end.
func (l *links) point(name, upstream string) error {
	p := l.proxies[name]
	if err := p.Update(&toxiproxy.Proxy{Listen: p.Listen, Upstream: upstream, Enabled: true}); err != nil {
		return fmt.Errorf("proxy in front of the %s: %w", name, err)
	}
	return nil
}

func (l *links) disturb(d *disturbance) error {
	p := l.proxies[d.link]
	if d.toxic == "" {
		p.Stop()
		return nil
	}
	if _, err := p.Toxics.AddToxicJson(strings.NewReader(d.toxic)); err != nil {
		return fmt.Errorf("%s: %w", d.called, err)
	}
	return nil
}

// calm undoes disturb.
func (l *links) calm(d *disturbance) error {
	p := l.proxies[d.link]
	if d.toxic == "" {
		if err := p.Start(); err != nil {
			return fmt.Errorf("%s is over: %w", d.called, err)
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), calmWithin)
	defer cancel()
	if err := p.Toxics.RemoveToxic(ctx, "trouble"); err != nil {
		return fmt.Errorf("%s is over: %w", d.called, err)
	}
	// What was held back or broken within is not to be waited for.
	p.Stop()
	if err := p.Start(); err != nil {
		return fmt.Errorf("%s is over: %w", d.called, err)
	}
	return nil
}

func (l *links) close() {
	for _, p := range l.proxies {
		p.Stop()
	}
}
