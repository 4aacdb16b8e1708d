// Package helm keeps Helm releases as HelmChart objects say.
//
// Owns: the definitions of HelmChart and HelmChartConfig (helm.cattle.io/v1, those that k3s users have), what such an object
// means, its status, events and finalizer, and when a chart is tried again.
// Does not know: how charts are fetched (package charts), how Helm is used (package releases), who made the objects.
// Promises: a change of an object, or of a Secret or ConfigMap that it names, is taken up at once, and also ends what is
// being waited for because of what it said before; what did not change is not upgraded again, also not after a restart;
// trouble with one object is told on it and delays no other; without any HelmChart there is one watch and nothing else.
// Start reading at Helm.Run, then Helm.settle.
package helm
