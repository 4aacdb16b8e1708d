package apiserver

import (
	"context"
	"hash/maphash"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	aggregator "k8s.io/kube-aggregator/pkg/apiserver"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

// ahead refuses watches that begin at a resource version which this store has not told, as "expired", so that who asks lists
// anew. They come from clients that know what the store had before it was put back to an earlier state, and Kubernetes would
// leave them waiting until its resource versions are there again, without a word about what happens meanwhile. A list that has to
// be as new as such a version is refused as well: Kubernetes has clients ask eleven times, for 40 seconds, until they ask for less.
type ahead struct {
	next   http.Handler
	newest func(context.Context) (uint64, error) // resource version of the store
	ours   func(group, version string) bool      // says that a kind's resource versions are the store's
	alone  bool                                  // no other server tells what is in the store

	began sync.Once
	first uint64        // of newest
	known atomic.Uint64 // the highest of newest so far

	seed maphash.Seed
	mu   sync.Mutex          // guards told
	told map[uint64]struct{} // sums of who was told what by this process
}

// maxTold bounds the memory for them; beyond, nobody is refused for what he was not told.
const maxTold = 50_000

func newAhead(next http.Handler, newest func(context.Context) (uint64, error), ours func(group, version string) bool, alone bool) *ahead {
	return &ahead{next: next, newest: newest, ours: ours, alone: alone, seed: maphash.MakeSeed(), told: map[uint64]struct{}{}}
}

// ServeHTTP passes on what begins at a resource version that was told.
func (a *ahead) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	info, found := request.RequestInfoFrom(r.Context())
	if !found || !info.IsResourceRequest || info.Verb != "watch" && info.Verb != "list" || !a.ours(info.APIGroup, info.APIVersion) {
		a.next.ServeHTTP(w, r)
		return
	}
	since, err := strconv.ParseUint(r.URL.Query().Get("resourceVersion"), 10, 64)
	if err == nil && since > 0 && (a.beyond(r.Context(), since) || info.Verb == "watch" && !a.toldTo(r, since)) {
		refused := apierrors.NewResourceExpired("the resource version " + strconv.FormatUint(since, 10) + " was not told by this server: the datastore was put back to an earlier state")
		responsewriters.ErrorNegotiated(refused, scheme.Codecs, meta.SchemeGroupVersion, w, r)
		return
	}
	a.note(r)
	a.next.ServeHTTP(w, r)
}

// beyond says that the store has not come to a resource version. When it cannot be asked, it has.
func (a *ahead) beyond(ctx context.Context, since uint64) bool {
	if since <= a.known.Load() {
		return false
	}
	now, err := a.newest(ctx)
	if err != nil {
		return false
	}
	a.began.Do(func() { a.first = now })
	for have := a.known.Load(); now > have && !a.known.CompareAndSwap(have, now); have = a.known.Load() {
	}
	return since > now
}

// toldTo says that a component of a node can have a resource version from this store as it is. What was there when the process began,
// Kubernetes sees to; what came later it must have heard by asking the same before: these components list, and then watch. Others
// may have it from what they wrote. Where several servers share a store, another one may have told it, and such a store does not
// go back unnoticed.
func (a *ahead) toldTo(r *http.Request, since uint64) bool {
	sum, component := a.sum(r)
	if !a.alone || !component || a.known.Load() == 0 || since <= a.first {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	_, told := a.told[sum]
	return told || len(a.told) >= maxTold
}

func (a *ahead) note(r *http.Request) {
	sum, component := a.sum(r)
	if !a.alone || !component {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.told) < maxTold {
		a.told[sum] = struct{}{}
	}
}

// sum is of which node's component asks, and for what; component is false for everybody else. The nodes' kube-proxies are one user:
// they are told apart by where they are.
func (a *ahead) sum(r *http.Request) (sum uint64, component bool) {
	who, ok := request.UserFrom(r.Context())
	if !ok {
		return 0, false
	}
	from := ""
	switch {
	case slices.Contains(who.GetGroups(), user.NodesGroup):
	case who.GetName() == user.KubeProxy:
		from, _, _ = net.SplitHostPort(r.RemoteAddr) // empty, like all others of which nothing is known
	default:
		return 0, false
	}
	values := r.URL.Query()
	words := []string{who.GetName(), from, r.URL.Path, values.Get("fieldSelector"), values.Get("labelSelector")}
	var h maphash.Hash
	h.SetSeed(a.seed)
	for _, word := range words {
		_, _ = h.WriteString(word) // never fails
		_ = h.WriteByte(0)
	}
	return h.Sum64(), true
}

// refuseAhead puts ahead in front of all that the API server answers, behind its own checks of who asks. What is given has to be
// told of the API server once it is built.
func refuseAhead(config *app.Config, loopback *rest.Config, alone bool) *atomic.Pointer[aggregator.APIAggregator] {
	var built atomic.Pointer[aggregator.APIAggregator]
	chain := &config.Aggregator.GenericConfig.BuildHandlerChainFunc
	build := *chain
	*chain = func(api http.Handler, c *genericapiserver.Config) http.Handler {
		return build(newAhead(api, newest(loopback), func(group, version string) bool { return stored(built.Load(), group, version) }, alone), c)
	}
	return &built
}

// stored says that no other API server answers for a group.
func stored(built *aggregator.APIAggregator, group, version string) bool {
	if group == "" {
		return true
	}
	if built == nil {
		return false
	}
	service, err := built.APIRegistrationInformers.Apiregistration().V1().APIServices().Lister().Get(version + "." + group)
	return err == nil && service.Spec.Service == nil
}

// newest asks the API server itself, by a list that it has to compare with the store.
func newest(loopback *rest.Config) func(context.Context) (uint64, error) {
	client := sync.OnceValues(func() (kubernetes.Interface, error) { return kubernetes.NewForConfig(loopback) })
	return func(ctx context.Context) (uint64, error) {
		api, err := client()
		if err != nil {
			return 0, err
		}
		list, err := api.CoordinationV1().Leases(meta.NamespaceDefault).List(ctx, meta.ListOptions{Limit: 1})
		if err != nil {
			return 0, err
		}
		return strconv.ParseUint(list.ResourceVersion, 10, 64)
	}
}
