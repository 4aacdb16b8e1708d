package netpol

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/skerry-io/skerry/internal/durable"
)

// fact is what the IPAM plugin told: a pod of this node gets these addresses. The API server says so only much later.
type fact struct {
	Container string       `json:"container"` // of the sandbox
	Namespace string       `json:"namespace"`
	Name      string       `json:"name"`
	UID       string       `json:"uid"`
	Addresses []netip.Addr `json:"addresses"`

	pod *pod // as it was seen last: it may run on for a while after the API server forgot it
}

func (f *fact) key() string { return f.Namespace + "/" + f.Name }

// facts are kept by container, each in a file of a directory that a reboot clears, as it ends the pods.
type facts struct {
	dir string
	all map[string]*fact
}

// openFacts reads what an earlier run was told. A fact whose address was given back meanwhile is dropped.
func openFacts(dir string, leased func(netip.Addr) bool) (*facts, error) {
	f := &facts{dir: dir, all: map[string]*fact{}}
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return f, os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("read which addresses pods have: %w", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(dir, file.Name()))
		one := &fact{}
		if err != nil || json.Unmarshal(text, one) != nil || one.Container != file.Name() || len(one.Addresses) == 0 || !leased(one.Addresses[0]) {
			if err := os.Remove(filepath.Join(dir, file.Name())); err != nil {
				return nil, err
			}
			continue
		}
		f.all[one.Container] = one
	}
	return f, nil
}

// put remembers a fact, and forgets what was known of its addresses before.
func (f *facts) put(one *fact) error {
	if filepath.Base(one.Container) != one.Container || one.Container == "." || one.Container == ".." {
		return fmt.Errorf("%q is no container's ID", one.Container)
	}
	for id, other := range f.all {
		if id != one.Container && overlap(other.Addresses, one.Addresses) {
			if err := f.drop(id); err != nil {
				return err
			}
		}
	}
	text, err := json.Marshal(one)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(f.dir, one.Container), text, 0o600); err != nil {
		return fmt.Errorf("note the addresses of pod %s: %w", one.key(), err)
	}
	f.all[one.Container] = one
	return nil
}

// drop forgets what was told of a container.
func (f *facts) drop(container string) error {
	if _, known := f.all[container]; !known {
		return nil
	}
	delete(f.all, container)
	err := os.Remove(filepath.Join(f.dir, container))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func overlap(a, b []netip.Addr) bool {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				return true
			}
		}
	}
	return false
}

// pods are those of the watch with what was told of their addresses, which is sooner and surer than their status.
func (f *facts) pods(seen map[string]*pod) []*pod {
	byPod := map[string][]*fact{}
	owner := map[netip.Addr]string{}
	for _, one := range f.all {
		if p := seen[one.key()]; p != nil && p.is(one.UID) {
			one.pod = p
		}
		if one.pod == nil {
			continue // nothing is known of it yet
		}
		byPod[one.pod.uid] = append(byPod[one.pod.uid], one)
		for _, a := range one.Addresses {
			owner[a] = one.pod.uid
		}
	}
	var all []*pod
	for _, p := range seen {
		if len(byPod[p.uid]) > 0 {
			continue
		}
		q := *p
		q.addresses = nil
		for _, a := range p.addresses {
			if _, taken := owner[a]; !taken {
				q.addresses = append(q.addresses, a)
			}
		}
		all = append(all, &q)
	}
	for _, list := range byPod {
		q := *list[0].pod
		q.local, q.addresses = true, nil
		for _, one := range list {
			q.addresses = append(q.addresses, one.Addresses...)
		}
		all = append(all, &q)
	}
	return all
}
