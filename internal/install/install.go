package install

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/host"
)

// program is the name of the binary in its directory.
const program = "skerry"

// LedgerPath lists what was installed. It does not move with the data directory, so that it is found before the settings
// of the service are known.
const LedgerPath = config.DefaultDataDir + "/install.jsonl"

// Plan is what to install.
type Plan struct {
	config.Install

	// Args are what the service runs the program with: "server", and flags.
	Args []string
	// Places are the data directories in use: that of the service, and that into which this program was unpacked.
	Places []config.Paths
	// Environ is the environment of the installation, as NAME=VALUE.
	Environ []string
	// Path is where the shell of the installation looks for commands.
	Path string
}

func (p Plan) binary() string    { return filepath.Join(p.BinDir, program) }
func (p Plan) command() []string { return append([]string{p.binary()}, p.Args...) }

// Installation is what was installed on this host.
type Installation struct {
	ledger *host.Ledger
	out    io.Writer
}

// Exists says whether something was installed.
func Exists() bool { return exists(LedgerPath) }

// Open opens the installation, an empty one if there is none, and keeps others from changing it. What is done is told
// to out. The caller ends with Close or Remove.
func Open(out io.Writer, log *slog.Logger) (*Installation, error) {
	ledger, err := host.Open(LedgerPath, log)
	if errors.Is(err, host.ErrRunning) {
		return nil, fault.New("another installation is under way").Because(fmt.Errorf("%s: %w", LedgerPath, host.ErrRunning)).Fix("wait for its end")
	}
	if err != nil {
		return nil, err
	}
	return &Installation{ledger: ledger, out: out}, nil
}

// Close lets go of the installation.
func (i *Installation) Close() error { return i.ledger.Close() }

// Args is what the installed service runs, nil when there is none.
func (i *Installation) Args() []string {
	if all := i.services(); len(all) > 0 {
		return all[len(all)-1].Args
	}
	return nil
}

// Environ gives the variables that are kept for the service, as NAME=VALUE.
func Environ() ([]string, error) {
	text, err := readOptional(envFile)
	return readEnviron(text), err
}

// Make installs the plan, or brings what is installed in line with it. The service is started again only if the program,
// the service file or the variables changed since it was started.
func (i *Installation) Make(ctx context.Context, plan Plan) error {
	if _, err := os.Stat(plan.binary()); err != nil {
		return fault.New("install %s", plan.binary()).Because(err).Fix("copy the program there first, or say where it is with --bin-dir")
	}
	if err := i.places(plan); err != nil {
		return err
	}
	environ, err := i.keepEnviron(plan)
	if err != nil {
		return err
	}
	if err := i.link(plan); err != nil {
		return err
	}
	init := Detect()
	if init == host.NoInit {
		i.tell("this host has no init system (systemd, OpenRC) that could run a service; run it yourself, as root:\n\n    %s\n", byHand(plan.command(), environ))
		return nil
	}
	return i.serve(ctx, init, plan, environ)
}

// places notes what is there already and is ours: the program, and where it unpacks itself.
func (i *Installation) places(plan Plan) error {
	var changes []host.Change
	node := false
	for _, paths := range plan.Places {
		for _, dir := range []host.Dir{{Path: paths.DataDir(), Placed: true}, {Path: paths.UnpackDir(), Tree: true, Placed: true}} {
			if exists(dir.Path) {
				changes = append(changes, dir)
			}
		}
		node = node || exists(paths.Ledger())
	}
	changes = append(changes,
		host.Dir{Path: filepath.Dir(envFile), Placed: node}, // a node made it, and leaves it as long as there is an environment file
		host.File{Path: plan.binary(), Placed: true},
	)
	for _, change := range changes {
		if err := i.ledger.Apply(change); err != nil {
			return fmt.Errorf("install: %w", err)
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// keepEnviron writes the environment file and gives its text.
func (i *Installation) keepEnviron(plan Plan) (string, error) {
	old, err := readOptional(envFile)
	if err != nil {
		return "", err
	}
	text, err := mergeEnviron(old, plan.Environ)
	if err != nil {
		return "", err
	}
	if err := i.ledger.Apply(host.NewFile(envFile, []byte(text), 0o600)); err != nil {
		return "", fmt.Errorf("write %s: %w", envFile, err)
	}
	return text, nil
}

// serve installs the service and starts it.
func (i *Installation) serve(ctx context.Context, init host.Init, plan Plan, environ string) error {
	file := serviceFile(init, plan)
	stamp, err := stampOf(plan.binary(), file.Sum, environ)
	if err != nil {
		return err
	}
	service := host.Service{Init: init, Name: plan.Name, Unit: file.Path, Args: plan.Args, Stamp: i.stamp(plan.Name)}
	changed := service.Stamp != stamp || plan.ForceRestart
	changes := []host.Change{file}
	if init == host.OpenRC {
		changes = append(changes, host.File{Path: logFile})
	}
	for _, c := range append(changes, service) {
		if err := i.ledger.Apply(c); err != nil {
			return fmt.Errorf("install the service: %w", err)
		}
	}
	if err := reload(ctx, init); err != nil {
		return err
	}
	if !plan.SkipEnable {
		if err := enable(ctx, service); err != nil {
			return err
		}
	}
	if plan.SkipStart {
		i.tell("%s is installed as %s; it was not started", plan.Name, file.Path)
		return nil
	}
	if err := start(ctx, service, changed); err != nil {
		return err
	}
	service.Stamp = stamp // only now: what failed to start is started again by the next installation
	i.tell("%s is installed as %s and runs", plan.Name, file.Path)
	return i.ledger.Apply(service)
}

// Remove takes away all that was installed, newest first, and forgets the installation.
func (i *Installation) Remove(ctx context.Context) error {
	var init host.Init
	for _, s := range i.services() {
		init = s.Init
	}
	report, err := i.ledger.Undo(ctx, host.All)
	for _, e := range report.Undone {
		i.tell("undone: %s", e)
	}
	for _, note := range report.Left {
		i.tell("left:   %s (%s)", note.Entry, note.Why)
	}
	if err != nil {
		return errors.Join(err, i.ledger.Close())
	}
	return errors.Join(i.ledger.Remove(), reload(ctx, init))
}

// services lists the services of the ledger, oldest first.
func (i *Installation) services() []host.Service {
	var all []host.Service
	for _, e := range i.ledger.Entries() {
		var s host.Service
		if e.Kind == "service" && json.Unmarshal(e.Change, &s) == nil {
			all = append(all, s)
		}
	}
	return all
}

// stamp is what the service was last started with.
func (i *Installation) stamp(name string) string {
	for _, s := range i.services() {
		if s.Name == name {
			return s.Stamp
		}
	}
	return ""
}

// stampOf stands for all that a start of the service depends on.
func stampOf(binary, unitSum, environ string) (string, error) {
	file, err := os.Open(binary)
	if err != nil {
		return "", err
	}
	digest := sha256.New()
	_, err = io.Copy(digest, file)
	if err := errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("read %s: %w", binary, err)
	}
	fmt.Fprintf(digest, "\n%s\n%s", unitSum, environ) // a hash does not fail
	return hex.EncodeToString(digest.Sum(nil)), nil
}

// tell writes for the person who installs; one who cannot read it loses nothing.
func (i *Installation) tell(format string, args ...any) {
	_, _ = fmt.Fprintf(i.out, format+"\n", args...)
}

func readOptional(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(text), err
}
