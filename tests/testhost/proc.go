package testhost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const hostPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Proc is a program that runs in a host.
type Proc struct {
	// Log is the file that has what the program writes.
	Log string

	cmd  *exec.Cmd
	done chan struct{}
	err  error // read after done
}

// Start runs a program in the background; what it writes goes to a file in Lab.Logs.
func (h *Host) Start(args ...string) *Proc {
	h.lab.t.Helper()
	if !h.Up() {
		h.lab.t.Fatalf("start %s: host %s is off", args[0], h.name)
	}
	path, log := h.newLog(filepath.Base(args[0]))
	defer log.Close()
	cmd := &exec.Cmd{Args: args, Stdout: log, Stderr: log}
	if err := h.start(cmd); err != nil {
		h.lab.t.Fatalf("start %s in host %s: %v", args[0], h.name, err)
	}
	p := &Proc{Log: path, cmd: cmd, done: make(chan struct{})}
	h.procs = append(h.procs, p)
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p
}

// Run runs a program to its end and returns what it wrote to its standard output. The error of a program that ended with
// another code than zero has what it wrote to its standard error.
func (h *Host) Run(ctx context.Context, args ...string) (string, error) {
	return h.RunWith(ctx, nil, args...)
}

// RunWith is Run with something on the program's standard input.
func (h *Host) RunWith(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	if !h.Up() {
		return "", fmt.Errorf("run %s: host %s is off", args[0], h.name)
	}
	var out, errs bytes.Buffer
	cmd := &exec.Cmd{Args: args, Stdin: stdin, Stdout: &out, Stderr: &errs}
	if err := h.start(cmd); err != nil {
		return "", fmt.Errorf("run %s: %w", args[0], err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	if err := cmd.Wait(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", strings.Join(args, " "), errors.Join(err, ctx.Err()), strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// Signal sends a signal to the program, not to its children.
func (p *Proc) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Kill ends the program with SIGKILL and waits for it.
func (p *Proc) Kill() {
	_ = p.Signal(syscall.SIGKILL)
	<-p.done
}

// Pid is the program's process number as the machine sees it.
func (p *Proc) Pid() int { return p.cmd.Process.Pid }

// Running says whether the program still runs.
func (p *Proc) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Wait returns how the program ended (nil for exit code 0), or an error when it still runs after timeout.
func (p *Proc) Wait(timeout time.Duration) error {
	select {
	case <-p.done:
		return p.err
	case <-time.After(timeout):
		return fmt.Errorf("%s still runs after %v", p.cmd.Args[0], timeout)
	}
}

// Output is what the program has written until now.
func (p *Proc) Output() string {
	text, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (h *Host) newLog(program string) (string, *os.File) {
	h.lab.t.Helper()
	for n := 1; ; n++ {
		path := filepath.Join(h.lab.logs, fmt.Sprintf("%s-%s-%d.log", h.name, program, n))
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		h.lab.must(err, "open a log file")
		return path, f
	}
}

func (h *Host) start(cmd *exec.Cmd) error {
	cmd.Dir = "/"
	cmd.Env = append([]string{"PATH=" + hostPath, "HOME=/root", "LANG=C.UTF-8", "TERM=dumb"}, h.env...)
	return h.power.start(cmd, 0, h.power.inside)
}

// start forks from a thread that is in the host's cgroups and namespaces.
func (p *power) start(cmd *exec.Cmd, clone uintptr, inside namespaces) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: clone, Setsid: true}
	if p.groups.v2 != "" {
		dir := p.groups.leaf
		if inside == nil {
			dir = p.groups.v2 // the root of the cgroup namespace that PID 1 makes; it moves itself to the leaf
		}
		group, err := os.Open(dir)
		if err != nil {
			return fmt.Errorf("open cgroup: %w", err)
		}
		defer group.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(group.Fd())
	}
	return onOwnThread(func() error {
		if err := p.groups.joinThread(); err != nil {
			return err
		}
		if inside == nil {
			return cmd.Start()
		}
		if err := inside.enter(); err != nil {
			return err
		}
		var err error
		if cmd.Path, err = findProgram(cmd.Args[0]); err != nil {
			return err
		}
		return cmd.Start()
	})
}

// findProgram looks in the host's own folders, so its thread must be in the host.
func findProgram(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for dir := range strings.SplitSeq(hostPath, ":") {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}
