package wire

// Annotations of a Node by which its labels and taints follow the node's settings.
const (
	AnnotationWanted  = "skerry.io/wanted-settings"  // NodeSettings; written by the node
	AnnotationApplied = "skerry.io/applied-settings" // AppliedSettings; written by a server
)

// ProviderPrefix begins the provider ID of every Node whose settings name no other provider; the node's name follows.
const ProviderPrefix = "skerry://"

// NodeSettings are the labels and taints that a node's settings give it. A node may not change its own taints, so it asks
// for them.
type NodeSettings struct {
	Start  string            `json:"start"` // differs each time the node asks
	Labels map[string]string `json:"labels,omitempty"`
	Taints []Taint           `json:"taints,omitempty"`
}

// Taint is one of a node's.
type Taint struct {
	Key    string `json:"key"`
	Value  string `json:"value,omitempty"`
	Effect string `json:"effect"`
}

// AppliedSettings are what a server made of NodeSettings, so that it takes away only what it gave.
type AppliedSettings struct {
	NodeSettings
	Seal []byte `json:"seal"` // proves that a server wrote it: a node may write its annotations
}
