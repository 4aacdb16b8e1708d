package testhost

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// collect writes the state of each running host beside the logs of its programs.
func (l *Lab) collect() {
	for _, h := range l.hosts {
		if !h.Up() {
			continue
		}
		var text strings.Builder
		for _, command := range [][]string{
			{"ip", "addr"}, {"ip", "route", "show", "table", "all"}, {"nft", "list", "ruleset"},
			{"cat", "/proc/self/mountinfo"}, {"df", "-h"},
		} {
			fmt.Fprintf(&text, "=== %s\n%s\n", strings.Join(command, " "), h.briefly(command))
		}
		fmt.Fprintf(&text, "=== processes\n%s\n", strings.Join(h.Processes(), "\n"))
		for _, report := range l.diag {
			fmt.Fprintf(&text, "%s\n", report(h))
		}
		_ = os.WriteFile(filepath.Join(l.logs, h.name+"-state.txt"), []byte(text.String()), 0o644)
	}
}

func (h *Host) briefly(command []string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := h.Run(ctx, command...)
	if err != nil {
		return out + err.Error()
	}
	return out
}

// Processes lists the host's processes as "PID command line", with the process numbers of the host.
func (h *Host) Processes() []string {
	var all []string
	dirs, _ := filepath.Glob(h.Root() + "/proc/[0-9]*")
	for _, dir := range dirs {
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || len(line) == 0 {
			continue // ended meanwhile, or a zombie
		}
		words := strings.TrimRight(strings.ReplaceAll(string(line), "\x00", " "), " ")
		all = append(all, filepath.Base(dir)+" "+words)
	}
	return all
}
