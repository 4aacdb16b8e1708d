package testdb

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// User and Password are those of every database.
	User     = "skerry"
	Password = "correct horse/battery@staple"
	// nobody is the user that databases run as when the test is root.
	nobody = 65534
	// patience is how long a database may take to start or to end.
	patience = 30 * time.Second
)

// Server is one database server.
type Server struct {
	// Port is where it listens, on 127.0.0.1.
	Port int
	// CA, Cert and Key are the files of its certificates: the authority, and the server's own pair.
	CA, Cert, Key string

	t       testing.TB
	at      []netip.Addr // where it is reached, besides 127.0.0.1
	dir     string
	program string
	args    []string
	answers func(ctx context.Context) error
	running *exec.Cmd
	ended   chan error
}

// program finds what a package installs, in PATH or where pattern says.
func program(t testing.TB, name, pattern, debian string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	found, _ := filepath.Glob(pattern)
	if len(found) > 0 {
		slices.Sort(found)
		return found[len(found)-1]
	}
	say := t.Fatalf
	if os.Getuid() != 0 {
		say = t.Skipf
	}
	say("%s is not installed; run: scripts/deps databases (it installs the package %s)", name, debian)
	return ""
}

// folder makes a directory that the database's user owns.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "skerry-db-") // short: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	give(t, dir)
	return dir
}

func give(t testing.TB, path string) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	if err := os.Chown(path, nobody, nobody); err != nil {
		t.Fatal(err)
	}
}

// command runs a program as the database's user.
func (s *Server) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, program, args...)
	c.Dir = s.dir
	c.Env = []string{"HOME=" + s.dir, "PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 {
		c.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	return c
}

// must runs a program to its end.
func (s *Server) must(program string, args ...string) {
	s.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	if out, err := s.command(ctx, program, args...).CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", filepath.Base(program), err, out)
	}
}

// Start runs the server, and returns when it answers.
func (s *Server) Start() {
	s.t.Helper()
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.running = s.command(context.Background(), s.program, s.args...)
	s.running.Stdout, s.running.Stderr = log, log
	started, ended := make(chan error), make(chan error, 1)
	s.ended = ended
	go live(s.running, log, started, ended)
	if err := <-started; err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	for s.answers(ctx) != nil {
		select {
		case err := <-s.ended:
			s.ended <- err
			s.t.Fatalf("%s ended: %v\n%s", filepath.Base(s.program), err, s.log())
		case <-ctx.Done():
			s.t.Fatalf("%s does not answer\n%s", filepath.Base(s.program), s.log())
		case <-time.After(30 * time.Millisecond):
		}
	}
}

// live runs a program. Its thread stays what it is until the program ends, as the kernel kills the program with the thread that began it.
func live(program *exec.Cmd, log *os.File, started, ended chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer log.Close()
	err := program.Start()
	started <- err
	if err == nil {
		ended <- program.Wait()
	}
}

func (s *Server) log() string {
	text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(text)
}

// Stop ends the server in a hurry: connections are cut off.
func (s *Server) Stop() {
	if s.running == nil {
		return
	}
	_ = s.running.Process.Signal(syscall.SIGQUIT)
	select {
	case <-s.ended:
	case <-time.After(patience):
		_ = s.running.Process.Kill()
		<-s.ended
	}
	s.running = nil
}

// begin is the first Start, with the end of the test as the last Stop.
func (s *Server) begin() {
	s.t.Helper()
	s.t.Cleanup(s.Stop)
	s.Start()
}

// freePort is one that nobody listens on now.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// escaped is the password as it stands in a URL.
func escaped() string {
	return strings.NewReplacer(" ", "%20", "/", "%2F", "@", "%40").Replace(Password)
}

func (s *Server) write(name, text string, mode os.FileMode) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		s.t.Fatal(err)
	}
	give(s.t, path)
	return path
}

func (s *Server) flag(name string, value any) string { return fmt.Sprintf("--%s=%v", name, value) }
