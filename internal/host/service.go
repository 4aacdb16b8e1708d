package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// Service is a unit of the init system, made to start at boot. Apply only records it; undo stops and disables it.
type Service struct {
	Init  Init     `json:"init"`
	Name  string   `json:"name"`           // "skerry", without a suffix
	Unit  string   `json:"unit"`           // path of the unit or script
	Args  []string `json:"args,omitempty"` // what the program is started with
	Stamp string   `json:"stamp,omitempty"`
}

// Init is an init system.
type Init string

const (
	// Systemd is steered by systemctl.
	Systemd Init = "systemd"
	// OpenRC is steered by rc-service and rc-update.
	OpenRC Init = "openrc"
	// NoInit is a host where nothing starts services, such as a container.
	NoInit Init = "none"
)

func (s Service) kind() string { return "service" }
func (s Service) id() string   { return s.Name }
func (s Service) live() bool   { return false }
func (s Service) apply() error { return nil }

func (s Service) before(known json.RawMessage) (json.RawMessage, error) {
	return beforePresence(known, func() (bool, error) { return false, nil })
}

func (s Service) undo(ctx context.Context, _ json.RawMessage) (string, error) {
	if _, err := os.Stat(s.Unit); errors.Is(err, os.ErrNotExist) {
		return "", nil // somebody removed the unit: there is nothing left to disable
	}
	switch s.Init {
	case Systemd:
		return "", Command(ctx, "systemctl", "disable", "--now", s.Name+".service")
	case OpenRC:
		return "", errors.Join(Command(ctx, "rc-service", "--ifstarted", s.Name, "stop"), Command(ctx, "rc-update", "del", s.Name, "default"))
	}
	return "", nil
}

// Command runs a program of the host; its error holds what the program said.
func Command(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %v: %w: %s", name, args, err, bytes.TrimSpace(out))
	}
	return nil
}
