package podrights

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skerry-io/skerry/internal/wire"
)

func TestANodeHearsOfTheAccountsOfItsOwnPodsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, vouched(),
			account("a", "web"), account("b", "web"), account("a", "secret-one"), account("a", "idle"), account("a", "waiting"),
			clusterRole("reader", rule("get", "", "pods")), bindCluster("reader", toAccount("a", "web"), toAccount("a", "secret-one")),
			pod("pi", "a", "one", "web"), pod("pi", "a", "two", "web"), pod("pi", "b", "one", "web"), pod("pi", "a", "static", ""), pod("pi", "a", "late", "deleted-account"),
			pod("other", "a", "three", "secret-one"), pod("", "a", "four", "waiting"))
		text := next(t, c.listen(t.Context(), "pi", ""))
		told := parse(t, text)
		if names(told) != "a/web b/web" || told.Accounts[0].UID != "uid-of-web" || len(told.Accounts[0].Rules) != 1 || len(told.Accounts[1].Rules) != 0 {
			t.Errorf("pi hears %s", text)
		}
		for _, private := range []string{"secret-one", "idle", "waiting", "three", "four"} {
			if strings.Contains(text, private) {
				t.Errorf("pi hears of %s: %s", private, text)
			}
		}
		if told := parse(t, next(t, c.listen(t.Context(), "pi2", ""))); len(told.Accounts) != 0 || len(told.Tokens.Keys) != 1 || told.Tokens.Audiences[1] != "api" {
			t.Errorf("a node without pods hears %v", told)
		}
	})
}

func TestWhatAnAccountMayRead(t *testing.T) {
	pods := rule("get list", "", "pods")
	web := toAccount("a", "web")
	everywhere := `[{"verbs":["get","list"],"groups":[""],"resources":["pods"]}]`
	inB := `[{"namespace":"b","verbs":["get","list"],"groups":[""],"resources":["pods"]}]`
	for name, c := range map[string]struct {
		objects []runtime.Object
		want    string
	}{
		"by nothing":                           {nil, ""},
		"by a role that nobody bound":          {[]runtime.Object{clusterRole("r", pods)}, ""},
		"by a binding of the cluster":          {[]runtime.Object{clusterRole("r", pods), bindCluster("r", web)}, everywhere},
		"by a binding in another namespace":    {[]runtime.Object{role("b", "r", pods), bind("b", "Role", "r", web)}, inB},
		"by a role of the cluster bound there": {[]runtime.Object{clusterRole("r", pods), bind("b", "ClusterRole", "r", web)}, inB},
		"by a role of another namespace":       {[]runtime.Object{role("a", "r", pods), bind("b", "Role", "r", web)}, ""},
		"by a binding without a namespace":     {[]runtime.Object{role("a", "r", pods), bind("a", "Role", "r", toAccount("", "web"))}, strings.ReplaceAll(inB, `"b"`, `"a"`)},
		"by one that means another's account":  {[]runtime.Object{role("b", "r", pods), bind("b", "Role", "r", toAccount("", "web"))}, ""},
		"by another account's":                 {[]runtime.Object{clusterRole("r", pods), bindCluster("r", toAccount("b", "web"), toAccount("a", "we"))}, ""},
		"as one of all accounts":               {[]runtime.Object{clusterRole("r", pods), bindCluster("r", toGroup("system:serviceaccounts"))}, everywhere},
		"as one of its namespace's":            {[]runtime.Object{clusterRole("r", pods), bindCluster("r", toGroup("system:serviceaccounts:a"))}, everywhere},
		"as one of another namespace's":        {[]runtime.Object{clusterRole("r", pods), bindCluster("r", toGroup("system:serviceaccounts:b"))}, ""},
		"as anybody who is known":              {[]runtime.Object{clusterRole("r", pods), bindCluster("r", toGroup("system:authenticated"))}, everywhere},
		"as somebody who is not":               {[]runtime.Object{clusterRole("r", pods), bindCluster("r", toGroup("system:unauthenticated"))}, ""},
		"as a user":                            {[]runtime.Object{clusterRole("r", pods), bindCluster("r", rbac.Subject{Kind: "User", Name: "system:serviceaccount:a:web"})}, everywhere},
		"by a role that is not there, too":     {[]runtime.Object{role("b", "r", pods), bind("b", "Role", "r", web), bindCluster("gone", web)}, inB},
		"the same twice":                       {[]runtime.Object{clusterRole("r", pods, pods), bindCluster("r", web)}, everywhere},
		"what it may write":                    {[]runtime.Object{clusterRole("r", rule("create update patch delete deletecollection bind escalate impersonate", "", "pods")), bindCluster("r", web)}, ""},
		"what it may write and read": {[]runtime.Object{clusterRole("r", rule("watch delete create", "", "pods")), bindCluster("r", web)},
			`[{"verbs":["watch"],"groups":[""],"resources":["pods"]}]`},
		"everything":        {[]runtime.Object{clusterRole("r", rule("*", "*", "*")), bindCluster("r", web)}, `[{"verbs":["get","list","watch"],"groups":["*"],"resources":["*"]}]`},
		"what has a name":   {[]runtime.Object{clusterRole("r", rule("get", "apps", "deployments", "x", "y")), bindCluster("r", web)}, `[{"verbs":["get"],"groups":["apps"],"resources":["deployments"],"names":["x","y"]}]`},
		"what is no object": {[]runtime.Object{clusterRole("r", rbac.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/metrics"}}), bindCluster("r", web)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				site := newCluster(t, vouched(), append(c.objects, account("a", "web"), pod("pi", "a", "one", "web"))...)
				told := parse(t, next(t, site.listen(t.Context(), "pi", "")))
				rules, err := json.Marshal(told.Accounts[0].Rules)
				if err != nil {
					t.Fatal(err)
				}
				if got := strings.TrimPrefix(string(rules), "null"); got != c.want {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
			})
		})
	}
}

