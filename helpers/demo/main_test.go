package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestPages(t *testing.T) {
	t.Setenv("DEMO_VERSION", "7")
	server := httptest.NewServer(pages())
	defer server.Close()
	for path, want := range map[string]string{"/": "version: 7\n", "/version": "7\n", "/healthz": "ok\n", "/other": "404"} {
		if got := get(t, server.URL+path); !strings.Contains(got, want) {
			t.Errorf("%s answers %q, want %q in it", path, got, want)
		}
	}
}

func TestServeAnswersWhileItDrains(t *testing.T) {
	listen := freeAddress(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, settings{listen: listen, drain: 300 * time.Millisecond}) }()
	waitFor(t, listen)
	stop()
	if got := get(t, "http://"+listen+"/healthz"); got != "ok\n" {
		t.Errorf("a request during the drain was answered %q", got)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it did not end after the drain")
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func waitFor(t *testing.T, address string) {
	t.Helper()
	for range 200 {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s does not answer", address)
}
