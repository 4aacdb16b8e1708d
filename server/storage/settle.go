package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	core "k8s.io/api/core/v1"
	storage "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
)

// settle does what a server itself can do about a claim or a volume.
func (s *Storage) settle(ctx context.Context, i item) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if i.volume != "" {
		v, err := s.volumes.Get(i.volume)
		if err != nil {
			s.rows.Drop(i.row())
			return nil // it is gone
		}
		return s.settleVolume(ctx, v)
	}
	c, err := s.claims.PersistentVolumeClaims(i.namespace).Get(i.claim)
	if err != nil || !waits(c) {
		s.rows.Drop(i.row())
		return nil // it is gone, or has its volume
	}
	return s.settleClaim(ctx, c)
}

// settleClaim says what keeps a claim from having a volume, and gives a claim another choice whose node is gone.
func (s *Storage) settleClaim(ctx context.Context, c *core.PersistentVolumeClaim) error {
	reason := unfit(c)
	if reason == "" {
		var err error
		if _, reason, err = s.classOf(ctx, c); err != nil {
			return err
		}
	}
	if reason != "" {
		return s.tellClaim(ctx, c, warning(reasonRefused, "%s", reason))
	}
	name := c.Annotations[annotationSelected]
	if name == "" {
		return nil // the scheduler has not chosen yet
	}
	node, gone, err := s.member(ctx, name)
	switch {
	case err != nil:
		return err
	case gone:
		if err := s.chooseAgain(ctx, c); err != nil {
			return err
		}
		return s.tellClaim(ctx, c, warning("NodeGone", "node %s, which was to have the volume, has left the cluster; another is chosen for the next pod", name))
	case !present(node):
		return s.tellClaim(ctx, c, warning("WaitForNode", "node %s, which is to have the volume, does not answer; the volume is made when it returns", name))
	}
	s.rows.Drop(rowOfClaim(c), rowWaiting, rowTrying)
	return nil
}

// settleVolume says what keeps a volume from being used or removed, and lets go of one that nothing is to be done for.
func (s *Storage) settleVolume(ctx context.Context, v *core.PersistentVolume) error {
	name := v.Annotations[annotationNode]
	node, gone, err := s.member(ctx, name)
	if err != nil {
		return err
	}
	free := v.Status.Phase != core.VolumeBound
	switch {
	case v.DeletionTimestamp != nil && free && (!over(v) || gone):
		s.log.Info("a volume was deleted by hand; its directory stays", "volume", v.Name, "node", name, "path", pathOf(v))
		return letGo(ctx, s.client, v.Name)
	case v.DeletionTimestamp == nil && !slices.Contains(v.Finalizers, finalizer):
		return setFinalizer(ctx, s.client, v.Name, true) // it was let go of while the cluster did without this component
	case over(v) && gone:
		return s.tellVolume(ctx, v, warning("NodeGone", "node %s has left the cluster; the directory is removed when it returns; `kubectl delete pv %s` gives it up", name, v.Name))
	case over(v) && !present(node):
		return s.tellVolume(ctx, v, warning("WaitForNode", "node %s does not answer; the directory is removed when it returns", name))
	case !free && gone:
		return s.orphan(ctx, v, name)
	}
	s.rows.Drop(v.Name, rowWaiting, rowTrying)
	return nil
}

// orphan tells that the node of a volume in use is gone, where its owner looks: at the claim, and at the volume.
func (s *Storage) orphan(ctx context.Context, v *core.PersistentVolume, node string) error {
	e := warning("NodeGone", "node %s, which keeps the data of volume %s, has left the cluster; pods with this claim can run when it returns", node, v.Name)
	if err := s.tellVolume(ctx, v, e); err != nil || v.Spec.ClaimRef == nil {
		return err
	}
	of := v.Spec.ClaimRef
	return s.tell(ctx, core.ObjectReference{Kind: claimKind, APIVersion: "v1", Namespace: of.Namespace, Name: of.Name, UID: of.UID}, e)
}

// member looks for a Node; gone means that the cluster has none by that name, which is asked, as this server may only not
// have heard of it yet.
func (s *Storage) member(ctx context.Context, name string) (node *core.Node, gone bool, err error) {
	if node, err = s.members.Get(name); err == nil {
		return node, false, nil
	}
	node, err = s.client.CoreV1().Nodes().Get(ctx, name, meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, true, nil
	}
	return node, false, err
}

// classOf is the class of a claim; refused says what is wrong with it.
func (s *Storage) classOf(ctx context.Context, c *core.PersistentVolumeClaim) (class *storage.StorageClass, refused string, err error) {
	name := ""
	if c.Spec.StorageClassName != nil {
		name = *c.Spec.StorageClassName
	}
	class, err = s.client.StorageV1().StorageClasses().Get(ctx, name, meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Sprintf("there is no StorageClass %q", name), nil
	}
	if err != nil {
		return nil, "", err
	}
	if refused = unfitClass(class); refused == "" {
		if _, wrong := typeOf(c, class); wrong != nil {
			refused = wrong.Error()
		}
	}
	return class, refused, nil
}

// chooseAgain takes the scheduler's choice back, unless it has changed meanwhile.
func (s *Storage) chooseAgain(ctx context.Context, c *core.PersistentVolumeClaim) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"resourceVersion": c.ResourceVersion,
		"annotations":     map[string]any{annotationSelected: nil},
	}})
	if err != nil {
		return err
	}
	_, err = s.client.CoreV1().PersistentVolumeClaims(c.Namespace).Patch(ctx, c.Name, types.MergePatchType, patch, meta.PatchOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // there is another version of it, which is looked at when it arrives
	}
	return err
}

// letGo takes our finalizer from a volume.
func letGo(ctx context.Context, client kubernetes.Interface, name string) error {
	return setFinalizer(ctx, client, name, false)
}

func setFinalizer(ctx context.Context, client kubernetes.Interface, name string, want bool) error {
	volumes := client.CoreV1().PersistentVolumes()
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		v, err := volumes.Get(ctx, name, meta.GetOptions{})
		if err != nil || slices.Contains(v.Finalizers, finalizer) == want || want && v.DeletionTimestamp != nil {
			return err
		}
		if want {
			v.Finalizers = append(v.Finalizers, finalizer)
		} else {
			v.Finalizers = slices.DeleteFunc(v.Finalizers, func(f string) bool { return f == finalizer })
		}
		_, err = volumes.Update(ctx, v, meta.UpdateOptions{})
		return err
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
