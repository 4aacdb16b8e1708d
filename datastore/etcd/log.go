package etcd

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// repeats is how often the same sentence of etcd may come. It has some that it says for each message to a peer that is gone.
const repeats = time.Minute

// telling are the warnings of etcd that an operator can do something about.
func telling(message string) bool {
	switch message {
	case "slow fdatasync", "leader failed to send out heartbeat on time; took too long, leader is overloaded likely from slow disk",
		"prober detected unhealthy status", "prober found high clock drift":
		return true
	}
	return false
}

// harmless says that etcd calls an error what is none: that it stops serving when it is stopped, and that a member that is new or was
// restored does not know yet in which version its database is.
func harmless(message string) bool {
	switch message {
	case "setting up serving from embedded etcd failed.", "failed to update storage version":
		return true
	}
	return false
}

// logger hands etcd's log on. What etcd says by the way is for debugging, and so are most of its warnings, which begin with its own
// settings. When etcd would end the process, broken is told why instead, and only the goroutine ends: what runs beside it can then end
// in order.
func logger(log *slog.Logger, broken func(error)) *zap.Logger {
	last := lastWord{broken}
	core := zapcore.NewSamplerWithOptions(core{log.Handler()}, repeats, 1, 0)
	return zap.New(core, zap.WithFatalHook(last), zap.WithPanicHook(last))
}

// core is zap's interface to a place where lines go.
type core struct{ slog.Handler }

func (c core) Enabled(level zapcore.Level) bool {
	return c.Handler.Enabled(context.Background(), levelOf(level))
}

// levelOf is the highest that a line of this level may have.
func levelOf(level zapcore.Level) slog.Level {
	switch {
	case level >= zapcore.ErrorLevel:
		return slog.LevelError
	case level == zapcore.WarnLevel:
		return slog.LevelWarn
	case level == zapcore.InfoLevel:
		return slog.LevelDebug
	}
	return slog.LevelDebug - 4
}

func (c core) With(fields []zapcore.Field) zapcore.Core {
	return core{c.Handler.WithAttrs(attrs(fields))}
}

func (c core) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

func (c core) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	level := levelOf(entry.Level)
	if harmless(entry.Message) || level == slog.LevelWarn && !telling(entry.Message) {
		level = slog.LevelDebug
	}
	if !c.Handler.Enabled(context.Background(), level) {
		return nil
	}
	record := slog.NewRecord(entry.Time, level, "etcd: "+entry.Message, 0)
	record.AddAttrs(attrs(fields)...)
	return c.Handle(context.Background(), record)
}

func (core) Sync() error { return nil }

func attrs(fields []zapcore.Field) (all []slog.Attr) {
	values := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(values)
		if v, there := values.Fields[f.Key]; there {
			all = append(all, slog.Any(f.Key, v))
		}
	}
	return all
}

// lastWord is what happens instead of the end of the process.
type lastWord struct{ broken func(error) }

func (l lastWord) OnWrite(entry *zapcore.CheckedEntry, fields []zapcore.Field) {
	err := fmt.Errorf("etcd: %s", entry.Message)
	for _, f := range fields {
		if why, is := f.Interface.(error); is && f.Type == zapcore.ErrorType {
			err = fmt.Errorf("%w: %w", err, why)
		}
	}
	l.broken(err)
	runtime.Goexit()
}
