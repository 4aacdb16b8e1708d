package wire

import "slices"

// ComponentNetworkPolicy is how the setting disable calls the component that makes NetworkPolicies true.
const ComponentNetworkPolicy = "network-policy"

// Without says that the cluster does without a component.
func (c Cluster) Without(component string) bool { return slices.Contains(c.Disabled, component) }
