package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// keptFor is how long a connection may rest: the server closes one that rests longer.
const keptFor = 20 * time.Second

// answerWithin bounds a call, from the first byte sent to the last one read.
const answerWithin = 15 * time.Second

// conn is one kept-alive connection to the server, dialed when it is first used and again after a failure or a long rest. It writes
// requests by itself and leaves the reading to fasthttp, because the generator shares its processors with what it measures. It serves
// one goroutine and repeats nothing.
type conn struct {
	address  string
	socket   net.Conn
	used     time.Time
	reader   *bufio.Reader
	out      []byte
	response fasthttp.Response
}

// header is a request's header.
type header struct{ name, value string }

// call sends a request and blocks until it is answered. The body is the connection's until the next call. An error means that
// there was no answer; whether the request had an effect is unknown.
func (c *conn) call(ctx context.Context, method, path, body string, headers ...header) (status int, answer []byte, err error) {
	if time.Since(c.used) > keptFor {
		c.close()
	}
	if c.socket == nil {
		dialer := net.Dialer{Timeout: answerWithin}
		if c.socket, err = dialer.DialContext(ctx, "tcp", c.address); err != nil {
			c.socket = nil
			return 0, nil, err
		}
		c.reader = bufio.NewReader(c.socket)
	}
	c.write(method, path, body, headers)
	if err := c.exchange(); err != nil {
		c.close()
		return 0, nil, err
	}
	if c.response.ConnectionClose() {
		c.close()
	}
	return c.response.StatusCode(), c.response.Body(), nil
}

func (c *conn) write(method, path, body string, headers []header) {
	b := append(c.out[:0], method...)
	b = append(b, ' ')
	b = append(b, path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, c.address...)
	for _, h := range headers {
		b = append(b, "\r\n"...)
		b = append(b, h.name...)
		b = append(b, ": "...)
		b = append(b, h.value...)
	}
	if body != "" {
		b = append(b, "\r\nContent-Type: application/json\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(body)), 10)
	}
	b = append(b, "\r\n\r\n"...)
	c.out = append(b, body...)
}

func (c *conn) exchange() error {
	if err := c.socket.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return err
	}
	if _, err := c.socket.Write(c.out); err != nil {
		return err
	}
	c.used = time.Now()
	return c.response.Read(c.reader)
}

// close is safe on a connection that was never used.
func (c *conn) close() {
	if c.socket != nil {
		c.socket.Close()
		c.socket = nil
	}
}

// ask is call for whatever must succeed: it reads the JSON answer into into, unless that is nil, and makes an error of any other
// status than those of success.
func (c *conn) ask(ctx context.Context, method, path, body string, into any, headers ...header) error {
	status, answer, err := c.call(ctx, method, path, body, headers...)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if status >= 300 {
		return fmt.Errorf("%s %s: answered %d: %s", method, path, status, answer)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// failureOf is how an answer that was not the one wanted is counted; "" for the one wanted.
func failureOf(status int, err error, wanted ...int) string {
	var timeout net.Error
	switch {
	case err == nil:
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	default:
		return "network"
	}
	for _, w := range wanted {
		if status == w {
			return ""
		}
	}
	return strconv.Itoa(status)
}
