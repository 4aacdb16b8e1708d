// Command stockkine serves kine's sqlite as its makers do, for the datastore's benchmark: with cgo over mattn's driver, without over
// modernc's. It is a module of its own so that the product needs no C compiler.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/k3s-io/kine/pkg/drivers"
	"github.com/k3s-io/kine/pkg/drivers/generic"
	"github.com/k3s-io/kine/pkg/drivers/sqlite"
	"github.com/k3s-io/kine/pkg/server"
	"github.com/sirupsen/logrus"
	"google.golang.org/grpc"
)

// parameters are kine's own, but for how much a commit syncs.
const parameters = "_journal_mode=WAL&_busy_timeout=30000&_txlock=immediate&_stmt_cache_size=20&cache=shared&_kine_disable_startup_vacuum=true&_synchronous="

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: stockkine DIRECTORY NORMAL|FULL; it serves until its input ends")
		os.Exit(2)
	}
	logrus.SetLevel(logrus.ErrorLevel)
	if err := serve(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "stockkine:", err)
		os.Exit(1)
	}
}

// serve answers on a socket in the directory, and says where when it does.
func serve(dir, synchronous string) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var running sync.WaitGroup
	_, backend, err := sqlite.New(ctx, &running, &drivers.Config{
		DataSourceName:       filepath.Join(dir, "state.db") + "?" + parameters + synchronous,
		ConnectionPoolConfig: generic.ConnectionPoolConfig{MaxIdle: 2, MaxOpen: 4},
		CompactInterval:      5 * time.Minute,
		CompactTimeout:       5 * time.Second,
		CompactMinRetain:     1000,
		CompactBatchSize:     1000,
		PollBatchSize:        500,
	})
	if err != nil {
		return err
	}
	if err := backend.Start(ctx); err != nil {
		return err
	}
	socket := filepath.Join(dir, "s.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	srv := grpc.NewServer(grpc.MaxRecvMsgSize(2<<20), grpc.MaxSendMsgSize(1<<31-1))
	server.New(backend, "unix", 5*time.Second, "3.5.13").Register(srv)
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(listener) }()
	fmt.Println("unix://" + socket)
	_, err = io.Copy(io.Discard, os.Stdin)
	srv.Stop()
	stop()
	running.Wait()
	if over := <-ended; !errors.Is(over, grpc.ErrServerStopped) {
		err = errors.Join(err, over)
	}
	return err
}
