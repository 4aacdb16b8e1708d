package wire

// Annotations, or labels, by which sites say how they want to be treated; the annotation counts when both are there.
const (
	AutonomyKey = "skerry.io/autonomy" // of a Node: for how long its pods stay while it is away
	HoldKey     = "skerry.io/hold"     // of a Node or workload: rollouts wait
)
