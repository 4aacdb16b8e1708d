package egress

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// api serves lists of one node and one pod, and watches in which nothing happens.
func api(t *testing.T, asked chan<- string) kubernetes.Interface {
	t.Helper()
	full := node("pi", "10.0.0.5", "10.42.1.0/24")
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Query().Has("sendInitialEvents") { // the process that this runs in lists instead
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		if r.URL.Query().Has("watch") {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		asked <- r.URL.Path
		var list any = core.NodeList{TypeMeta: meta.TypeMeta{Kind: "NodeList", APIVersion: "v1"}, ListMeta: meta.ListMeta{ResourceVersion: "1"}, Items: []core.Node{*full}}
		if strings.HasSuffix(r.URL.Path, "/pods") {
			list = core.PodList{TypeMeta: meta.TypeMeta{Kind: "PodList", APIVersion: "v1"}, ListMeta: meta.ListMeta{ResourceVersion: "1"},
				Items: []core.Pod{*pod("x", "pi", "172.16.0.9", core.PodRunning)}}
		}
		_ = json.NewEncoder(w).Encode(list)
	}))
	t.Cleanup(web.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: web.URL})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestTheBookFollowsTheAPI(t *testing.T) {
	for mode, lists := range map[Mode]int{Agent: 1, Pod: 1, Cluster: 2} {
		asked := make(chan string, 10)
		d := New(mode, "", &fakeTunnels{})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		client := api(t, asked)
		factory := informers.NewSharedInformerFactory(client, 0)
		nodes := factory.Core().V1().Nodes().Informer()
		factory.Start(ctx.Done())
		go func() { ended <- d.Run(ctx, client, nodes, func() {}) }()
		select {
		case <-d.book.complete:
		case <-time.After(10 * time.Second):
			t.Fatal("the lists do not come")
		}
		if len(asked) != lists {
			t.Errorf("mode %s lists %d kinds", mode, len(asked))
		}
		if w, err := d.route("pi", 10250); err != nil || w.node != "pi" {
			t.Errorf("mode %s: %+v, %v", mode, w, err)
		}
		w, err := d.route("172.16.0.9", 80)
		if err != nil || (w.node == "pi") != (mode == Cluster) {
			t.Errorf("mode %s: %+v, %v", mode, w, err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
