package dns

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/skerry-io/skerry/internal/run"
)

// Config is what the node's DNS needs to know.
type Config struct {
	API        *rest.Config // as a user who may watch Services, EndpointSlices, Namespaces and the ConfigMap
	Node       string
	Listen     []netip.AddrPort // where questions come in
	Domain     string           // of the cluster
	Own        []netip.Addr     // the Service's addresses; asking there again would go round in circles
	Askers     []netip.Prefix   // addresses of pods
	ResolvConf func() string    // the host's file that names DNS servers; empty when there is none
	Rows       *run.Rows        // is told how it stands
	Log        *slog.Logger

	upstreamPort uint16 // 53 when zero; a test may not listen there
}

// Run answers questions until ctx ends. It is ready as soon as questions are taken: what comes before the cluster's
// names are known waits a moment for them.
func Run(ctx context.Context, c Config, ready func()) error {
	client, err := kubernetes.NewForConfig(c.API)
	if err != nil {
		return fmt.Errorf("make a client for the cluster's DNS: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	heard := newContact()
	watching := rest.CopyConfig(c.API)
	watching.Wrap(heard.over)
	names, err := openCluster(ctx, watching, c.Domain)
	if err != nil {
		return err
	}
	watcher, err := kubernetes.NewForConfig(watching)
	if err != nil {
		return err
	}
	changed := make(chan struct{}, 1)
	wake := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	s := &settings{config: c, client: client, cluster: names, outside: outside{rows: c.Rows}}
	if err := s.first(); err != nil {
		return err
	}
	defer s.answers.replace(nil, graceAtEnd)
	front, err := listen(c.Listen, newAskers(c.Askers), &s.answers)
	if err != nil {
		return err
	}
	ready()
	var wait sync.WaitGroup
	wait.Go(func() { names.run(ctx) })
	wait.Go(func() { followContact(ctx, heard, names, c.Rows) })
	wait.Go(func() { followConfigMap(ctx, watcher, s.take, wake) })
	wait.Go(func() { followFile(ctx, c.ResolvConf, wake, c.Log) })
	wait.Go(func() { s.follow(ctx, changed) })
	err = front.serve(ctx)
	stop()
	wait.Wait()
	return err
}

// How long questions that are being answered may hold up new settings, and the end.
const (
	grace      = 5 * time.Second
	graceAtEnd = 500 * time.Millisecond
)
