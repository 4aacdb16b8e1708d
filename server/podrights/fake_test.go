package podrights

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/skerry-io/skerry/internal/wire"
)

// cluster is one with objects, that nodes listen to.
type cluster struct {
	*Rights
	api *fake.Clientset
}

func vouched() wire.AccountTokens {
	return wire.AccountTokens{Keys: []wire.TokenKey{{ID: "k", Public: []byte("public")}}, Issuers: []string{"us"}, Audiences: []string{"us", "api"}}
}

// newCluster is to be called in a bubble of synctest.
func newCluster(t *testing.T, tokens wire.AccountTokens, objects ...runtime.Object) *cluster {
	t.Helper()
	c := &cluster{New(), fake.NewClientset(objects...)}
	known := informers.NewSharedInformerFactory(c.api, 0)
	c.Vouch(tokens)
	if err := c.See(known); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	known.Start(ctx.Done())
	go func() { _ = c.Run(ctx, func() {}); close(ended) }() // it has no error
	t.Cleanup(func() { stop(); <-ended; known.Shutdown() })
	return c
}

// listen gives the texts that a node is sent; the channel closes when there will be no more.
func (c *cluster) listen(ctx context.Context, node, have string) <-chan string {
	texts := make(chan string, 10)
	go func() {
		_ = c.Tell(ctx, node, have, func(text []byte) error { texts <- string(text); return nil }) // nor has this
		close(texts)
	}()
	return texts
}

// next is what is sent within a while, empty for nothing.
func next(t *testing.T, texts <-chan string) string {
	t.Helper()
	select {
	case text := <-texts:
		return text
	case <-time.After(2 * settle):
		return ""
	}
}

func parse(t *testing.T, text string) (told wire.PodRights) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &told); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return told
}

func names(told wire.PodRights) string {
	var all []string
	for _, a := range told.Accounts {
		all = append(all, a.Namespace+"/"+a.Name)
	}
	return strings.Join(all, " ")
}

func pod(node, namespace, name, account string) *core.Pod {
	return &core.Pod{ObjectMeta: meta.ObjectMeta{Namespace: namespace, Name: name}, Spec: core.PodSpec{NodeName: node, ServiceAccountName: account}}
}

func account(namespace, name string) *core.ServiceAccount {
	return &core.ServiceAccount{ObjectMeta: meta.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-of-" + name)}}
}

func rule(verbs, groups, resources string, names ...string) rbac.PolicyRule {
	return rbac.PolicyRule{Verbs: strings.Split(verbs, " "), APIGroups: strings.Split(groups, " "), Resources: strings.Split(resources, " "), ResourceNames: names}
}

func clusterRole(name string, rules ...rbac.PolicyRule) *rbac.ClusterRole {
	return &rbac.ClusterRole{ObjectMeta: meta.ObjectMeta{Name: name}, Rules: rules}
}

func role(namespace, name string, rules ...rbac.PolicyRule) *rbac.Role {
	return &rbac.Role{ObjectMeta: meta.ObjectMeta{Namespace: namespace, Name: name}, Rules: rules}
}

func bindCluster(role string, to ...rbac.Subject) *rbac.ClusterRoleBinding {
	return &rbac.ClusterRoleBinding{ObjectMeta: meta.ObjectMeta{Name: "b"}, RoleRef: rbac.RoleRef{Kind: "ClusterRole", Name: role}, Subjects: to}
}

func bind(namespace, kind, role string, to ...rbac.Subject) *rbac.RoleBinding {
	return &rbac.RoleBinding{ObjectMeta: meta.ObjectMeta{Namespace: namespace, Name: "b"}, RoleRef: rbac.RoleRef{Kind: kind, Name: role}, Subjects: to}
}

func secret(namespace, name, account, token string) *core.Secret {
	return &core.Secret{ObjectMeta: meta.ObjectMeta{Namespace: namespace, Name: name, Annotations: map[string]string{"kubernetes.io/service-account.name": account}},
		Type: "kubernetes.io/service-account-token", Data: map[string][]byte{"token": []byte(token)}}
}

func toAccount(namespace, name string) rbac.Subject {
	return rbac.Subject{Kind: "ServiceAccount", Namespace: namespace, Name: name}
}

func toGroup(name string) rbac.Subject { return rbac.Subject{Kind: "Group", Name: name} }
