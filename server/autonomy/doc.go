// Package autonomy lets the pods of an away node stay what they are: not evicted, and ready in their Services.
//
// Owns: what the annotation or label skerry.io/autonomy of a Node means, and when it covers the Node; what the API server does not
// let the node controllers do meanwhile; making up for it when a Node is no longer covered; Events about both.
// Does not know: how a node lives alone (agent), how long a node may be silent before it counts as away (kube-controller-manager).
// Promises: each decision is made in the API server by the Node as it is stored at that moment, so no controller's older knowledge, no
// restart and no second server evicts a pod of a covered Node; of other Nodes nothing differs from Kubernetes; a value that means
// nothing is refused, and where it is there anyway it is as if there was none.
// Start reading at Rule, then Autonomy.Admit and Autonomy.Run.
package autonomy
