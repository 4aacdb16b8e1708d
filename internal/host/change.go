package host

import (
	"context"
	"encoding/json"
	"fmt"
)

// Change is one change of the host, as data. The set is closed: the kinds of this package.
//
// Some kinds are made by Apply (Sysctl, Route, Address, Dir, File with content, Symlink); the others are made by
// components that Skerry embeds, and Apply only writes down that they will be (see Footprint).
type Change interface {
	kind() string
	// id says which thing of the host is meant. Kind and id together name an entry.
	id() string
	// before reads what undo needs to know of the host as it is now. known is what was remembered the
	// first time, nil at the first time. A nil result means: there is nothing to undo, write no entry.
	before(known json.RawMessage) (json.RawMessage, error)
	apply() error
	// undo goes back. It may run twice. A non-empty left says why the host was not touched.
	undo(ctx context.Context, before json.RawMessage) (left string, err error)
	// live says that the change ends with the power: undone by Live as well as by All.
	live() bool
}

// empty gives a Change to decode an entry of that kind into, nil for a kind this version does not know.
func empty(kind string) Change {
	switch kind {
	case "sysctl":
		return &Sysctl{}
	case "route":
		return &Route{}
	case "address":
		return &Address{}
	case "routes":
		return &Routes{}
	case "link":
		return &Link{}
	case "mounts":
		return &Mounts{}
	case "nftable":
		return &NFTable{}
	case "cgroup":
		return &Cgroup{}
	case "netns":
		return &Netns{}
	case "processes":
		return &Processes{}
	case "file":
		return &File{}
	case "symlink":
		return &Symlink{}
	case "dir":
		return &Dir{}
	case "service":
		return &Service{}
	}
	return nil
}

// presence is what most kinds remember: whether the thing was there before us, which makes it someone else's.
type presence struct {
	Existed bool `json:"existed,omitempty"`
}

// beforePresence remembers whether the thing existed at the first time. A thing that was someone else's and has gone
// since (a reboot, another distribution removed) is ours from now on.
func beforePresence(known json.RawMessage, existed func() (bool, error)) (json.RawMessage, error) {
	if known != nil {
		if theirs, err := existedBefore(known); err != nil || !theirs {
			return known, err
		}
	}
	there, err := existed()
	if err != nil {
		return nil, err
	}
	return json.Marshal(presence{Existed: there})
}

// existedBefore reads what beforePresence wrote.
func existedBefore(before json.RawMessage) (bool, error) {
	var p presence
	if err := json.Unmarshal(before, &p); err != nil {
		return false, fmt.Errorf("read the remembered state: %w", err)
	}
	return p.Existed, nil
}

// notOurs is the reason given for a thing that was there first.
const notOurs = "it was there before Skerry"
