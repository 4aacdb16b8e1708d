package runtimeclasses

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	node "k8s.io/api/node/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
)

func TestAClassForEachRuntimeAndTheUsersOwnIsKept(t *testing.T) {
	client := fake.NewClientset(
		&core.Node{ObjectMeta: meta.ObjectMeta{Name: "a"}, Status: core.NodeStatus{RuntimeHandlers: []core.NodeRuntimeHandler{{}, {Name: "runc"}, {Name: "crun"}, {Name: "kata"}}}},
		&node.RuntimeClass{ObjectMeta: meta.ObjectMeta{Name: "kata"}, Handler: "kata-qemu"},
	)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	factory := informers.NewSharedInformerFactory(client, 0)
	nodes := factory.Core().V1().Nodes().Informer()
	factory.Start(ctx.Done())
	go func() { done <- Run(ctx, client, nodes, slog.New(slog.NewTextHandler(io.Discard, nil)), func() {}) }()
	defer func() { stop(); <-done }()

	var classes *node.RuntimeClassList
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		var err error
		if classes, err = client.NodeV1().RuntimeClasses().List(ctx, meta.ListOptions{}); err != nil {
			t.Fatal(err)
		}
		if len(classes.Items) == 2 {
			break
		}
	}
	got := map[string]string{}
	for _, c := range classes.Items {
		got[c.Name] = c.Handler
	}
	if len(got) != 2 || got["crun"] != "crun" || got["kata"] != "kata-qemu" {
		t.Errorf("got %v", got)
	}
}
