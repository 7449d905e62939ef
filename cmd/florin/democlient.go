package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// demoClient speaks the API as any client would.
type demoClient struct {
	base  string
	token string
	http  http.Client
}

func newDemoClient(base string) *demoClient {
	return &demoClient{base: base, http: http.Client{Timeout: 40 * time.Second}}
}

func (c *demoClient) get(ctx context.Context, path string, into any) error {
	return c.call(ctx, http.MethodGet, path, nil, nil, into)
}

// wait is get with a wait for a terminal state, of at most ten seconds.
func (c *demoClient) wait(ctx context.Context, path string, into any) error {
	return c.call(ctx, http.MethodGet, path, map[string]string{"Prefer": "wait=10"}, nil, into)
}

func (c *demoClient) post(ctx context.Context, path string, body object, into any) error {
	return c.call(ctx, http.MethodPost, path, nil, body, into)
}

// keyed is post under an Idempotency-Key.
func (c *demoClient) keyed(ctx context.Context, key, path string, body object, into any) error {
	return c.call(ctx, http.MethodPost, path, map[string]string{"Idempotency-Key": key}, body, into)
}

func (c *demoClient) call(ctx context.Context, method, path string, headers map[string]string, body object, into any) error {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		var problem struct {
			Code   string `json:"code"`
			Detail string `json:"detail"`
		}
		if json.Unmarshal(answer, &problem) == nil && problem.Code != "" {
			return fmt.Errorf("answered %d %s: %s", response.StatusCode, problem.Code, problem.Detail)
		}
		return fmt.Errorf("answered %d", response.StatusCode)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}
