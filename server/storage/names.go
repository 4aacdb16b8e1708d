package storage

import (
	"strings"

	core "k8s.io/api/core/v1"
)

// Names that clusters of k3s have in their objects.
const (
	provisioner = "rancher.io/local-path"
	className   = "local-path"

	annotationNode        = "local.path.provisioner/selected-node" // of a volume
	annotationVolumeType  = "volumeType"                           // of a claim
	annotationDefaultType = "defaultVolumeType"                    // of a class
)

// Names of Kubernetes' own that no library exports for us.
const (
	annotationSelected      = "volume.kubernetes.io/selected-node"
	annotationAsked         = "volume.kubernetes.io/storage-provisioner"
	annotationAskedBefore   = "volume.beta.kubernetes.io/storage-provisioner"
	annotationProvisionedBy = "pv.kubernetes.io/provisioned-by"
	annotationDefaultClass  = "storageclass.kubernetes.io/is-default-class"
)

// Names of our own.
const (
	labelOurs       = "skerry.io/storage" // of volumes and of the class; its value is className
	annotationQuota = "skerry.io/quota"   // of a volume: enforced, or none
	finalizer       = "skerry.io/local-path"
)

// volumeName is the name of a claim's volume.
func volumeName(uid string) string { return "pvc-" + uid }

// longest is how long the name of a directory may be on Linux, in bytes.
const longest = 255

// folder is the name of a volume's directory. The claim's UID alone makes it unique; the rest is for people.
func folder(uid, namespace, claim string) string {
	name := volumeName(uid) + "_" + namespace + "_" + claim
	return strings.TrimRight(name[:min(len(name), longest)], ".-")
}

// pathOf is where the directory of a volume lies on its node.
func pathOf(v *core.PersistentVolume) string {
	switch {
	case v.Spec.Local != nil:
		return v.Spec.Local.Path
	case v.Spec.HostPath != nil:
		return v.Spec.HostPath.Path
	}
	return ""
}

// ours says that a volume was made here.
func ours(v *core.PersistentVolume) bool {
	return v.Labels[labelOurs] == className && v.Annotations[annotationProvisionedBy] == provisioner
}
