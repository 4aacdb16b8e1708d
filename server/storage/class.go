package storage

import (
	"context"
	"fmt"

	core "k8s.io/api/core/v1"
	storage "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// class is the StorageClass as it is made.
func class() *storage.StorageClass {
	wait, reclaim := storage.VolumeBindingWaitForFirstConsumer, core.PersistentVolumeReclaimDelete
	return &storage.StorageClass{
		ObjectMeta: meta.ObjectMeta{
			Name:        className,
			Labels:      map[string]string{labelOurs: className},
			Annotations: map[string]string{annotationDefaultClass: "true", annotationDefaultType: "local"},
		},
		Provisioner:       provisioner,
		VolumeBindingMode: &wait,
		ReclaimPolicy:     &reclaim,
	}
}

// ensureClass makes the StorageClass. One that is there stays as it is: the user may have changed it, above all whether
// it is the default.
func ensureClass(ctx context.Context, client kubernetes.Interface) error {
	_, err := client.StorageV1().StorageClasses().Create(ctx, class(), meta.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make the StorageClass %s: %w", className, err)
	}
	return nil
}

// Leave takes back what was put into the cluster, for a server that does without this component: the StorageClass, and
// the finalizers that would keep volumes from being deleted. Volumes, and the data in them, stay.
func Leave(ctx context.Context, client kubernetes.Interface) error {
	only := meta.ListOptions{LabelSelector: labelOurs + "=" + className}
	classes, err := client.StorageV1().StorageClasses().List(ctx, only)
	if err != nil {
		return fmt.Errorf("look for StorageClasses: %w", err)
	}
	for _, c := range classes.Items {
		if err := client.StorageV1().StorageClasses().Delete(ctx, c.Name, meta.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete the StorageClass %s: %w", c.Name, err)
		}
	}
	volumes, err := client.CoreV1().PersistentVolumes().List(ctx, only)
	if err != nil {
		return fmt.Errorf("look for volumes: %w", err)
	}
	for _, v := range volumes.Items {
		if err := letGo(ctx, client, v.Name); err != nil {
			return fmt.Errorf("let go of the volume %s: %w", v.Name, err)
		}
	}
	return nil
}
