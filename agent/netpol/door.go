package netpol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/skerry-io/skerry/internal/fault"
)

// How long a pod's start may wait for its rules, and a plugin may take for its question.
const (
	patience = 10 * time.Second
	polite   = 2 * time.Second
)

// question is what the IPAM plugin says: it has an address for a pod, or took one back.
type question struct {
	Gone bool `json:"gone,omitempty"`
	fact
}

// answer lets the pod start when it is empty.
type answer struct {
	Error string `json:"error,omitempty"`
}

// ask is a question on its way to the keeper. The answer is nil, or why the pod cannot start.
type ask struct {
	question
	ctx    context.Context
	answer chan error // has room for one
}

// hatch is the socket on which the IPAM plugin asks.
type hatch struct {
	listener net.Listener
	asks     chan *ask
	patience time.Duration
}

func openHatch(path string, patience time.Duration) (*hatch, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for the addresses of pods: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return &hatch{listener: listener, asks: make(chan *ask), patience: patience}, nil
}

// serve takes questions until ctx ends.
func (h *hatch) serve(ctx context.Context) error {
	var wait sync.WaitGroup
	defer wait.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	wait.Go(func() {
		<-ctx.Done()
		h.listener.Close()
	})
	for {
		conn, err := h.listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("take a question about a pod's address: %w", err)
		}
		wait.Go(func() { h.talk(ctx, conn) })
	}
}

// talk is one question and its answer. Whoever does not wait for the answer gets none.
func (h *hatch) talk(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	a := &ask{answer: make(chan error, 1)}
	conn.SetDeadline(time.Now().Add(polite))
	if err := json.NewDecoder(conn).Decode(&a.question); err != nil {
		return
	}
	conn.SetDeadline(time.Now().Add(h.patience + polite))
	ctx, stop := context.WithTimeout(ctx, h.patience)
	defer stop()
	a.ctx = ctx
	var reply answer
	if err := h.put(a); err != nil {
		reply.Error = err.Error()
	}
	json.NewEncoder(conn).Encode(reply)
}

func (h *hatch) put(a *ask) error {
	late := fault.New("the network policies of pod %s are not in force yet", a.key()).
		Fix("nothing, it is tried again; when it stays so, skerry status says why")
	select {
	case h.asks <- a:
	case <-a.ctx.Done():
		return late
	}
	select {
	case err := <-a.answer:
		return err
	case <-a.ctx.Done():
		return late
	}
}
