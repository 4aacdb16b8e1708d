package helm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/server/helm/releases"
)

const (
	firstPause   = 2 * time.Second  // after something in the way of a release, doubled each time
	longestPause = 5 * time.Minute  // of those
	spacePause   = 20 * time.Second // of those for a namespace
	firstRetry   = 20 * time.Second // after a failed release, doubled each time
	longestRetry = 20 * time.Minute // of those
)

// turn looks at one object, and says when to look at it again; zero: when it changes.
func (h *Helm) turn(ctx context.Context, key types.NamespacedName) (again time.Duration) {
	patience, end := h.desk.begin(ctx, key)
	defer end()
	again, err := h.settle(ctx, patience, key)
	switch {
	case ctx.Err() != nil:
		return 0
	case patience.Err() != nil:
		return 0 // it is in the queue already
	case err != nil:
		h.log.Warn("a HelmChart could not be looked after; it is tried again", "chart", key, "err", err)
		return h.desk.failed(key, longestPause)
	}
	return again
}

// settle does what there is to do about one object. An error is one of the API server; what is wrong with the object
// itself is told on it.
func (h *Helm) settle(ctx, patience context.Context, key types.NamespacedName) (time.Duration, error) {
	c, err := h.get(ctx, key)
	if c == nil {
		return 0, err
	}
	if err != nil {
		return h.obstacle(ctx, c, reasonInvalid, err)
	}
	if c.DeletionTimestamp != nil {
		return h.remove(ctx, patience, c)
	}
	if err := h.hold(ctx, c); err != nil {
		return 0, err
	}
	in, err := h.gather(ctx, c)
	h.refs.follow(key, in.watched)
	if err != nil {
		return h.obstacle(ctx, c, reasonInputs, err)
	}
	sum, err := in.hash(c, h.fetcher.Stamp(in.source))
	if err != nil {
		return 0, err
	}
	if c.Status.Inputs == sum {
		there, err := h.deployed(ctx, c)
		if err != nil {
			return 0, err
		}
		if there {
			h.desk.forget(key)
			return 0, h.rest(ctx, c)
		}
	}
	if wait, over := c.pause(sum, time.Now()); over || wait > 0 {
		h.row(c, nil)
		return wait, nil
	}
	return h.make(ctx, patience, c, in, sum)
}

// get reads an object: nil when there is none or it cannot be read, an error beside it when its spec makes no sense.
func (h *Helm) get(ctx context.Context, key types.NamespacedName) (*helmChart, error) {
	found, err := h.clients.Dynamic.Resource(charts()).Namespace(key.Namespace).Get(ctx, key.Name, meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // none is no error
	}
	if err != nil {
		return nil, err
	}
	var c helmChart
	err = decode(found, &c)
	if err != nil {
		delete(found.Object, "spec")
		c = helmChart{}
		if err := decode(found, &c); err != nil {
			return nil, err
		}
		if c.DeletionTimestamp != nil {
			err = nil // what an object said that is being deleted does not matter any more
		}
	}
	return &c, err
}

// make brings the release to what the object says.
func (h *Helm) make(ctx, patience context.Context, c *helmChart, in inputs, sum string) (time.Duration, error) {
	if err := h.room(ctx, c); err != nil {
		return h.obstacle(ctx, c, reasonNamespace, err)
	}
	archive, err := h.fetcher.Fetch(patience, in.source)
	if err != nil {
		if patience.Err() != nil {
			return 0, nil
		}
		return h.obstacle(ctx, c, reasonNoChart, err)
	}
	release := types.NamespacedName{Namespace: c.target(), Name: c.Name}
	other, free := h.desk.claim(release, c.key())
	if !free {
		return h.obstacle(ctx, c, reasonTaken, taken(release, other))
	}
	defer h.desk.release(release)
	if err := h.leave(ctx, patience, c); err != nil {
		return h.obstacle(ctx, c, reasonUninstall, err)
	}
	if err := h.begin(ctx, c); err != nil {
		return 0, err
	}
	order := releases.Order{Namespace: release.Namespace, Name: release.Name, Owner: c.Namespace, Archive: archive.Content, Values: in.values,
		Timeout: c.timeout(), Adopt: c.Spec.TakeOwnership, Reinstall: !in.abort, Patience: patience}
	done, err := h.releases.Apply(ctx, order)
	var foreign *releases.Foreign
	if errors.As(err, &foreign) && !h.exists(ctx, foreign.Owner, c.Name) {
		order.Inherit = true
		done, err = h.releases.Apply(ctx, order)
	}
	switch {
	case ctx.Err() != nil:
		return 0, nil
	case err == nil:
		h.desk.forget(c.key())
		return 0, h.succeed(ctx, c, sum, done, archive.From)
	case patience.Err() != nil:
		return 0, h.overtaken(ctx, c)
	case errors.As(err, &foreign):
		owner := types.NamespacedName{Namespace: foreign.Owner, Name: c.Name}
		return h.obstacle(ctx, c, reasonTaken, taken(release, owner))
	}
	return h.fail(ctx, c, sum, in.abort, err)
}

