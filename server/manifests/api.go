package manifests

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/skerry-io/skerry/internal/fault"
)

// FieldManager is by what name the API server knows who set a field of a manifest.
const FieldManager = "skerry-manifests"

// Clients reach the API server with all rights. A call that is not answered should give up after some seconds.
type Clients struct {
	Core    kubernetes.Interface
	Dynamic dynamic.Interface
}

var errUnknownKind = errors.New("the cluster does not know this kind")

// kinds asks the API server what its kinds are, one group and version at a time, and only those that are needed. It lives
// as long as one pass: what all groups offer would be megabytes.
type kinds struct {
	client discovery.DiscoveryInterface
	asked  map[string]answer
}

type answer struct {
	list meta.APIResourceList
	err  error
}

// find gives the resource of a kind, and whether its objects are in namespaces.
func (k *kinds) find(ctx context.Context, r ref) (*meta.APIResource, error) {
	a, asked := k.asked[r.APIVersion]
	if !asked {
		path := "/apis/" + r.APIVersion
		if !strings.Contains(r.APIVersion, "/") {
			path = "/api/" + r.APIVersion
		}
		a.err = k.client.RESTClient().Get().AbsPath(path).Do(ctx).Into(&a.list)
		k.asked[r.APIVersion] = a
	}
	if apierrors.IsNotFound(a.err) {
		return nil, fmt.Errorf("%w: there is no %s", errUnknownKind, r.APIVersion)
	}
	if a.err != nil {
		return nil, fmt.Errorf("ask for the kinds of %s: %w", r.APIVersion, a.err)
	}
	for i, found := range a.list.APIResources {
		if found.Kind == r.Kind && !strings.Contains(found.Name, "/") && slices.Contains([]string(found.Verbs), "patch") {
			return &a.list.APIResources[i], nil
		}
	}
	return nil, fmt.Errorf("%w: there is no %s in %s", errUnknownKind, r.Kind, r.APIVersion)
}

// place fills in where in the API an object is.
func (k *kinds) place(ctx context.Context, o *object) error {
	found, err := k.find(ctx, o.ref)
	if err != nil {
		return err
	}
	o.Resource = found.Name
	switch {
	case !found.Namespaced:
		o.Namespace = ""
	case o.Namespace == "":
		o.Namespace = meta.NamespaceDefault
	}
	return nil
}

func (c Clients) at(r ref) dynamic.ResourceInterface {
	all := c.Dynamic.Resource(r.resource())
	if r.Namespace == "" {
		return all
	}
	return all.Namespace(r.Namespace)
}

var errTerminating = errors.New("it is being deleted; applied again when it is gone")

// apply makes the object what the file says.
func (c Clients) apply(ctx context.Context, o *object) error {
	body, err := o.bodyFor(id(o.file.path))
	if err != nil {
		return err
	}
	force := true
	now, err := c.at(o.ref).Patch(ctx, o.Name, types.ApplyPatchType, body, meta.PatchOptions{FieldManager: FieldManager, Force: &force})
	if err != nil {
		return discreet(o.ref, err)
	}
	if now.GetDeletionTimestamp() != nil {
		return errTerminating
	}
	return nil
}

// remove deletes an object if it still is the file's. One that changed since it was looked at is an error, and looked at again.
func (c Clients) remove(ctx context.Context, r ref, owner string) (deleted bool, err error) {
	now, err := c.at(r).Get(ctx, r.Name, meta.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, err
	case now.GetLabels()[ownerLabel] != owner, now.GetDeletionTimestamp() != nil:
		return false, nil
	case undying(r):
		return false, c.release(ctx, r)
	}
	uid, version, background := now.GetUID(), now.GetResourceVersion(), meta.DeletePropagationBackground
	err = c.at(r).Delete(ctx, r.Name, meta.DeleteOptions{Preconditions: &meta.Preconditions{UID: &uid, ResourceVersion: &version},
		PropagationPolicy: &background})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// undying tells the namespaces that a cluster cannot be without. A file may label them, but not bring or take them.
func undying(r ref) bool {
	return r.key().group == "" && r.Kind == "Namespace" &&
		slices.Contains([]string{meta.NamespaceDefault, meta.NamespaceSystem, meta.NamespacePublic, core.NamespaceNodeLease}, r.Name)
}

// release takes back what the file set, and leaves the object.
func (c Clients) release(ctx context.Context, r ref) error {
	empty := unstructured.Unstructured{}
	empty.SetAPIVersion(r.APIVersion)
	empty.SetKind(r.Kind)
	empty.SetName(r.Name)
	body, err := empty.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = c.at(r).Patch(ctx, r.Name, types.ApplyPatchType, body, meta.PatchOptions{FieldManager: FieldManager})
	return err
}

// discreet keeps the content of Secrets out of logs and events: the API server may quote it.
func discreet(r ref, err error) error {
	var status apierrors.APIStatus
	if r.Kind != "Secret" || !errors.As(err, &status) {
		return err
	}
	plain := apierrors.StatusError{ErrStatus: meta.Status{Status: meta.StatusFailure, Code: status.Status().Code, Reason: status.Status().Reason}}
	plain.ErrStatus.Message = fmt.Sprintf("the API server refuses the Secret (%s)", status.Status().Reason)
	if details := status.Status().Details; details != nil {
		plain.ErrStatus.Details = &meta.StatusDetails{Kind: details.Kind, Name: details.Name}
		for _, cause := range details.Causes {
			plain.ErrStatus.Details.Causes = append(plain.ErrStatus.Details.Causes, meta.StatusCause{Type: cause.Type, Field: cause.Field})
			if cause.Field != "" {
				plain.ErrStatus.Message += " because of " + cause.Field
			}
		}
	}
	return &plain
}

// unanswered says that the API server did not take the call at all: the next one would fare no better.
func unanswered(err error) bool {
	var ours *fault.Fault
	if errors.Is(err, errUnknownKind) || errors.Is(err, errTerminating) || errors.As(err, &ours) {
		return false
	}
	var status apierrors.APIStatus
	return !errors.As(err, &status) || apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) || apierrors.IsServiceUnavailable(err) ||
		apierrors.IsTooManyRequests(err)
}

// passing says that an error may go away by what others do: a kind or a namespace that comes, a webhook that answers. A
// field that no schema knows is no such thing, though it is answered by a 500 without a reason.
func passing(err error) bool {
	return unanswered(err) || errors.Is(err, errUnknownKind) || errors.Is(err, errTerminating) || apierrors.IsNotFound(err) ||
		apierrors.ReasonForError(err) == meta.StatusReasonInternalError || apierrors.IsConflict(err) || apierrors.HasStatusCause(err, core.NamespaceTerminatingCause)
}
