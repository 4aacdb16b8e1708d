package storage

import (
	"path/filepath"

	core "k8s.io/api/core/v1"
	storage "k8s.io/api/storage/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/internal/wire"
)

// volumeFor is the volume of a claim, whose directory a node has made. Which node is said by the node's certificate.
func volumeFor(c *core.PersistentVolumeClaim, class *storage.StorageClass, node *core.Node, r wire.VolumeReport) (*core.PersistentVolume, error) {
	hostPath, err := typeOf(c, class)
	if err != nil {
		return nil, err
	}
	quota := "none"
	if r.Enforced {
		quota = "enforced"
	}
	keep := core.PersistentVolumeReclaimDelete
	if class.ReclaimPolicy != nil {
		keep = *class.ReclaimPolicy
	}
	mode := core.PersistentVolumeFilesystem
	v := &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{
			Name:        volumeName(string(c.UID)),
			Labels:      map[string]string{labelOurs: className},
			Annotations: map[string]string{annotationProvisionedBy: provisioner, annotationNode: node.Name, annotationQuota: quota},
			Finalizers:  []string{finalizer},
		},
		Spec: core.PersistentVolumeSpec{
			Capacity:                      core.ResourceList{core.ResourceStorage: c.Spec.Resources.Requests[core.ResourceStorage]},
			AccessModes:                   c.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: keep,
			StorageClassName:              class.Name,
			VolumeMode:                    &mode,
			ClaimRef: &core.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: c.Namespace, Name: c.Name,
				UID: c.UID, ResourceVersion: c.ResourceVersion},
			NodeAffinity: onlyOn(node),
		},
	}
	if hostPath {
		there := core.HostPathDirectory // never made by the kubelet, which would not give it the right mode
		v.Spec.HostPath = &core.HostPathVolumeSource{Path: r.Path, Type: &there}
	} else {
		v.Spec.Local = &core.LocalVolumeSource{Path: r.Path}
	}
	return v, nil
}

// onlyOn keeps pods of a volume on its node.
func onlyOn(node *core.Node) *core.VolumeNodeAffinity {
	host := node.Labels[core.LabelHostname]
	if host == "" {
		host = node.Name
	}
	return &core.VolumeNodeAffinity{Required: &core.NodeSelector{NodeSelectorTerms: []core.NodeSelectorTerm{{
		MatchExpressions: []core.NodeSelectorRequirement{{Key: core.LabelHostname, Operator: core.NodeSelectorOpIn, Values: []string{host}}},
	}}}}
}

// over says that a volume's directory is to be removed: no claim has it, and nobody wants to keep the data.
func over(v *core.PersistentVolume) bool {
	released := v.Status.Phase == core.VolumeReleased || v.DeletionTimestamp != nil && v.Status.Phase != core.VolumeBound
	return released && v.Spec.PersistentVolumeReclaimPolicy == core.PersistentVolumeReclaimDelete
}

// toRemove is the order for a volume.
func toRemove(v *core.PersistentVolume) (node string, order wire.VolumeOrder) {
	path := pathOf(v)
	order = wire.VolumeOrder{Folder: filepath.Base(path), Remove: true, Path: path, Volume: v.Name}
	if claim := v.Spec.ClaimRef; claim != nil {
		order.Namespace, order.Claim, order.UID = claim.Namespace, claim.Name, string(claim.UID)
	}
	return v.Annotations[annotationNode], order
}

// belongs says that a volume is the one that a node reports to have made.
func belongs(v *core.PersistentVolume, node string, r wire.VolumeReport) bool {
	return ours(v) && v.Annotations[annotationNode] == node && pathOf(v) == r.Path
}
