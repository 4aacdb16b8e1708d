package host

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/skerry-io/skerry/internal/fault"
)

// Sysctl is a kernel setting. It is not written, and not in the ledger, when the host has the value already.
type Sysctl struct {
	Key  string `json:"key"` // net.ipv4.ip_forward; with slashes when a part has a dot: net/ipv4/conf/eth0.7/forwarding
	Want string `json:"want"`
}

type sysctlBefore struct {
	Value string `json:"value"`
}

func (s Sysctl) kind() string { return "sysctl" }
func (s Sysctl) id() string   { return s.Key }
func (s Sysctl) live() bool   { return true }

// before remembers the value that someone else set. That is the one found at the first time, or a later one which
// is neither that nor ours: an admin or a reboot put it there.
func (s Sysctl) before(known json.RawMessage) (json.RawMessage, error) {
	now, err := s.read()
	if err != nil {
		return nil, err
	}
	if now == s.Want {
		return known, nil // ours already, or nothing to do
	}
	return json.Marshal(sysctlBefore{Value: now})
}

func (s Sysctl) apply() error {
	now, err := s.read()
	if err != nil || now == s.Want {
		return err
	}
	if err := os.WriteFile(s.path(), []byte(s.Want), 0o644); err != nil {
		return fault.New("set sysctl %s = %s", s.Key, s.Want).Because(err).Fix("set it on the host: sysctl -w %s=%q", s.Key, s.Want)
	}
	return nil
}

func (s Sysctl) undo(_ context.Context, before json.RawMessage) (string, error) {
	var old sysctlBefore
	if err := json.Unmarshal(before, &old); err != nil {
		return "", err
	}
	now, err := s.read()
	if os.IsNotExist(err) {
		return "", nil // went away with its interface
	}
	if err != nil {
		return "", err
	}
	switch now {
	case old.Value:
		return "", nil
	case s.Want:
		return "", os.WriteFile(s.path(), []byte(old.Value), 0o644)
	}
	return fmt.Sprintf("someone set it to %q since", now), nil
}

func (s Sysctl) path() string {
	if strings.Contains(s.Key, "/") {
		return "/proc/sys/" + s.Key
	}
	return "/proc/sys/" + strings.ReplaceAll(s.Key, ".", "/")
}

// read gives the value with its blanks made single, as the kernel separates by tabs.
func (s Sysctl) read() (string, error) {
	text, err := os.ReadFile(s.path())
	if err != nil {
		return "", fmt.Errorf("sysctl %s: %w", s.Key, err)
	}
	return strings.Join(strings.Fields(string(text)), " "), nil
}
