package server

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/local"
	"github.com/skerry-io/skerry/server/token"
)

// TestAServerWithoutANodeIsNotForgotten: at a datastore of others nothing else says that there is one that is cut off.
func TestAServerWithoutANodeIsNotForgotten(t *testing.T) {
	dir, err := os.MkdirTemp("", "s") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s := certified(t, dir)
	s.config.DatastoreEndpoint, s.config.NodeName, s.config.DisableAgent = "postgres://db", "pole", true
	if err := os.MkdirAll(filepath.Dir(s.socket()), 0o700); err != nil {
		t.Fatal(err)
	}
	known := informers.NewSharedInformerFactory(fake.NewClientset(), 0)
	s.nodes = known.Core().V1().Nodes().Informer()
	ctx, stop := context.WithCancel(t.Context())
	known.Start(ctx.Done())
	known.WaitForCacheSync(ctx.Done())
	store, done, err := local.Open(ctx, local.Config{Dir: filepath.Join(dir, "db"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	ended := make(chan error, 2)
	serving := make(chan struct{})
	go func() { ended <- datastore.Serve(ctx, store, s.socket(), func() { close(serving) }) }()
	<-serving
	s.agree()
	if s.tokens, err = token.Open(s.tokenConfig(), s.pki.ServerCA.Certificate, s.log); err != nil {
		t.Fatal(err)
	}
	shared := make(chan struct{})
	go func() { ended <- s.share(ctx, sync.OnceFunc(func() { close(shared) })) }()
	<-shared
	if names, err := s.allServers(ctx); err != nil || !slices.Equal(names, []string{"pole"}) {
		t.Errorf("a rotation of the key of Secrets asks %v, %v", names, err)
	}
	if err := s.Leave(ctx, "mast"); err == nil || !strings.Contains(err.Error(), "those that there are: pole") {
		t.Errorf("a server that is none left: %v", err)
	}
	stop()
	for range cap(ended) {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestAllServersAreThoseThatHaveANode(t *testing.T) {
	node := func(name string, labels map[string]string) *core.Node {
		return &core.Node{ObjectMeta: meta.ObjectMeta{Name: name, Labels: labels}}
	}
	role := map[string]string{"node-role.kubernetes.io/control-plane": "true"}
	known := informers.NewSharedInformerFactory(fake.NewClientset(node("a", role), node("b", role), node("agent", nil)), 0)
	s := &Server{}
	if names, err := s.allServers(t.Context()); err == nil {
		t.Errorf("nothing is known, and they are %v", names)
	}
	s.nodes = known.Core().V1().Nodes().Informer()
	if names, err := s.allServers(t.Context()); err == nil {
		t.Errorf("nothing is read, and they are %v", names)
	}
	known.Start(t.Context().Done())
	known.WaitForCacheSync(t.Context().Done())
	names, err := s.allServers(t.Context())
	slices.Sort(names)
	if err != nil || !slices.Equal(names, []string{"a", "b"}) {
		t.Errorf("%v, %v", names, err)
	}
	s.config.DatastoreEndpoint = "postgres://db" // which is served at the server's socket
	soon, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	if names, err := s.allServers(soon); err == nil {
		t.Errorf("the roll is not known, and they are %v", names)
	}
	s.config.DatastoreEndpoint, s.inEtcd = "", true
	if names, err := s.allServers(t.Context()); err == nil {
		t.Errorf("the members are not known, and they are %v", names)
	}
}
