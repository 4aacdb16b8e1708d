package run

import "time"

// Phase is where in its life a service is.
type Phase string

// The phases of a service, in the order a healthy one passes through them; Paused and Failed are the detours.
const (
	Waiting  Phase = "waiting"  // for the services it needs
	Starting Phase = "starting" // Run was called, ready was not
	Ready    Phase = "ready"
	Paused   Phase = "backoff" // ended, will be started again
	Stopping Phase = "stopping"
	Stopped  Phase = "stopped"
	Failed   Phase = "failed"
)

// State is what is known of one service at one moment.
type State struct {
	Name     string    `json:"name"`
	Phase    Phase     `json:"phase"`
	WaitsFor []string  `json:"waitsFor,omitempty"` // needs that are not ready yet
	Since    time.Time `json:"since"`              // when Phase began
	Err      error     `json:"-"`                  // its last end, kept through restarts
	Restarts int       `json:"restarts,omitempty"`
}

// Detail is one thing that a service looks after.
type Detail struct {
	Name  string    // what it is, for instance a file
	State string    // a word of the service's own
	Bad   bool      // someone has to look at it
	Since time.Time // when State began; zero when that is not known
	Err   error     // why it is so, when there is something to say
}
