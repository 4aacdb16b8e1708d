//go:build amd64 || arm64

package powercut

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Process is what Record runs.
type Process struct {
	Program string
	Args    []string // after its name
	Input   io.Reader
	// Dir is where the files lie that are of interest; it is there, and empty.
	Dir string
}

// call is a system call.
type call struct {
	number uintptr
	args   [5]uint64
}

// recorder follows a process.
type recorder struct {
	dir    string
	memory *os.File
	pid    int
	log    Log
	seen   map[int]bool               // threads
	after  map[int]func(result int64) // what to do when a thread's call has returned
	wrong  error
	files  map[uint64]uint64 // numbers of files by those of the kernel
	last   uint64            // the highest of ours
}

// folder is the number of all directories: they are told by their paths.
const folder = 1

// Record runs a process that calls Watch to its end, and gives what it asked of the disk, with what it said on its standard output.
// errors.ErrUnsupported says that this host lets nobody follow processes.
func Record(p Process) (Log, error) {
	type result struct {
		log Log
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // the kernel lets only one thread follow; it is thrown away
		r := &recorder{dir: p.Dir, seen: map[int]bool{}, after: map[int]func(int64){}, files: map[uint64]uint64{}, last: folder}
		err := r.run(p)
		done <- result{r.log, errors.Join(err, r.wrong)}
	}()
	all := <-done
	return all.log, all.err
}

func (r *recorder) run(p Process) error {
	input, err := os.CreateTemp("", "input")
	if err != nil {
		return err
	}
	defer func() { _ = errors.Join(input.Close(), os.Remove(input.Name())) }()
	if _, err := io.Copy(input, p.Input); err != nil {
		return err
	}
	if _, err := input.Seek(0, io.SeekStart); err != nil {
		return err
	}
	nowhere, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = nowhere.Close() }()
	child, err := os.StartProcess(p.Program, append([]string{p.Program}, p.Args...), &os.ProcAttr{
		Files: []*os.File{input, nowhere, os.Stderr}, Sys: &syscall.SysProcAttr{Ptrace: true, Setpgid: true}})
	if err != nil {
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	r.pid = child.Pid
	if r.memory, err = os.Open("/proc/" + strconv.Itoa(r.pid) + "/mem"); err != nil {
		return err
	}
	defer func() { _ = r.memory.Close() }()
	return r.follow()
}