func TestTokensInSecretsAreToldByTheirSums(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plain, stale, leaving := secret("a", "plain", "web", "no-token"), secret("a", "stale", "web", "stale"), secret("a", "leaving", "web", "leaving")
		plain.Type = core.SecretTypeOpaque
		stale.Labels = map[string]string{invalidSince: "2026-01-01"}
		leaving.DeletionTimestamp, leaving.Finalizers = &meta.Time{Time: time.Now()}, []string{"x"}
		c := newCluster(t, vouched(), account("a", "web"), pod("pi", "a", "one", "web"), plain, stale, leaving, secret("a", "good", "web", "good"), secret("a", "empty", "web", ""),
			secret("a", "other", "db", "others"), secret("b", "good", "web", "elsewhere"))
		text := next(t, c.listen(t.Context(), "pi", ""))
		if tokens := parse(t, text).Accounts[0].Tokens; len(tokens) != 1 || tokens[0] != hash([]byte("good")) || strings.Contains(text, "good") {
			t.Errorf("told %s", text)
		}
	})
}

func TestANodeHearsOfChangesAndOfNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, vouched(), account("a", "web"), account("a", "db"), clusterRole("r", rule("get", "", "pods")), pod("pi", "a", "one", "web"), pod("", "a", "two", "db"))
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		texts := c.listen(ctx, "pi", "")
		first := next(t, texts)
		again := c.listen(ctx, "pi", hash([]byte(first)))
		for _, change := range []struct {
			name string
			do   func() error
			want string // in the text; empty for silence
		}{
			{"nothing", func() error { return nil }, ""},
			{"a pod's report", func() error {
				p := pod("pi", "a", "one", "web")
				p.Status.Phase = core.PodRunning
				_, err := c.api.CoreV1().Pods("a").UpdateStatus(ctx, p, meta.UpdateOptions{})
				return err
			}, ""},
			{"another node's pod", func() error {
				_, err := c.api.CoreV1().Pods("a").Create(ctx, pod("other", "a", "three", "db"), meta.CreateOptions{})
				return err
			}, ""},
			{"a pod is bound", func() error {
				_, err := c.api.CoreV1().Pods("a").Update(ctx, pod("pi", "a", "two", "db"), meta.UpdateOptions{})
				return err
			}, `"name":"db"`},
			{"a role is bound", func() error {
				_, err := c.api.RbacV1().ClusterRoleBindings().Create(ctx, bindCluster("r", toAccount("a", "web")), meta.CreateOptions{})
				return err
			}, `"resources":["pods"]`},
			{"a role is changed", func() error {
				changed := clusterRole("r", rule("get", "", "secrets"))
				changed.ResourceVersion = "2"
				_, err := c.api.RbacV1().ClusterRoles().Update(ctx, changed, meta.UpdateOptions{})
				return err
			}, `"resources":["secrets"]`},
			{"the binding is gone", func() error { return c.api.RbacV1().ClusterRoleBindings().Delete(ctx, "b", meta.DeleteOptions{}) }, `{"namespace":"a","name":"web","uid":"uid-of-web"}`},
			{"a token is put into a Secret", func() error {
				_, err := c.api.CoreV1().Secrets("a").Create(ctx, secret("a", "t", "web", "token"), meta.CreateOptions{})
				return err
			}, `"tokens":["` + hash([]byte("token")) + `"]`},
			{"another Secret is made", func() error {
				_, err := c.api.CoreV1().Secrets("a").Create(ctx, &core.Secret{ObjectMeta: meta.ObjectMeta{Name: "other"}}, meta.CreateOptions{})
				return err
			}, ""},
			{"the Secret is gone", func() error { return c.api.CoreV1().Secrets("a").Delete(ctx, "t", meta.DeleteOptions{}) }, `{"namespace":"a","name":"web","uid":"uid-of-web"}`},
			{"a pod is gone", func() error { return c.api.CoreV1().Pods("a").Delete(ctx, "two", meta.DeleteOptions{}) }, first},
		} {
			if err := change.do(); err != nil {
				t.Fatal(err)
			}
			for _, texts := range []<-chan string{texts, again} {
				if got := next(t, texts); (got == "") != (change.want == "") || !strings.Contains(got, change.want) {
					t.Errorf("%s: %q", change.name, got)
				}
			}
		}
	})
}

func TestATextHasRoomForSoMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := strings.Repeat("x", wire.MaxPodRights/2)
		c := newCluster(t, vouched(), account("a", "first"), account("a", "last"), account("a", "small"), pod("pi", "a", "1", "first"), pod("pi", "a", "2", "last"), pod("pi", "a", "3", "small"),
			role("a", "r", rule("get", "", "pods", long)), bind("a", "Role", "r", toAccount("a", "first"), toAccount("a", "last")))
		text := next(t, c.listen(t.Context(), "pi", ""))
		if told := parse(t, text); names(told) != "a/first a/small" || len(text) > wire.MaxPodRights {
			t.Errorf("%d bytes tell of %s", len(text), names(told))
		}
	})
}

func TestAnAccountWakesTheNodesWithItsPodsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, vouched(), pod("pi", "a", "one", "web"), pod("other", "b", "one", "web"), pod("third", "a", "two", "db"), role("a", "r"))
		synctest.Wait()
		nodes := map[string]<-chan struct{}{}
		for _, node := range []string{"pi", "other", "third"} {
			nodes[node], _ = c.nodes.Join(node)
		}
		for _, change := range []struct {
			name string
			do   func() error
			all  bool
		}{
			{"an account is made", func() error {
				_, err := c.api.CoreV1().ServiceAccounts("a").Create(t.Context(), account("a", "web"), meta.CreateOptions{})
				return err
			}, false},
			{"a token is put into a Secret", func() error {
				_, err := c.api.CoreV1().Secrets("a").Create(t.Context(), secret("a", "t", "web", "token"), meta.CreateOptions{})
				return err
			}, false},
			{"a role is gone", func() error { return c.api.RbacV1().Roles("a").Delete(t.Context(), "r", meta.DeleteOptions{}) }, true},
			{"the account is gone", func() error {
				return c.api.CoreV1().ServiceAccounts("a").Delete(t.Context(), "web", meta.DeleteOptions{})
			}, false},
		} {
			if err := change.do(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			for node, woken := range nodes {
				if want := change.all || node == "pi"; len(woken) > 0 != want {
					t.Errorf("%s: woken is not %t of %s", change.name, want, node)
				}
				for len(woken) > 0 {
					<-woken
				}
			}
		}
	})
}

func TestAnAccountsRulesAreFoundOnceForAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, vouched(), account("a", "web"), pod("pi", "a", "one", "web"), pod("other", "a", "two", "web"),
			role("a", "r", rule("get", "", "pods")), bind("a", "Role", "r", toAccount("a", "web")))
		synctest.Wait()
		rules := func(node string) *wire.ReadRule {
			told, err := c.of(t.Context(), node)
			if err != nil {
				t.Fatal(err)
			}
			return &told.Accounts[0].Rules[0]
		}
		before := rules("pi")
		if rules("other") != before {
			t.Error("they are found for each node")
		}
		if _, err := c.api.RbacV1().Roles("a").Create(t.Context(), role("a", "another"), meta.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if rules("other") == before {
			t.Error("they stay after a change")
		}
	})
}

func TestOneTextIsMadeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, vouched(), account("a", "web"), pod("pi", "a", "one", "web"))
		<-c.turn
		texts := c.listen(t.Context(), "pi", "")
		if text := next(t, texts); text != "" {
			t.Errorf("told %s meanwhile", text)
		}
		c.turn <- struct{}{}
		if next(t, texts) == "" {
			t.Error("its turn does not come")
		}
	})
}

func TestWithoutRolesThatDecideNothingIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, wire.AccountTokens{}, account("a", "web"), pod("pi", "a", "one", "web"))
		if got := next(t, c.listen(t.Context(), "pi", "")); got != `{"tokens":{}}` {
			t.Errorf("told %s", got)
		}
		if asked := c.api.Actions(); len(asked) > 0 {
			t.Errorf("for that it asks %v", asked)
		}
	})
}

func TestListeningEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, vouched(), pod("pi", "a", "one", "web"))
		ctx, leave := context.WithCancel(t.Context())
		texts := c.listen(ctx, "pi", "")
		if next(t, texts) == "" {
			t.Fatal("nothing is told")
		}
		leave()
		if _, open := <-texts; open || c.nodes.Len() != 0 {
			t.Errorf("a node that left is told something, or %d are remembered", c.nodes.Len())
		}
		gone := errors.New("the node is gone")
		if err := c.Tell(t.Context(), "pi", "", func([]byte) error { return gone }); !errors.Is(err, gone) {
			t.Errorf("got %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := New() // it never knows anything
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		r.synced = append(r.synced, func() bool { return false })
		go func() { ended <- r.Run(ctx, func() {}) }()
		go func() { ended <- r.Tell(t.Context(), "pi", "", func([]byte) error { return errors.New("it tells") }) }()
		synctest.Wait()
		stop()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
}
