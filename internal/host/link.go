package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
)

// Link is a network interface that an embedded component makes, such as the bridge cni0. Apply only records it.
type Link struct {
	Name string `json:"name"`
	Type string `json:"type,omitempty"` // "bridge", "vxlan", ...; empty matches any
}

func (l Link) kind() string { return "link" }
func (l Link) id() string   { return l.Name }
func (l Link) live() bool   { return true }
func (l Link) apply() error { return nil }

func (l Link) before(known json.RawMessage) (json.RawMessage, error) {
	return beforePresence(known, func() (bool, error) {
		link, err := l.find()
		return link != nil, err
	})
}

func (l Link) undo(_ context.Context, before json.RawMessage) (string, error) {
	if existed, err := existedBefore(before); err != nil || existed {
		return notOurs, err
	}
	link, err := l.find()
	if err != nil || link == nil {
		return "", err
	}
	if l.Type != "" && link.Type() != l.Type {
		return fmt.Sprintf("it is a %s now, ours was a %s", link.Type(), l.Type), nil
	}
	if link.Type() == "bridge" {
		if err := deletePorts(link.Attrs().Index); err != nil {
			return "", err
		}
	}
	return "", netlink.LinkDel(link)
}

// deletePorts removes the pod ends of a bridge. The kernel would do so too when it ends the pods' network
// namespaces, but in its own time.
func deletePorts(bridge int) error {
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	for _, port := range links {
		if port.Attrs().MasterIndex != bridge || port.Type() != "veth" {
			continue
		}
		if err := netlink.LinkDel(port); err != nil && !gone(port.Attrs().Name) {
			return fmt.Errorf("delete %s: %w", port.Attrs().Name, err)
		}
	}
	return nil
}

func gone(name string) bool {
	link, err := Link{Name: name}.find()
	return link == nil && err == nil
}

// find gives the interface, nil when there is none.
func (l Link) find() (netlink.Link, error) {
	link, err := netlink.LinkByName(l.Name)
	var notFound netlink.LinkNotFoundError
	if errors.As(err, &notFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for interface %s: %w", l.Name, err)
	}
	return link, nil
}
