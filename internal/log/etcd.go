package log

import (
	"context"
	"log/slog"
	"strings"
	_ "unsafe" // for the link to the logger

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// etcdClient is the logger of the API server's clients of the datastore. It is made before main begins and writes JSON to stderr, and nothing
// else leads to it.
//
//go:linkname etcdClient k8s.io/apiserver/pkg/storage/storagebackend/factory.etcd3ClientLogger
var etcdClient *zap.Logger

// bridgeEtcdClient leads the warnings of the API server's clients of the datastore to a logger.
func bridgeEtcdClient(to *slog.Logger) {
	form := zapcore.NewConsoleEncoder(zapcore.EncoderConfig{MessageKey: "message", ConsoleSeparator: " "})
	etcdClient = zap.New(zapcore.NewCore(form, zapcore.AddSync(warnings{to}), zapcore.WarnLevel))
}

// warnings turns each line that is written into a record.
type warnings struct{ to *slog.Logger }

func (w warnings) Write(text []byte) (int, error) {
	w.to.Log(context.Background(), slog.LevelWarn, "etcd client: "+strings.TrimRight(string(text), "\n"))
	return len(text), nil
}