// follow handles what stops the process until it has ended.
func (r *recorder) follow() error {
	var status unix.WaitStatus
	if _, err := unix.Wait4(r.pid, &status, unix.WALL, nil); err != nil {
		return err
	}
	if err := unix.PtraceSetOptions(r.pid, unix.PTRACE_O_TRACECLONE|unix.PTRACE_O_TRACESECCOMP|unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_EXITKILL); err != nil {
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	r.seen[r.pid] = true
	if err := unix.PtraceCont(r.pid, 0); err != nil {
		return err
	}
	for {
		tid, err := unix.Wait4(-r.pid, &status, unix.WALL, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case tid == r.pid && status.Exited():
			if code := status.ExitStatus(); code != 0 {
				return fmt.Errorf("the process ended with %d", code)
			}
			return nil
		case tid == r.pid && status.Signaled():
			return fmt.Errorf("the process was ended by %v", status.Signal())
		case status.Stopped():
			if err := r.stopped(tid, status); err != nil && !errors.Is(err, unix.ESRCH) { // it may have been ended meanwhile
				return err
			}
		}
	}
}

// stopped lets a thread go on after what it stopped for.
func (r *recorder) stopped(tid int, status unix.WaitStatus) error {
	const called = unix.SIGTRAP | 0x80
	switch signal := status.StopSignal(); {
	case signal == unix.SIGTRAP && status.TrapCause() == unix.PTRACE_EVENT_SECCOMP:
		return r.entered(tid)
	case signal == called:
		_, result, err := registers(tid)
		if do := r.after[tid]; do != nil && err == nil {
			do(result)
		}
		delete(r.after, tid)
		return errors.Join(err, unix.PtraceCont(tid, 0))
	case signal == unix.SIGTRAP, signal == unix.SIGSTOP && !r.seen[tid]:
		r.seen[tid] = true
		return unix.PtraceCont(tid, 0)
	default:
		return unix.PtraceCont(tid, int(signal))
	}
}

// entered notes a call that is about to be made.
func (r *recorder) entered(tid int) error {
	c, _, err := registers(tid)
	if err != nil {
		return err
	}
	then, err := r.note(generic(c))
	if err != nil {
		r.wrong = errors.Join(r.wrong, err)
	}
	if then == nil {
		return unix.PtraceCont(tid, 0)
	}
	r.after[tid] = then
	return unix.PtraceSyscall(tid, 0)
}

// note adds what a call does to the log, now or when it has returned.
func (r *recorder) note(c call) (then func(result int64), err error) {
	switch c.number {
	case unix.SYS_WRITE, unix.SYS_PWRITE64:
		return nil, r.write(c)
	case unix.SYS_FTRUNCATE:
		if path, file := r.file(c.args[0]); file != 0 {
			r.log.add(op{kind: truncate, path: path, file: file, offset: int64(c.args[1])})
		}
	case unix.SYS_FSYNC, unix.SYS_FDATASYNC:
		path, file := r.file(c.args[0])
		covers := len(r.log.ops)
		return func(result int64) {
			if file != 0 && result == 0 {
				r.log.add(op{kind: sync, path: path, file: file, covers: covers})
			}
		}, nil
	case unix.SYS_OPENAT:
		return r.open(r.text(c.args[1]), c.args[2]), nil
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2:
		from, to := r.text(c.args[1]), r.text(c.args[3])
		return r.named(op{kind: rename, path: from, to: to}), nil
	case unix.SYS_UNLINKAT:
		return r.named(op{kind: unlink, path: r.text(c.args[1])}), nil
	case unix.SYS_MKDIRAT:
		return r.named(op{kind: mkdir, path: r.text(c.args[1])}), nil
	default:
		if path, file := r.file(c.args[0]); file != 0 {
			return nil, fmt.Errorf("the call %d changes %s, and is not followed", c.number, path)
		}
	}
	return nil, nil
}

// named notes a change of names once it is made.
func (r *recorder) named(o op) func(int64) {
	if !r.inside(o.path) {
		return nil
	}
	return func(result int64) {
		if result == 0 {
			r.log.add(o)
		}
	}
}

func (r *recorder) write(c call) error {
	const output = 1
	path, file := r.file(c.args[0])
	if file == 0 && c.args[0] != output {
		if path != "" {
			return fmt.Errorf("%s was made by a call that is not followed", path)
		}
		return nil
	}
	data := make([]byte, c.args[2])
	if _, err := r.memory.ReadAt(data, int64(c.args[1])); err != nil {
		return fmt.Errorf("read what is written: %w", err)
	}
	if file == 0 {
		r.log.add(op{kind: said, data: data})
		return nil
	}
	o := op{kind: write, path: path, file: file, offset: int64(c.args[3]), data: data}
	if c.number == unix.SYS_WRITE {
		var err error
		if o.offset, err = r.position(c.args[0]); err != nil {
			return err
		}
	}
	r.log.add(o)
	return nil
}

// open notes a file that is made, or emptied, by being opened.
func (r *recorder) open(path string, flags uint64) func(int64) {
	if !r.inside(path) || flags&(unix.O_CREAT|unix.O_TRUNC) == 0 {
		return nil
	}
	_, err := os.Lstat(path)
	made := errors.Is(err, os.ErrNotExist)
	return func(result int64) {
		if result < 0 {
			return
		}
		if made {
			r.log.add(op{kind: create, path: path, file: r.made(uint64(result))})
		} else if _, file := r.file(uint64(result)); file != 0 && flags&unix.O_TRUNC != 0 {
			r.log.add(op{kind: truncate, path: path, file: file})
		}
	}
}

func (r *recorder) inside(path string) bool { return strings.HasPrefix(path, r.dir+"/") }

// file says which file a descriptor of the process is; the number is 0 for what is of no interest. Numbers are ours: the kernel gives
// those of files that are gone to others.
func (r *recorder) file(descriptor uint64) (path string, file uint64) {
	at := fmt.Sprintf("/proc/%d/fd/%d", r.pid, int32(descriptor))
	path, err := os.Readlink(at)
	path = strings.TrimSuffix(path, " (deleted)")
	var stat unix.Stat_t
	if err != nil || !r.inside(path) && path != r.dir || unix.Stat(at, &stat) != nil {
		return "", 0
	}
	if stat.Mode&unix.S_IFMT == unix.S_IFDIR {
		return path, folder
	}
	return path, r.files[stat.Ino]
}

// made gives a new file its number.
func (r *recorder) made(descriptor uint64) uint64 {
	var stat unix.Stat_t
	if unix.Stat(fmt.Sprintf("/proc/%d/fd/%d", r.pid, int32(descriptor)), &stat) != nil {
		return 0
	}
	r.last++
	r.files[stat.Ino] = r.last
	return r.last
}

// position is where a descriptor writes next.
func (r *recorder) position(descriptor uint64) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", r.pid, int32(descriptor)))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strconv.ParseInt(strings.TrimSpace(strings.TrimPrefix(first, "pos:")), 10, 64)
}

// text reads a path out of the process.
func (r *recorder) text(at uint64) string {
	buffer := make([]byte, unix.PathMax)
	n, _ := r.memory.ReadAt(buffer, int64(at)) // it may end at the end of a page
	path, _, _ := bytes.Cut(buffer[:n], []byte{0})
	return filepath.Clean(string(path))
}
