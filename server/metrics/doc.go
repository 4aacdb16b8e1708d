// Package metrics serves metrics.k8s.io: what nodes and pods use, for kubectl top and for autoscalers.
//
// Owns: when kubelets are asked, the objects that announce the API and let users read it.
// Does not know: how a kubelet is reached (it takes a dialer), how the figures are read and turned into rates: that is
// metrics-server, as a library.
// Promises: an answer is of what the kubelets said in the last ten seconds, or, if they do not answer within three, of what
// they said before, at most 90 seconds ago; while nobody asks, nor are kubelets; without the component nothing of it stays.
// Start reading at Metrics.Serve, then sampler.
package metrics
