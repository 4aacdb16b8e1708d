package network

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"

	"github.com/skerry-io/skerry/agent/network/overlay"
	"github.com/skerry-io/skerry/internal/durable"
)

// memory is what the list of nodes said last, on disk: with it a node that was rebooted while no server can be reached
// sends to the others, and takes what they send.
type memory struct {
	path string
	text []byte // what lies there
	seen
}

// seen is the part of the list that matters to this node.
type seen struct {
	Own   []netip.Prefix `json:"own"` // this node's ranges
	Type  string         `json:"type"`
	Peers []overlay.Peer `json:"peers"`
}

// recall reads the file; there is none before the first list was seen.
func recall(path string) (*memory, error) {
	m := &memory{path: path}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	var s seen
	if err := json.Unmarshal(text, &s); err != nil {
		return m, fmt.Errorf("%s: %w", path, err)
	}
	for i := range s.Peers {
		if string(s.Peers[i].Data) == "null" {
			s.Peers[i].Data = nil
		}
	}
	m.text, m.seen = text, s
	return m, nil
}

// keep writes what was seen, when that is something new.
func (m *memory) keep(s seen) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	m.seen = s
	if bytes.Equal(text, m.text) {
		return nil
	}
	if err := durable.WriteFile(m.path, text, 0o600); err != nil {
		return fmt.Errorf("remember the other nodes: %w", err)
	}
	m.text = text
	return nil
}

// peers are those that were seen last, when they used the same kind of backend.
func (m *memory) peers(kind string) []overlay.Peer {
	if m.Type != kind {
		return nil
	}
	return m.Peers
}
