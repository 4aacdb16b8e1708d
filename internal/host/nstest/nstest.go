package nstest

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// mark is set for the test that runs inside, to its own name.
const mark = "SKERRY_NSTEST"

// Inside runs the calling test again in a process with its own mount, network, PID, IPC and UTS namespace, and says
// whether this is that process. The caller returns at once when it is not:
//
//	if !nstest.Inside(t) {
//		return
//	}
//
// There every mount is private and no interface is up. See Proc for /proc.
func Inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv(mark) == t.Name() {
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("needs root to make namespaces")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), mark+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		Unshareflags: syscall.CLONE_NEWNS, // makes every mount private
		Pdeathsig:    syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	if os.IsPermission(err) {
		t.Skipf("no namespaces here: %v", err)
	}
	if err != nil {
		t.Errorf("%s\ninside: %v", out, err)
	}
	if testing.Verbose() {
		t.Logf("%s", out)
	}
	return false
}

// Proc mounts a /proc of this PID namespace, which Inside alone does not.
func Proc(t *testing.T) {
	t.Helper()
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		t.Skipf("cannot mount /proc: %v", err)
	}
}
