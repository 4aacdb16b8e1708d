package cli

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/skerry-io/skerry/agent"
	"github.com/skerry-io/skerry/agent/network"
	"github.com/skerry-io/skerry/internal/cli/progress"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/host"
	skerrylog "github.com/skerry-io/skerry/internal/log"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/version"
	"github.com/skerry-io/skerry/server"
)

// gcPercent makes the collector run when the heap has grown by half, not doubled: memory is what a small board has least
// of, and an idle node allocates little. GOGC wins.
const gcPercent = 50

// runServer is a whole node: the server half, and beside it the agent half unless that is switched off.
func runServer(ctx context.Context, env Env, cfg config.Server) (err error) {
	began := time.Now()
	if os.Geteuid() != 0 {
		return fault.New("start a node as user %d", os.Geteuid()).Fix("run it as root: containers need it")
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	show := progress.New(env.Err)
	log := skerrylog.New(show.Log(), cfg.Debug)
	hold, err := skerrylog.Bridge(log, cfg.Debug)
	if err != nil {
		return err
	}
	if env.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	notify := takeNotifySocket(env)
	log.Info("starting", "version", version.Number(), "kubernetes", version.Kubernetes)

	ledger, err := host.Open(cfg.Paths().Ledger(), log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ledger.Close()) }()
	services, err := compose(env, cfg, ledger, log)
	if err != nil {
		return err
	}
	group, err := run.NewGroup(log, services...)
	if err != nil {
		return err
	}
	return live(ctx, group, hold, log, func(ctx context.Context) {
		show.Follow(ctx, group, began, log, func() { notify("READY=1") })
	})
}

// How long after the start it is known that the libraries' complaints mattered, or did not.
const (
	startPatience = time.Minute
	startSettled  = 5 * time.Second
)

// live runs the group, shows its start, and decides which of the libraries' complaints are worth reading.
func live(ctx context.Context, group *run.Group, hold *skerrylog.Hold, log *slog.Logger, show func(context.Context)) error {
	late := time.AfterFunc(startPatience, hold.Tell)
	defer late.Stop()
	watch, stopWatch := context.WithCancel(ctx)
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		show(watch)
		select {
		case <-watch.Done():
		case <-time.After(startSettled):
			late.Stop()
			hold.Forget()
			debug.FreeOSMemory() // a start needs much that an idle node does not
		}
	}()
	defer context.AfterFunc(ctx, hold.Again)()
	err := group.Run(ctx)
	stopWatch()
	<-shown
	if err != nil {
		hold.Tell()
		return err
	}
	log.Info("stopped; pods keep running")
	return nil
}

// compose prepares both halves and puts their tables together.
func compose(env Env, cfg config.Server, ledger *host.Ledger, log *slog.Logger) ([]run.Service, error) {
	if err := portsFree(cfg); err != nil {
		return nil, err
	}
	if err := makePlaces(cfg, ledger); err != nil {
		return nil, err
	}
	ips := cfg.NodeIP
	if len(ips) == 0 {
		ip, err := host.DefaultRouteIP()
		if err != nil {
			return nil, err
		}
		ips = []netip.Addr{ip}
	}
	for _, change := range network.Guard(cfg.ClusterCIDR, cfg.ServiceCIDR, ips) {
		if err := ledger.Apply(change); err != nil {
			return nil, err
		}
	}
	control, err := server.New(cfg, ips, log)
	if err != nil {
		return nil, err
	}
	services := control.Services()
	if cfg.DisableAgent {
		return services, nil
	}
	programs, err := programsDir(env)
	if err != nil {
		return nil, err
	}
	node, err := agent.New(cfg.Node, agent.Needs{Server: control.URL(), Token: control.Token, IPs: ips, Programs: programs, Ledger: ledger, Log: log,
		Controllers: control.Controllers()})
	if err != nil {
		return nil, err
	}
	return append(services, node.Services()...), nil
}

// portsFree looks before anything is touched.
func portsFree(cfg config.Server) error {
	if err := host.PortFree(netip.AddrPortFrom(cfg.BindAddress, uint16(cfg.HTTPSListenPort))); err != nil || cfg.DisableAgent {
		return err
	}
	return agent.PortsFree(cfg.Node)
}

// makePlaces makes the directories that a reset takes away again as a whole.
func makePlaces(cfg config.Server, ledger *host.Ledger) error {
	p := cfg.Paths()
	if err := ledger.Apply(host.Dir{Path: p.DataDir(), Placed: true}); err != nil {
		return err
	}
	for _, dir := range []string{p.ServerDir(), p.AgentDir(), p.StorageDir(), p.UnpackDir()} {
		if err := ledger.Apply(host.Dir{Path: dir, Tree: true, Placed: true}); err != nil {
			return err
		}
	}
	return errors.Join(
		ledger.Apply(host.Dir{Path: filepath.Dir(cfg.WriteKubeconfig)}),
		ledger.Apply(host.File{Path: cfg.WriteKubeconfig}),
	)
}

// programsDir is where the helper programs were unpacked: beside this one. They come first on the PATH of the process,
// because CNI plugins and kube-proxy look for nft there.
func programsDir(env Env) (string, error) {
	self, err := env.Executable()
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(self)
	if _, err := os.Stat(filepath.Join(dir, "containerd-shim-runc-v2")); err != nil {
		return "", fault.New("find the helper programs beside %s", self).Because(err).Fix("start the packaged program that `make build` puts into bin/")
	}
	return dir, os.Setenv("PATH", dir+":"+env.Getenv("PATH"))
}
