package releases

import (
	"context"
	"io"
	"log/slog"
	"net/http"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	api "k8s.io/client-go/tools/clientcmd/api"
)

// history is how many revisions of a release are kept. Each is a whole chart in the datastore, and all are read for each
// step.
const history = 5

// configuration is what the library needs for one step with a release. It is made anew each time, as it holds what the
// API server offers, which is megabytes, and changes. Requests end with ctx; waiting also ends with the patience of o.
func configuration(ctx context.Context, c *rest.Config, o Order, log *slog.Logger) (*action.Configuration, error) {
	c = rest.CopyConfig(c)
	c.Wrap(func(next http.RoundTripper) http.RoundTripper { return bounded{ctx, next} })
	client, err := kubernetes.NewForConfig(c)
	if err != nil {
		return nil, err
	}
	found := memory.NewMemCacheClient(client.Discovery())
	from := &getter{config: c, namespace: o.Namespace, found: found, mapper: restmapper.NewDeferredDiscoveryRESTMapper(found)}
	tell := func(format string, args ...any) { log.Debug("helm: "+format, "args", args) }
	library := kube.New(from)
	library.Namespace, library.Log = o.Namespace, tell
	records := storage.Init(driver.NewSecrets(client.CoreV1().Secrets(o.Namespace)))
	records.MaxHistory = history
	return &action.Configuration{
		RESTClientGetter: from,
		KubeClient:       &cluster{Client: library, typed: client, ctx: o.waiting(ctx)},
		Releases:         records,
		Log:              tell,
		HookOutputFunc:   func(string, string, string) io.Writer { return io.Discard },
	}, nil
}

// bounded are requests that end with a context, as the library gives them none.
type bounded struct {
	ctx  context.Context
	next http.RoundTripper
}

// RoundTrip is of http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := b.ctx.Err(); err != nil {
		return nil, err
	}
	return b.next.RoundTrip(r)
}

// getter gives the library clients of the API server in this process, instead of those a kubeconfig file would say.
type getter struct {
	config    *rest.Config
	namespace string
	found     discovery.CachedDiscoveryInterface
	mapper    meta.RESTMapper
}

// ToRESTConfig is of genericclioptions.RESTClientGetter.
func (g *getter) ToRESTConfig() (*rest.Config, error) { return rest.CopyConfig(g.config), nil }

// ToDiscoveryClient is of genericclioptions.RESTClientGetter.
func (g *getter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) { return g.found, nil }

// ToRESTMapper is of genericclioptions.RESTClientGetter.
func (g *getter) ToRESTMapper() (meta.RESTMapper, error) { return g.mapper, nil }

// ToRawKubeConfigLoader is of genericclioptions.RESTClientGetter. Only the namespace is asked of it.
func (g *getter) ToRawKubeConfigLoader() clientcmd.ClientConfig {
	return clientcmd.NewDefaultClientConfig(api.Config{}, &clientcmd.ConfigOverrides{Context: api.Context{Namespace: g.namespace}})
}
