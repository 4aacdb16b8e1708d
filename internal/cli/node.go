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

	"github.com/skerry-io/skerry/internal/cli/progress"
	"github.com/skerry-io/skerry/internal/clock"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/host"
	"github.com/skerry-io/skerry/internal/idle"
	skerrylog "github.com/skerry-io/skerry/internal/log"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/status"
	"github.com/skerry-io/skerry/internal/version"
)

// gcPercent makes the collector run when the heap has grown by half, not doubled: memory is what a small board has least
// of, and an idle node allocates little. GOGC wins.
const gcPercent = 50

// machine is what a node of either kind is composed on.
type machine struct {
	env    Env
	config config.Node
	ledger *host.Ledger
	board  *status.Board
	clock  *clock.Clock
	log    *slog.Logger
}

// runNode lives as a node of the services that compose gives: from the signal handlers to the last line of the log.
func runNode(ctx context.Context, env Env, role string, cfg config.Node, compose func(context.Context, machine) ([]run.Service, error)) (err error) {
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
	timepiece := newClock(cfg, log)
	if timepiece.Begin() {
		began = time.Now() // what was measured by the other clock means nothing
	}
	log.Info("starting", "version", version.Number(), "kubernetes", version.Kubernetes)

	ledger, err := host.Open(cfg.Paths().Ledger(), log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ledger.Close()) }()
	m := machine{env: env, config: cfg, ledger: ledger, log: log, clock: timepiece, board: newBoard(role, cfg.NodeName, began)}
	return m.told(func() error {
		services, err := compose(ctx, m)
		if err != nil {
			return err
		}
		services = append(services, run.Service{Name: "clock", Run: timepiece.Run, Details: timepiece.Details})
		group, err := run.NewGroup(log, services...)
		if err != nil {
			return err
		}
		m.board.Follow(group)
		defer announce(m.board, group, notify)()
		return live(ctx, group, hold, log, func(ctx context.Context) {
			show.Follow(ctx, group, began, log, func() { notify.tell("READY=1") })
		})
	})
}

// newClock is this machine's clock, with what the node knows of the time.
func newClock(cfg config.Node, log *slog.Logger) *clock.Clock {
	paths := cfg.Paths()
	return clock.New(clock.Config{File: paths.ClockNote(), Beside: paths.Written(), Mark: config.ClockGuess, Keep: cfg.ClockFloor == "keep", Log: log}, clock.Kernel())
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
			slim(watch, log)
		}
	}()
	defer context.AfterFunc(ctx, hold.Again)()
	err := group.Run(ctx)
	stopWatch()
	<-shown
	if err != nil {
		var told *fault.Fault
		if run.Failure(err) != nil && (!errors.As(err, &told) || told.Cure() == "") { // with a cure it is clear what is wrong
			hold.Tell()
		}
		return err
	}
	log.Info("stopped; pods keep running")
	return nil
}

// threadsRenewed is how often new threads of the process learn that they need not wake up exactly.
const threadsRenewed = 5 * time.Minute

// slim gives back what a start needs and an idle node does not, and keeps the node quiet until ctx ends.
func slim(ctx context.Context, log *slog.Logger) {
	debug.FreeOSMemory()
	if err := idle.SmallPages(); err != nil {
		log.Debug("the program stays mapped as it is", "err", err)
	}
	again := time.NewTicker(threadsRenewed)
	defer again.Stop()
	for {
		if err := idle.LateTimers(); err != nil {
			log.Debug("timers stay exact", "err", err)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

// places makes the directories that a reset takes away again as a whole.
func (m machine) places(dirs ...string) error {
	p := m.config.Paths()
	if err := m.ledger.Apply(host.Dir{Path: p.DataDir(), Placed: true}); err != nil {
		return err
	}
	for _, dir := range append(dirs, p.AgentDir(), p.StorageDir(), p.UnpackDir()) {
		if err := m.ledger.Apply(host.Dir{Path: dir, Tree: true, Placed: true}); err != nil {
			return err
		}
	}
	return nil
}

// nodeIPs are the addresses of this machine: the user's choice, or what is found of the families of these ranges. Better
// one of another family than none.
func (m machine) nodeIPs(ranges []netip.Prefix) ([]netip.Addr, error) {
	if len(m.config.NodeIP) > 0 {
		return m.config.NodeIP, nil
	}
	ips, err := host.NodeIPs()
	if fit := host.ForRanges(ips, ranges); len(fit) > 0 {
		return fit, nil
	}
	return ips, err
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
