package metrics

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	compatibility "k8s.io/component-base/compatibility"
	aggregation "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset/fake"
	figures "k8s.io/metrics/pkg/apis/metrics/v1beta1"
	"sigs.k8s.io/metrics-server/pkg/api"
	"sigs.k8s.io/metrics-server/pkg/api/generated/openapi"
)

// kubelet answers as a node would on which one pod keeps one core busy.
type kubelet struct {
	name  string
	begin time.Time

	mu    sync.Mutex // guards what follows
	dials []string
}

func (k *kubelet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/metrics/resource" {
		http.NotFound(w, r)
		return
	}
	now := time.Now()
	used, at := 100+now.Sub(k.begin).Seconds(), now.UnixMilli()
	labels := fmt.Sprintf(`{container="main",namespace="default",pod="busy-%s"}`, k.name)
	fmt.Fprintf(w, "node_cpu_usage_seconds_total %f %d\nnode_memory_working_set_bytes 1.048576e+06 %d\n", used, at, at)
	fmt.Fprintf(w, "container_cpu_usage_seconds_total%s %f %d\ncontainer_memory_working_set_bytes%s 2.097152e+06 %d\n", labels, used, at, labels, at)
	fmt.Fprintf(w, "container_start_time_seconds%s %d\n", labels, k.begin.Add(-time.Hour).Unix())
}

// dial leads every connection to the kubelet whose name it is for.
func dial(kubelets map[string]*kubelet, servers map[string]*httptest.Server) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		if kubelets[host] == nil {
			return nil, fmt.Errorf("there is no %s", address)
		}
		kubelets[host].mu.Lock()
		kubelets[host].dials = append(kubelets[host].dials, address)
		kubelets[host].mu.Unlock()
		return (&net.Dialer{}).DialContext(ctx, network, servers[host].Listener.Addr().String())
	}
}

func node(name string, ready core.ConditionStatus) *core.Node {
	return &core.Node{
		ObjectMeta: meta.ObjectMeta{Name: name},
		Status: core.NodeStatus{
			Addresses:       []core.NodeAddress{{Type: core.NodeInternalIP, Address: "192.168.1.10"}, {Type: core.NodeHostName, Address: name}},
			DaemonEndpoints: core.NodeDaemonEndpoints{KubeletEndpoint: core.DaemonEndpoint{Port: 10251}},
			Conditions:      []core.NodeCondition{{Type: core.NodeReady, Status: ready}},
		},
	}
}

func pod(name string, phase core.PodPhase) *core.Pod {
	return &core.Pod{ObjectMeta: meta.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": "busy"}}, Status: core.PodStatus{Phase: phase}}
}

// TestMetricsAPI has the API answer for kubelets on real sockets, that all have the same address.
func TestMetricsAPI(t *testing.T) {
	kubelets, servers := map[string]*kubelet{}, map[string]*httptest.Server{}
	// example.com is what the certificate of httptest's servers is good for; a second name ends in it as well.
	for _, name := range []string{"example.com", "far.example.com"} {
		kubelets[name] = &kubelet{name: name, begin: time.Now()}
		servers[name] = httptest.NewTLSServer(kubelets[name])
		defer servers[name].Close()
	}
	ca := filepath.Join(t.TempDir(), "ca.crt")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: servers["example.com"].Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	m := New(Config{CAFile: ca, Dial: dial(kubelets, servers)})
	known := informers.NewSharedInformerFactory(fake.NewClientset(
		node("example.com", core.ConditionTrue), node("far.example.com", core.ConditionTrue), node("gone", core.ConditionUnknown),
		pod("busy-example.com", core.PodRunning), pod("busy-far.example.com", core.PodRunning), pod("done", core.PodSucceeded)), 0)
	server := serve(t, m, known)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	known.Start(ctx.Done())
	known.WaitForCacheSync(ctx.Done())
	running.Go(func() {
		to := Clients{Core: fake.NewClientset(), Aggregation: aggregation.NewSimpleClientset()}
		if err := m.Run(ctx, to, func() {}); err != nil {
			t.Error(err)
		}
	})
	_, first, _ := m.sampler.newest()
	m.sampler.want()
	<-first
	time.Sleep(time.Second)
	m.sampler.sample(ctx) // while run waits for its timer; nobody asks

	var nodes figures.NodeMetricsList
	get(t, server, "/apis/metrics.k8s.io/v1beta1/nodes", &nodes)
	if len(nodes.Items) != 2 || nodes.Items[0].Name != "example.com" || busy(nodes.Items[0].Usage) || busy(nodes.Items[1].Usage) {
		t.Errorf("the nodes: %+v", nodes.Items)
	}
	var pods figures.PodMetricsList
	get(t, server, "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods?labelSelector=app%3Dbusy", &pods)
	if len(pods.Items) != 2 || len(pods.Items[1].Containers) != 1 || busy(pods.Items[1].Containers[0].Usage) {
		t.Errorf("the pods: %+v", pods.Items)
	}
	var one figures.PodMetrics
	get(t, server, "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/busy-far.example.com", &one)
	if one.Name != "busy-far.example.com" || one.Labels["app"] != "busy" {
		t.Errorf("one pod: %+v", one)
	}
	for name, k := range kubelets {
		if len(k.dials) != 1 || k.dials[0] != name+":10251" {
			t.Errorf("%s was dialed as %q", name, k.dials)
		}
	}
}

// busy says that it is not about one core.
func busy(usage core.ResourceList) bool {
	return usage.Cpu().MilliValue() < 900 || usage.Cpu().MilliValue() > 1100 || usage.Memory().IsZero()
}

// serve makes an API server that has only this API.
func serve(t *testing.T, m *Metrics, known informers.SharedInformerFactory) http.Handler {
	t.Helper()
	c := genericapiserver.NewConfig(api.Codecs)
	names := openapinamer.NewDefinitionNamer(api.Scheme)
	c.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(openapi.GetOpenAPIDefinitions, names)
	c.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(openapi.GetOpenAPIDefinitions, names)
	c.ExternalAddress, c.LoopbackClientConfig = "127.0.0.1:443", &rest.Config{}
	c.EffectiveVersion = compatibility.NewEffectiveVersionFromString("1.36", "", "")
	built, err := c.Complete(nil).New("test", genericapiserver.NewEmptyDelegate())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Serve(built, known); err != nil {
		t.Fatal(err)
	}
	return built.Handler
}

func get(t *testing.T, server http.Handler, path string, to runtime.Object) {
	t.Helper()
	answer := httptest.NewRecorder()
	server.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, http.NoBody))
	if err := json.Unmarshal(answer.Body.Bytes(), to); err != nil || answer.Code != http.StatusOK {
		t.Fatalf("%s: %d %s, %v", path, answer.Code, strings.TrimSpace(answer.Body.String()), err)
	}
}
