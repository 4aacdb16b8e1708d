package storage

import (
	"fmt"

	core "k8s.io/api/core/v1"
	storage "k8s.io/api/storage/v1"

	"github.com/skerry-io/skerry/internal/wire"
)

// waits says that a claim is one of ours and has no volume yet.
func waits(c *core.PersistentVolumeClaim) bool {
	asked := c.Annotations[annotationAsked]
	if asked == "" {
		asked = c.Annotations[annotationAskedBefore]
	}
	return asked == provisioner && c.Spec.VolumeName == "" && c.DeletionTimestamp == nil &&
		(c.Status.Phase == core.ClaimPending || c.Status.Phase == "")
}

// unfit says why no volume can be made for a claim, in words for its owner; empty when one can.
func unfit(c *core.PersistentVolumeClaim) string {
	switch mode := c.Spec.VolumeMode; {
	case mode != nil && *mode != core.PersistentVolumeFilesystem:
		return fmt.Sprintf("volumeMode %s is not possible: a %s volume is a directory; use volumeMode Filesystem", *mode, className)
	case c.Spec.Selector != nil:
		return "a claim with a selector gets no new volume; remove the selector"
	case c.Spec.DataSource != nil || c.Spec.DataSourceRef != nil:
		return "a " + className + " volume cannot be made from a snapshot or from another volume"
	}
	for _, mode := range c.Spec.AccessModes {
		if mode != core.ReadWriteOnce && mode != core.ReadWriteOncePod {
			return fmt.Sprintf("access mode %s is not possible: a %s volume lies on one node; use ReadWriteOnce, which all pods of that node can share", mode, className)
		}
	}
	return ""
}

// unfitClass says why no volume can be made from a class, in words for its owner; empty when one can.
func unfitClass(c *storage.StorageClass) string {
	if c.VolumeBindingMode == nil || *c.VolumeBindingMode != storage.VolumeBindingWaitForFirstConsumer {
		return fmt.Sprintf("the StorageClass %s binds at once, and nothing says on which node: its volumeBindingMode must be WaitForFirstConsumer", c.Name)
	}
	for name := range c.Parameters {
		return fmt.Sprintf("the StorageClass %s has the parameter %s, which is not known here", c.Name, name)
	}
	return ""
}

// typeOf is the kind of volume that claim and class ask for, in the words that clusters of k3s use.
func typeOf(c *core.PersistentVolumeClaim, class *storage.StorageClass) (hostPath bool, err error) {
	kind := c.Annotations[annotationVolumeType]
	if kind == "" {
		kind = class.Annotations[annotationDefaultType]
	}
	switch kind {
	case "", "local":
		return false, nil
	case "hostPath", "hostpath":
		return true, nil
	}
	return false, fmt.Errorf("the annotation %s or %s says %q; it can be local or hostPath", annotationVolumeType, annotationDefaultType, kind)
}

// toMake is the order for a claim. The node is the one that the scheduler chose; empty as long as it has not.
func toMake(c *core.PersistentVolumeClaim) (node string, order wire.VolumeOrder) {
	size := c.Spec.Resources.Requests[core.ResourceStorage]
	return c.Annotations[annotationSelected], wire.VolumeOrder{
		Folder:    folder(string(c.UID), c.Namespace, c.Name),
		Namespace: c.Namespace,
		Claim:     c.Name,
		UID:       string(c.UID),
		Bytes:     size.Value(),
	}
}

// sameClaim says that a report is about this very claim, not about one that had its name before.
func sameClaim(c *core.PersistentVolumeClaim, r wire.VolumeReport) bool {
	return string(c.UID) == r.UID && folder(r.UID, c.Namespace, c.Name) == r.Folder
}
