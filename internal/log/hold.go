package log

import (
	"context"
	"log/slog"
	"sync"
)

// holdMost bounds how many records are held back.
const holdMost = 500

// Hold keeps the records of the libraries inside until it is known whether they matter. While a node starts its parts
// look for each other and complain, at error level, about what is there a second later: after a good start nobody
// needs to read that, after a bad one everybody does.
type Hold struct {
	never bool // nothing is held back

	mu      sync.Mutex // guards what follows
	passing bool
	kept    []held
}

type held struct {
	to     slog.Handler
	record slog.Record
}

// Again holds records back once more, while the node stops.
func (h *Hold) Again() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.passing = false
}

// Forget drops what was held; from now on records pass.
func (h *Hold) Forget() { h.open() }

// Tell writes what was held; from now on records pass.
func (h *Hold) Tell() {
	for _, k := range h.open() {
		_ = k.to.Handle(context.Background(), k.record)
	}
}

func (h *Hold) open() []held {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := h.kept
	h.passing, h.kept = true, nil
	return kept
}

// keep says whether the record was taken. Of too many, the oldest go.
func (h *Hold) keep(to slog.Handler, record slog.Record) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.passing || h.never {
		return false
	}
	if len(h.kept) == holdMost {
		h.kept = h.kept[1:]
	}
	h.kept = append(h.kept, held{to, record.Clone()})
	return true
}

// holding is a handler that asks its Hold first.
type holding struct {
	hold *Hold
	slog.Handler
}

func (h holding) Handle(ctx context.Context, record slog.Record) error {
	if lastWord(record.Message) {
		h.hold.Tell()
	}
	if h.hold.keep(h.Handler, record) {
		return nil
	}
	return h.Handler.Handle(ctx, record)
}

func (h holding) WithAttrs(attrs []slog.Attr) slog.Handler {
	return holding{h.hold, h.Handler.WithAttrs(attrs)}
}

func (h holding) WithGroup(name string) slog.Handler {
	return holding{h.hold, h.Handler.WithGroup(name)}
}

// lastWord says that a library ends the process right after this message, by os.Exit, so that nobody can tell later what
// was held: the kubelet does so in initializeRuntimeDependentModules and Run (pkg/kubelet/kubelet.go).
func lastWord(message string) bool {
	switch message {
	case "Failed to start cAdvisor", "Kubelet failed to get node info", "Failed to start ContainerManager", "Failed to initialize internal modules":
		return true
	}
	return false
}
