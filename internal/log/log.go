package log

import (
	"context"
	"io"
	stdlog "log"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"
	"k8s.io/klog/v2"
)

// New makes the root logger; debug adds details of Skerry's own parts.
func New(out io.Writer, debug bool) *slog.Logger {
	level := slog.LevelInfo
	if debug {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level}))
}

// Bridge leads the loggers of the libraries inside to root. It is the only code that touches them.
//
// Kubernetes and containerd log in the style of programs that are alone in a process: their informational lines would
// bury ours, so only warnings and errors pass unless debug is set. What passes is kept in the Hold, which the caller
// opens when the start has succeeded or failed; with debug nothing is kept.
func Bridge(root *slog.Logger, debug bool) (*Hold, error) {
	hold := &Hold{never: debug}
	root = slog.New(holding{hold, root.Handler()})
	verbosity, containerd, floor := "0", logrus.WarnLevel, slog.LevelWarn
	if debug {
		verbosity, containerd, floor = "2", logrus.InfoLevel, slog.LevelInfo
	}
	if err := bridgeKubernetes(root.With("service", "kubernetes"), verbosity, floor); err != nil {
		return nil, err
	}
	logrus.SetLevel(containerd)
	logrus.SetOutput(io.Discard)
	logrus.SetReportCaller(true) // it tells kine from containerd
	logrus.AddHook(hook{containerd: root.With("service", "containerd"), kine: root.With("service", "datastore")})
	bridgeEtcdClient(root.With("service", "kubernetes"))
	stdlog.SetFlags(0)
	stdlog.SetOutput(lines{root.With("service", "library")})
	exit := klog.OsExit // upstream's way out of trouble; what it said before must not be lost
	klog.OsExit = func(code int) {
		hold.Tell()
		exit(code)
	}
	logrus.RegisterExitHandler(hold.Tell)
	return hold, nil
}

// hook passes logrus entries on: those of kine are the datastore's, all others containerd's.
type hook struct{ containerd, kine *slog.Logger }

func (hook) Levels() []logrus.Level { return logrus.AllLevels }

func (h hook) Fire(e *logrus.Entry) error {
	level := slog.LevelInfo
	switch {
	case e.Level <= logrus.ErrorLevel:
		level = slog.LevelError
	case e.Level == logrus.WarnLevel:
		level = slog.LevelWarn
	case e.Level >= logrus.DebugLevel:
		level = slog.LevelDebug
	}
	attrs := make([]any, 0, 2*len(e.Data))
	for _, key := range slices.Sorted(maps.Keys(e.Data)) {
		attrs = append(attrs, key, e.Data[key])
	}
	to := h.containerd
	if e.Caller != nil && strings.HasPrefix(e.Caller.Function, "github.com/k3s-io/kine/") {
		to = h.kine
	}
	to.Log(context.Background(), level, e.Message, attrs...)
	return nil
}

// lines turns what the standard logger writes, one line a call, into records. CoreDNS writes the level before the text.
type lines struct{ to *slog.Logger }

func (l lines) Write(text []byte) (int, error) {
	level, message := slog.LevelInfo, strings.TrimRight(string(text), "\n")
	if word, rest, found := strings.Cut(message, "] "); found {
		switch word {
		case "[DEBUG":
			level, message = slog.LevelDebug, rest
		case "[INFO":
			message = rest
		case "[WARNING":
			level, message = slog.LevelWarn, rest
		case "[ERROR", "[FATAL":
			level, message = slog.LevelError, rest
		}
	}
	l.to.Log(context.Background(), level, message)
	return len(text), nil
}
