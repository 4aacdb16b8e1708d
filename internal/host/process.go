package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skerry-io/skerry/internal/fault"
)

// Processes is what outlives the node: container shims and the containers below them. Ours are those whose program
// lies under Programs, or that were told (by an argument -address) to talk to a socket under Runtime. Those of another Skerry in a
// container of this machine have the same paths and are not ours. Apply only records it.
type Processes struct {
	Programs string `json:"programs"` // <data-dir>/data
	Runtime  string `json:"runtime"`  // /run/skerry/containerd
}

func (p Processes) kind() string { return "processes" }
func (p Processes) id() string   { return p.Programs }
func (p Processes) live() bool   { return true }
func (p Processes) apply() error { return nil }

func (p Processes) before(known json.RawMessage) (json.RawMessage, error) {
	return beforePresence(known, func() (bool, error) { return false, nil })
}

// undo kills the containers first and the shims after them: a container whose shim is gone is found by nobody.
func (p Processes) undo(ctx context.Context, _ json.RawMessage) (string, error) {
	ctx, stop := context.WithTimeout(ctx, cgroupPatience)
	defer stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		all, err := readProcesses()
		if err != nil {
			return "", err
		}
		doomed := p.pick(all, os.Getpid())
		if len(doomed) == 0 {
			return "", nil
		}
		for _, victim := range doomed {
			if err := victim.kill(); err != nil {
				return "", err
			}
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return "", fault.New("kill %v", doomed).Because(ctx.Err()).Fix("see what they wait for: ps -o pid,stat,wchan,args -p PID")
		}
	}
}

// process is what /proc says of one.
type process struct {
	PID, Parent int
	Start       string // in clock ticks since boot: with PID it names the process for good
	State       byte
	PIDs        string // the namespace of its number: that of a container is another than the machine's
	Program     string
	Args        []string
}

func (p process) String() string { return fmt.Sprintf("%d (%s)", p.PID, filepath.Base(p.Program)) }

// pick gives the processes to kill, those deepest in the tree first. The asking process, its ancestors, and
// other commands of the same program (a `skerry kubectl`) are not among them, nor is what has ended already.
func (p Processes) pick(all []process, self int) []process {
	byPID := map[int]process{}
	for _, q := range all {
		byPID[q.PID] = q
	}
	spared := map[int]bool{}
	for pid := self; pid > 0 && !spared[pid]; pid = byPID[pid].Parent {
		spared[pid] = true
	}
	own := byPID[self]
	depth := func(q process) int {
		for d, seen := 1, map[int]bool{}; ; d++ {
			if spared[q.PID] || seen[q.PID] {
				return 0
			}
			if p.ours(q) && q.Program != own.Program && q.PIDs == own.PIDs {
				return d
			}
			seen[q.PID] = true
			parent, ok := byPID[q.Parent]
			if !ok {
				return 0
			}
			q = parent
		}
	}
	var doomed []process
	for _, q := range all {
		if q.State != 'Z' && depth(q) > 0 {
			doomed = append(doomed, q)
		}
	}
	slices.SortStableFunc(doomed, func(a, b process) int { return depth(b) - depth(a) })
	return doomed
}

// ours says whether the process itself, not a parent, is one of Skerry's.
func (p Processes) ours(q process) bool {
	if under(q.Program, p.Programs) {
		return true
	}
	i := slices.Index(q.Args, "-address")
	return i >= 0 && i+1 < len(q.Args) && under(strings.TrimPrefix(q.Args[i+1], "unix://"), p.Runtime)
}

// kill makes sure that the number still means the same process: FindProcess holds it, then it is looked at again.
func (p process) kill() error {
	held, err := os.FindProcess(p.PID)
	if err != nil {
		return err
	}
	defer func() { _ = held.Release() }() // frees the handle only
	now, ok := readProcess(p.PID)
	if !ok || now.Start != p.Start {
		return nil
	}
	if err := held.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p, err)
	}
	return nil
}

func readProcesses() ([]process, error) {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all []process
	for _, dir := range dirs {
		if pid, err := strconv.Atoi(dir.Name()); err == nil {
			if p, ok := readProcess(pid); ok {
				all = append(all, p)
			}
		}
	}
	return all, nil
}

// readProcess looks at one; false when it is gone.
func readProcess(pid int) (process, bool) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return process{}, false
	}
	p, ok := parseStat(stat)
	if !ok {
		return process{}, false
	}
	if exe, err := os.Readlink(filepath.Join(dir, "exe")); err == nil { // kernel threads have none
		p.Program = strings.TrimSuffix(exe, " (deleted)")
	}
	if pids, err := os.Readlink(filepath.Join(dir, "ns/pid")); err == nil { // what is ending has none
		p.PIDs = pids
	}
	if args, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil {
		p.Args = strings.Split(strings.TrimRight(string(args), "\x00"), "\x00")
	}
	return p, true
}

// parseStat reads /proc/PID/stat. The name in brackets may itself hold blanks and brackets.
func parseStat(text []byte) (process, bool) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return process{}, false
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(text[:open])))
	f := bytes.Fields(text[end+1:]) // state, parent, ..., the 20th is the start time
	if err != nil || len(f) < 20 {
		return process{}, false
	}
	parent, err := strconv.Atoi(string(f[1]))
	return process{PID: pid, Parent: parent, State: f[0][0], Start: string(f[19])}, err == nil
}