func taken(release, owner types.NamespacedName) error {
	return fault.New("the release %s in the namespace %s belongs to the HelmChart %s", release.Name, release.Namespace, owner).
		Fix("give this one another name or another targetNamespace, or delete that one")
}

// exists says whether there is such a HelmChart, as long as nothing says that there is none.
func (h *Helm) exists(ctx context.Context, namespace, name string) bool {
	_, err := h.clients.Metadata.Resource(charts()).Namespace(namespace).Get(ctx, name, meta.GetOptions{})
	return !apierrors.IsNotFound(err)
}

// room makes sure of the namespace.
func (h *Helm) room(ctx context.Context, c *helmChart) error {
	name := c.target()
	spaces := h.clients.Core.CoreV1().Namespaces()
	found, err := spaces.Get(ctx, name, meta.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && !c.Spec.CreateNamespace:
		return fault.New("there is no namespace %q", name).Because(errMissing).Fix("make it, or set spec.createNamespace")
	case apierrors.IsNotFound(err):
		_, err = spaces.Create(ctx, &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: name}}, meta.CreateOptions{FieldManager: fieldManager})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("make the namespace %q: %w", name, err)
		}
		return nil
	case err != nil:
		return err
	case found.DeletionTimestamp != nil:
		return fault.New("the namespace %q is being deleted", name).Because(errMissing).Fix("wait until it is gone")
	}
	return nil
}

// deployed says whether the release is there. Only the records' labels are read.
func (h *Helm) deployed(ctx context.Context, c *helmChart) (bool, error) {
	ours := labels.Set{"owner": "helm", "name": c.Name, "status": "deployed"}
	found, err := h.clients.Metadata.Resource(schema.GroupVersionResource{Version: "v1", Resource: secrets}).Namespace(c.target()).
		List(ctx, meta.ListOptions{LabelSelector: ours.String()})
	return err == nil && len(found.Items) > 0, err
}

// hold keeps the object until its release is uninstalled.
func (h *Helm) hold(ctx context.Context, c *helmChart) error {
	if slices.Contains(c.Finalizers, finalizer) {
		return nil
	}
	return h.finalizers(ctx, c, append(slices.Clone(c.Finalizers), finalizer))
}

// finalizers replaces them, if the object is still as it was read.
func (h *Helm) finalizers(ctx context.Context, c *helmChart, list []string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": c.ResourceVersion, "finalizers": list}})
	if err != nil {
		return err
	}
	_, err = h.clients.Dynamic.Resource(charts()).Namespace(c.Namespace).Patch(ctx, c.Name, types.MergePatchType, patch, meta.PatchOptions{FieldManager: fieldManager})
	return err
}

// remove uninstalls the release of an object that is being deleted, and lets it go.
func (h *Helm) remove(ctx, patience context.Context, c *helmChart) (time.Duration, error) {
	if !slices.Contains(c.Finalizers, finalizer) {
		return 0, nil
	}
	places := []string{c.target()}
	if r := c.Status.Release; r != nil && r.Namespace != c.target() {
		places = append(places, r.Namespace)
	}
	for _, namespace := range places {
		if err := h.uninstall(ctx, patience, c, namespace); err != nil {
			if ctx.Err() != nil {
				return 0, nil
			}
			return h.obstacle(ctx, c, reasonUninstall, err)
		}
	}
	h.tell(ctx, c, core.EventTypeNormal, "Uninstalled", "the release is uninstalled")
	err := h.finalizers(ctx, c, slices.DeleteFunc(slices.Clone(c.Finalizers), func(f string) bool { return f == finalizer }))
	return 0, ignoreGone(err)
}

// leave uninstalls what the object had in another namespace.
func (h *Helm) leave(ctx, patience context.Context, c *helmChart) error {
	r := c.Status.Release
	if r == nil || r.Namespace == c.target() {
		return nil
	}
	return h.uninstall(ctx, patience, c, r.Namespace)
}

func (h *Helm) uninstall(ctx, patience context.Context, c *helmChart, namespace string) error {
	return h.releases.Uninstall(ctx, releases.Order{Namespace: namespace, Name: c.Name, Owner: c.Namespace, Timeout: c.timeout(), Patience: patience})
}

func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
