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
