package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/internal/fault"
)

// ErrNotRunning says that no process has the socket open.
var ErrNotRunning = errors.New("no node runs on this host")

// Silent is a process that has the socket open and does not answer.
type Silent struct{ PID int }

// Error names the process.
func (s *Silent) Error() string {
	return fmt.Sprintf("process %d runs and does not answer", s.PID)
}

// Ask asks the process that serves the socket at path. The error is ErrNotRunning, a *Silent when ctx ends first, or says
// why the socket cannot be used.
func Ask(ctx context.Context, path string) (Report, error) {
	var pid atomic.Int64
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if unixConn, ok := conn.(*net.UnixConn); ok && err == nil {
			pid.Store(int64(peer(unixConn)))
		}
		return conn, err
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://skerry"+pathStatus, http.NoBody)
	if err != nil {
		return Report{}, err
	}
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return Report{}, explain(err, path, int(pid.Load()), ctx.Err() != nil)
	}
	defer answer.Body.Close()
	var report Report
	if err := json.NewDecoder(answer.Body).Decode(&report); err != nil {
		return Report{}, explain(err, path, int(pid.Load()), ctx.Err() != nil)
	}
	return report, nil
}

// explain makes of an error what it means for the process behind the socket.
func explain(err error, path string, pid int, late bool) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return ErrNotRunning // a socket that nobody listens on is left over from a process that was killed
	case errors.Is(err, fs.ErrPermission):
		return fault.New("ask the node on this host").Because(fs.ErrPermission).Fix("run it as root")
	case late:
		return &Silent{PID: pid}
	}
	return fault.New("ask the node at %s", path).Because(err).Fix("try again: it may just be starting or stopping")
}

// peer is the process that listens at the other end, 0 when that cannot be told.
func peer(conn *net.UnixConn) int {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	if err := raw.Control(func(fd uintptr) {
		if who, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(who.Pid)
		}
	}); err != nil {
		return 0
	}
	return pid
}
