package netpol

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/skerry-io/skerry/internal/host"
	"github.com/skerry-io/skerry/internal/run"
)

// Config is what enforcing policies needs to know.
type Config struct {
	API    *rest.Config // as a user who may watch NetworkPolicies, Namespaces and Pods
	Node   string       // this node's name
	Pods   []netip.Prefix
	Bridge string          // that pods of this node hang on
	Dir    string          // a directory that a reboot clears; see Socket
	Leases string          // directory of the addresses in use, a file for each
	Marker string          // a file that is there while the cluster has policies, so that a node that starts without a server knows
	Stands bool            // an earlier run may have left rules
	Off    <-chan struct{} // closes when the cluster does without from now on; this start still has to answer the plugin
	Apply  func(host.Change) error
	Rows   *run.Rows // is told how it stands
	Log    *slog.Logger

	patience, unsure time.Duration // the usual when they are zero; a test does not want to wait so long
}

// Socket is where the IPAM plugin tells of addresses, for a Config.Dir.
func Socket(dir string) string { return filepath.Join(dir, "socket") }

func told(dir string) string { return filepath.Join(dir, "told") }

// Run enforces policies until ctx ends. Rules stay then. It is ready once pods can ask for theirs.
func Run(ctx context.Context, c Config, ready func()) error {
	client, err := kubernetes.NewForConfig(c.API)
	if err != nil {
		return fmt.Errorf("make a client for network policies: %w", err)
	}
	return work(ctx, c, client, newKernel(c), ready)
}

func newKernel(c Config) *kernel {
	k := &kernel{run: nft, apply: c.Apply, bridge: c.Bridge, pods: c.Pods, stands: c.Stands, mac: macOf,
		watch:   func(ctx context.Context, lost func()) error { return watchTables(ctx, func() {}, lost) },
		bridged: func(policies bool) bool { return bridged(c.Apply, policies) }}
	if c.Stands {
		k.lifted = unseen
	}
	return k
}

// bridged says whether the kernel shows bridged packets to rules of family inet. With policies it has it do so.
func bridged(apply func(host.Change) error, policies bool) bool {
	on, supported := host.BridgeNFCall()
	if !supported || !policies {
		return on
	}
	err := apply(host.Sysctl{Key: "net.bridge.bridge-nf-call-iptables", Want: "1"})
	// Also without IPv6 in the cluster: pods have addresses of their own making.
	err = errors.Join(err, apply(host.Sysctl{Key: "net.bridge.bridge-nf-call-ip6tables", Want: "1"}))
	return err == nil
}

// work is Run with a client and a kernel.
func work(ctx context.Context, c Config, client kubernetes.Interface, kernel *kernel, ready func()) error {
	notes, err := openFacts(told(c.Dir), func(a netip.Addr) bool {
		_, err := os.Stat(filepath.Join(c.Leases, a.String()))
		return err == nil
	})
	if err != nil {
		return err
	}
	hatch, err := openHatch(Socket(c.Dir), cmp.Or(c.patience, patience))
	if err != nil {
		return err
	}
	changed := make(chan struct{}, 1)
	k := &keeper{config: c, client: client, kernel: kernel, facts: notes, alarm: make(chan struct{}, 1), changed: func() {
		select {
		case changed <- struct{}{}:
		default: // it will be looked at
		}
	}}
	_, err = os.Stat(c.Marker)
	k.marked = err == nil
	ctx, stop := context.WithCancel(ctx)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer stop()
	open, lost := make(chan struct{}), make(chan error, 1)
	wait.Go(func() {
		if untilAllowed(ctx, client) {
			close(open)
		}
	})
	wait.Go(func() { lost <- hatch.serve(ctx) })
	ready()
	return k.keep(ctx, open, changed, hatch.asks, lost)
}

// untilAllowed waits until this node may read policies. On a cluster that is just starting that is a moment: a watch that was
// refused would come back only after a pause.
func untilAllowed(ctx context.Context, client kubernetes.Interface) bool {
	const least, most = 50 * time.Millisecond, 2 * time.Second
	pause := least
	for {
		_, err := client.NetworkingV1().NetworkPolicies(meta.NamespaceAll).List(ctx, meta.ListOptions{Limit: 1})
		if !apierrors.IsForbidden(err) {
			return ctx.Err() == nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
		pause = min(2*pause, most)
	}
}

// Leave takes away all that a run has made, apart from the entries in the ledger.
func Leave(ctx context.Context, c Config) error {
	var errs []error
	if c.Stands {
		errs = append(errs, nft(ctx, removal("inet")+removal("bridge")))
	}
	if err := os.Remove(c.Marker); err != nil && !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, err)
	}
	errs = append(errs, os.RemoveAll(c.Dir))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("take away what network policies have left: %w", err)
	}
	return nil
}

// Stands says whether an earlier run may have left rules: the ledger remembers.
func Stands(ledger []host.Entry) bool {
	for _, e := range ledger {
		if e.Kind == "nftable" && e.ID == "inet "+table {
			return true
		}
	}
	return false
}
