package log

import (
	"context"
	"flag"
	"io"
	stdlog "log"
	"log/slog"
	"strings"

	"github.com/go-logr/logr"
	"github.com/sirupsen/logrus"
	logsapi "k8s.io/component-base/logs/api/v1"
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
// opens when the start has succeeded or failed; with debug it is open.
func Bridge(root *slog.Logger, debug bool) (*Hold, error) {
	hold := &Hold{passing: debug}
	root = slog.New(holding{hold, root.Handler()})
	verbosity, containerd, floor := "0", logrus.WarnLevel, slog.LevelWarn
	if debug {
		verbosity, containerd, floor = "2", logrus.InfoLevel, slog.LevelInfo
	}
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	if err := flags.Set("v", verbosity); err != nil {
		return nil, err
	}
	handler := above{floor, root.With("service", "kubernetes").Handler()}
	klog.SetLoggerWithOptions(logr.FromSlogHandler(handler), klog.ContextualLogger(true))
	// Several Kubernetes programs live here, and each would apply its own logging options.
	logsapi.ReapplyHandling = logsapi.ReapplyHandlingIgnoreUnchanged

	logrus.SetLevel(containerd)
	logrus.SetOutput(io.Discard)
	logrus.AddHook(hook{root.With("service", "containerd")})
	stdlog.SetFlags(0)
	stdlog.SetOutput(lines{root.With("service", "library")})
	exit := klog.OsExit // upstream's way out of trouble; what it said before must not be lost
	klog.OsExit = func(code int) {
		hold.Tell()
		exit(code)
	}
	return hold, nil
}

// above drops records below a level of its own.
type above struct {
	floor slog.Level
	slog.Handler
}

func (h above) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.floor && h.Handler.Enabled(ctx, level)
}
func (h above) WithAttrs(attrs []slog.Attr) slog.Handler {
	return above{h.floor, h.Handler.WithAttrs(attrs)}
}
func (h above) WithGroup(name string) slog.Handler { return above{h.floor, h.Handler.WithGroup(name)} }

// hook passes logrus entries on.
type hook struct{ to *slog.Logger }

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
	for key, value := range e.Data {
		attrs = append(attrs, key, value)
	}
	h.to.Log(context.Background(), level, e.Message, attrs...)
	return nil
}

// lines turns what the standard logger writes, one line a call, into records.
type lines struct{ to *slog.Logger }

func (l lines) Write(text []byte) (int, error) {
	l.to.Info(strings.TrimRight(string(text), "\n"))
	return len(text), nil
}
