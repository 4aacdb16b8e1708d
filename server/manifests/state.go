package manifests

import (
	"errors"
	"io/fs"
	"slices"
	"time"
)

// Phase is how far a file is.
type Phase string

// The phases of a file.
const (
	Pending  Phase = "pending"  // seen, and applied in a moment
	Applied  Phase = "applied"  // the cluster has what it holds
	Waiting  Phase = "waiting"  // for something that is not there yet, for instance a kind, a namespace, the end of a copy
	Failed   Phase = "failed"   // it cannot be read, or the API server refuses something in it
	Skipped  Phase = "skipped"  // NAME.skip stands beside it
	Removing Phase = "removing" // it is gone, and its objects go
)

// State is what is known of one file.
type State struct {
	// File is the path from the manifests folder on; "." is the folder itself, which is listed only when it cannot be read.
	File  string    `json:"file"`
	Phase Phase     `json:"phase"`
	Since time.Time `json:"since"` // when Phase began
	// Objects counts what the file held when it was last read.
	Objects int `json:"objects"`
	// Err is why the phase is Waiting, Failed or Removing.
	Err error `json:"-"`
}

// State gives every file by its path. It may be called at any time.
func (k *Keeper) State() []State {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.states)
}

// publish makes what the files are now what State gives.
func (k *Keeper) publish() {
	var states []State
	for _, m := range k.sorted() {
		if m.path == "." && m.err == nil || !k.opened && errors.Is(m.err, fs.ErrNotExist) {
			continue // a folder that is there again, or is about to be made
		}
		states = append(states, State{File: m.path, Phase: m.phase, Since: m.since, Objects: len(m.wants), Err: m.err})
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.states = states
}
