package wallclock

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// probe is what the test binary is called when it is the program with another clock.
const probe = "probe"

func TestMain(m *testing.M) {
	var err error
	switch filepath.Base(os.Args[0]) {
	case Name:
		err = Main(os.Args[1:])
	case probe:
		err = looks(os.Args)
	default:
		m.Run()
		return
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// looks executes itself from another thread, as programs do that unpack themselves, and does then what it is told to.
func looks(args []string) error {
	fmt.Println(time.Now().Unix())
	if len(args) == 1 {
		failed := make(chan error)
		go func() { failed <- syscall.Exec(args[0], append(args, "again"), os.Environ()) }()
		return <-failed
	}
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		said, err := look(input.Text())
		if err != nil {
			said = err.Error()
		}
		fmt.Println(said)
	}
	return input.Err()
}

func look(what string) (string, error) {
	switch what {
	case "now":
		return strconv.FormatInt(time.Now().Unix(), 10), nil
	case "measured":
		began := time.Now()
		time.Sleep(100 * time.Millisecond)
		return time.Since(began).Round(100 * time.Millisecond).String(), nil
	case "known":
		var t unix.Timex
		state, err := unix.Adjtimex(&t)
		return strconv.FormatBool(state != unix.TIME_ERROR), err
	case "child":
		out, err := exec.Command("date", "+%s").Output()
		return strings.TrimSpace(string(out)), err
	case "step":
		return step()
	}
	at, err := strconv.ParseInt(what, 10, 64)
	if err != nil {
		return "", err
	}
	to := unix.NsecToTimespec(at * int64(time.Second))
	return "set", unix.ClockSettime(unix.CLOCK_REALTIME, &to)
}

// step waits until the clock is set.
func step() (string, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return "", err
	}
	never := &unix.ItimerSpec{Value: unix.NsecToTimespec(math.MaxInt32 * int64(time.Second))}
	if err := unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, never, nil); err != nil {
		return "", err
	}
	file := os.NewFile(uintptr(fd), "timer")
	defer file.Close()
	fmt.Println("waiting")
	if _, err = file.Read(make([]byte, 8)); errors.Is(err, syscall.ECANCELED) {
		return "stepped", nil
	}
	return "it came", err
}

// program is one with another clock.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.Writer
	out   *bufio.Scanner
	clock Clock
}

func start(t *testing.T, at time.Time) *program {
	t.Helper()
	if why := Cannot(); why != "" {
		t.Skip(why)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "clock") // that of the test has a name too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Symlink(self, filepath.Join(dir, probe)); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	p := &program{t: t, clock: Clock(socket), cmd: exec.Command(self, "run", socket, at.UTC().Format(time.RFC3339), filepath.Join(dir, probe))}
	p.cmd.Args[0], p.cmd.Stderr = Name, os.Stderr
	in, err1 := p.cmd.StdinPipe()
	out, err2 := p.cmd.StdoutPipe()
	if err := errors.Join(err1, err2, p.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	p.in, p.out = in, bufio.NewScanner(out)
	t.Cleanup(func() {
		_ = in.Close()
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
	return p
}

func (p *program) said() string {
	p.t.Helper()
	if !p.out.Scan() {
		p.t.Fatalf("it says nothing: %v", p.out.Err())
	}
	return p.out.Text()
}

func (p *program) do(what string) string {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.in, what); err != nil {
		p.t.Fatal(err)
	}
	return p.said()
}

// near wants a time in seconds that is about another.
func (p *program) near(what, said string, want time.Time) {
	p.t.Helper()
	at, err := strconv.ParseInt(said, 10, 64)
	if err != nil || time.Unix(at, 0).Sub(want).Abs() > 5*time.Second {
		p.t.Errorf("%s: it is %s for it, not %s; %v", what, time.Unix(at, 0), want, err)
	}
}

func TestAnotherClock(t *testing.T) {
	boot := time.Unix(20, 0)
	p := start(t, boot)
	p.near("at the start", p.said(), boot)
	p.near("as another program", p.said(), boot)
	p.near("its child", p.do("child"), time.Now())
	if got := p.do("measured"); got != "100ms" {
		t.Errorf("it measures %s", got)
	}
	if got := p.do("known"); got != "false" {
		t.Errorf("somebody keeps it: %s", got)
	}
	own := time.Date(2027, time.May, 5, 12, 0, 0, 0, time.UTC)
	if got := p.do(strconv.FormatInt(own.Unix(), 10)); got != "set" {
		t.Errorf("setting it: %s", got)
	}
	p.near("when it has set it", p.do("now"), own)
	if now, err := p.clock.Now(); err != nil || now.Sub(own).Abs() > 5*time.Second {
		t.Errorf("the test is told %s, %v", now, err)
	}
	if got := p.do("step"); got != "waiting" || p.said() != "stepped" {
		t.Errorf("what came before was not told: %s", got)
	}
	if got := p.do("step"); got != "waiting" {
		t.Errorf("it says %s", got)
	}
	right := own.AddDate(1, 0, 0)
	if err := p.clock.Set(right); err != nil {
		t.Fatal(err)
	}
	if got := p.said(); got != "stepped" {
		t.Errorf("when it is set meanwhile: %s", got)
	}
	p.near("when somebody has set it", p.do("now"), right)
	if got := p.do("known"); got != "true" {
		t.Errorf("somebody keeps it: %s", got)
	}
	if year := time.Now().Year(); year < 2026 {
		t.Errorf("the machine's clock says %d", year)
	}
}

func TestTheProgramIsTheProcessThatWasStarted(t *testing.T) {
	p := start(t, time.Unix(20, 0))
	p.said()
	p.said()
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.cmd.Process.Pid)); err != nil || !strings.Contains(string(name), "again") {
		t.Errorf("it is %q, %v", name, err)
	}
	for _, signal := range []os.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		if err := p.cmd.Process.Signal(signal); err != nil {
			t.Error(err)
		}
	}
	p.near("after a stop", p.do("now"), time.Unix(20, 0))
}

func TestWrongWords(t *testing.T) {
	for _, args := range [][]string{nil, {"run"}, {"run", "/s", "1970-01-01T00:00:20Z"}, {"walk", "a", "b", "c"}} {
		if err := Main(args); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
