package log

import (
	"bytes"
	"context"
	"flag"
	"log/slog"

	"github.com/go-logr/logr"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"
)

// bridgeKubernetes leads klog to a logger. verbosity is klog's own; records below floor are dropped.
func bridgeKubernetes(to *slog.Logger, verbosity string, floor slog.Level) error {
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	if err := flags.Set("v", verbosity); err != nil {
		return err
	}
	handler := above{floor, to.Handler()}
	klog.SetLoggerWithOptions(logr.FromSlogHandler(handler), klog.ContextualLogger(true), klog.WriteKlogBuffer(unstructured(handler)))
	// Several Kubernetes programs live here, and each would apply its own logging options.
	logsapi.ReapplyHandling = logsapi.ReapplyHandlingIgnoreUnchanged
	return nil
}

// unstructured makes records of klog's text lines. Left to itself, klog hands on a warning, and the last words of a
// program that gives up, as mere information.
func unstructured(to slog.Handler) func([]byte) {
	logger := slog.New(to)
	return func(line []byte) {
		if len(line) == 0 {
			return
		}
		level := slog.LevelError
		switch line[0] { // "W0102 15:04:05.000000   1 file.go:12] text"
		case 'I':
			level = slog.LevelInfo
		case 'W':
			level = slog.LevelWarn
		}
		text := line
		if _, after, found := bytes.Cut(line, []byte("] ")); found {
			text = after
		}
		logger.Log(context.Background(), level, string(bytes.TrimRight(text, "\n")))
	}
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
