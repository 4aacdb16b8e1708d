package storage

import (
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// trim keeps of claims and volumes what is read here: every copy costs memory.
func trim(object any) (any, error) {
	switch o := object.(type) {
	case *core.PersistentVolumeClaim:
		return trimClaim(o), nil
	case *core.PersistentVolume:
		o.ManagedFields = nil
		return o, nil // only ours are watched, and most of them is read
	}
	return object, nil
}

func trimClaim(c *core.PersistentVolumeClaim) *core.PersistentVolumeClaim {
	kept := &core.PersistentVolumeClaim{ObjectMeta: meta.ObjectMeta{Namespace: c.Namespace, Name: c.Name, UID: c.UID, ResourceVersion: c.ResourceVersion}}
	if !waits(c) {
		kept.Status.Phase = core.ClaimBound // or as good as that: nothing is to be done for it
		return kept
	}
	for _, name := range []string{annotationAsked, annotationAskedBefore, annotationSelected, annotationVolumeType} {
		if text, there := c.Annotations[name]; there {
			meta.SetMetaDataAnnotation(&kept.ObjectMeta, name, text)
		}
	}
	kept.Spec = c.Spec
	kept.Status.Phase = c.Status.Phase
	return kept
}

// present says that the last word of a Node's kubelet is not known to be its last.
func present(n *core.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == core.NodeReady {
			return c.Status != core.ConditionUnknown
		}
	}
	return true
}
