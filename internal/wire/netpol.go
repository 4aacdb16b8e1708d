package wire

// ComponentNetworkPolicy is how the setting disable calls the component that makes NetworkPolicies true.
const ComponentNetworkPolicy = "network-policy"
