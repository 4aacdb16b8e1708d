package podrights

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/wire"
)

func ask(words string) Ask {
	part := strings.Split(words, ",")
	return Ask{part[0], part[1], part[2], part[3], part[4], part[5]}
}

func TestWhatAUserMayRead(t *testing.T) {
	read := []string{"get", "list"}
	core := []string{""}
	everything := []string{"*"}
	for name, c := range map[string]struct {
		rule    wire.ReadRule
		may     []string // verb, group, resource, subresource, namespace, name
		mustNot []string
	}{
		"in one namespace": {wire.ReadRule{Namespace: "a", Verbs: read, Groups: core, Resources: []string{"configmaps"}},
			[]string{"get,,configmaps,,a,x", "list,,configmaps,,a,", "list,,configmaps,,a,x"},
			[]string{"get,,configmaps,,b,x", "list,,configmaps,,b,", "list,,configmaps,,,", "watch,,configmaps,,a,", "get,,secrets,,a,x", "get,apps,configmaps,,a,x",
				"get,,configmaps,status,a,x", "create,,configmaps,,a,x", "delete,,configmaps,,a,x", "get,,nodes,,,pi"}},
		"everywhere": {wire.ReadRule{Verbs: read, Groups: core, Resources: []string{"pods", "nodes"}},
			[]string{"get,,pods,,a,x", "list,,pods,,b,", "list,,pods,,,", "get,,nodes,,,pi"}, []string{"get,,pods,log,a,x", "get,,secrets,,a,x"}},
		"by name": {wire.ReadRule{Namespace: "a", Verbs: []string{"get", "list", "watch"}, Groups: core, Resources: []string{"secrets"}, Names: []string{"mine", "ours"}},
			[]string{"get,,secrets,,a,mine", "get,,secrets,,a,ours", "list,,secrets,,a,mine", "watch,,secrets,,a,mine"},
			[]string{"get,,secrets,,a,theirs", "list,,secrets,,a,", "watch,,secrets,,a,", "get,,secrets,,b,mine"}},
		"a part": {wire.ReadRule{Verbs: read, Groups: core, Resources: []string{"pods/status"}},
			[]string{"get,,pods,status,a,x"}, []string{"get,,pods,,a,x", "get,,nodes,status,,pi"}},
		"a part of all": {wire.ReadRule{Verbs: read, Groups: core, Resources: []string{"*/status"}},
			[]string{"get,,pods,status,a,x", "get,,nodes,status,,pi"}, []string{"get,,pods,,a,x", "get,,pods,log,a,x"}},
		"all groups":     {wire.ReadRule{Verbs: read, Groups: everything, Resources: []string{"leases"}}, []string{"get,coordination.k8s.io,leases,,a,x", "get,,leases,,a,x"}, []string{"get,,pods,,a,x"}},
		"everything":     {wire.ReadRule{Verbs: read, Groups: everything, Resources: everything}, []string{"get,apps,deployments,scale,a,x"}, []string{"watch,,pods,,a,", "patch,,pods,,a,x", "*,,pods,,a,x", ",,pods,,a,x"}},
		"more than read": {wire.ReadRule{Verbs: everything, Groups: everything, Resources: everything}, []string{"watch,,pods,,,"}, []string{"delete,,pods,,a,x", "update,,pods,,a,x", "deletecollection,,pods,,a,"}},
		"nothing":        {wire.ReadRule{}, nil, []string{"get,,pods,,a,x", "list,,pods,,,"}},
	} {
		p := informed(t, nil, web(c.rule), wire.Account{Namespace: "a", Name: "poor", UID: "x"})
		for _, words := range c.may {
			if !p.May(User{Name: "system:serviceaccount:a:web", Namespace: "a"}, ask(words)) {
				t.Errorf("%s: may not %s", name, words)
			}
		}
		for _, words := range c.mustNot {
			if p.May(User{Name: "system:serviceaccount:a:web", Namespace: "a"}, ask(words)) {
				t.Errorf("%s: may %s", name, words)
			}
		}
		for _, other := range []string{"system:serviceaccount:a:poor", "system:serviceaccount:a:unknown", "system:serviceaccount:b:web", "web", ""} {
			for _, words := range c.may {
				if p.May(User{Name: other, Namespace: "a"}, ask(words)) {
					t.Errorf("%s: %q may %s", name, other, words)
				}
			}
		}
	}
	for name, want := range map[string]bool{"poor": true, "unknown": false} {
		if p := informed(t, nil, wire.Account{Namespace: "a", Name: "poor", UID: "x"}); p.Known(User{Name: "system:serviceaccount:a:" + name}) != want {
			t.Errorf("known is not %t of %s", want, name)
		}
	}
	if newPlace(t, filepath.Join(t.TempDir(), "none")).Known(User{Name: "system:serviceaccount:a:web"}) {
		t.Error("before servers said anything, somebody is known")
	}
	if newPlace(t, filepath.Join(t.TempDir(), "none")).May(User{Name: "system:serviceaccount:a:web"}, ask("get,,pods,,a,x")) {
		t.Error("before servers said anything, somebody may something")
	}
}

func TestRulesAddUp(t *testing.T) {
	p := informed(t, nil, web(wire.ReadRule{Namespace: "a", Verbs: []string{"get"}, Groups: []string{""}, Resources: []string{"pods"}},
		wire.ReadRule{Namespace: "b", Verbs: []string{"list"}, Groups: []string{""}, Resources: []string{"pods"}}))
	u := User{Name: "system:serviceaccount:a:web"}
	for words, want := range map[string]bool{"get,,pods,,a,x": true, "list,,pods,,b,": true, "list,,pods,,a,": false, "get,,pods,,b,x": false} {
		if p.May(u, ask(words)) != want {
			t.Errorf("%s: %t", words, !want)
		}
	}
}
