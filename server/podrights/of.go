package podrights

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"

	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/kubernetes/pkg/registry/rbac/validation"
	authorizer "k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac"

	"github.com/skerry-io/skerry/internal/wire"
)

// of is all that a node is told, in an order that does not depend on chance.
func (r *Rights) of(ctx context.Context, node string) (told wire.PodRights, err error) {
	if len(r.tokens.Keys) == 0 {
		return told, nil
	}
	told.Tokens = r.tokens
	pods, err := r.known.Core().V1().Pods().Lister().List(labels.Everything())
	if err != nil {
		return told, err
	}
	accounts := map[types.NamespacedName]bool{}
	for _, pod := range pods {
		if pod.Spec.NodeName == node {
			accounts[types.NamespacedName{Namespace: pod.Namespace, Name: pod.Spec.ServiceAccountName}] = true
		}
	}
	if now := r.changes.Load(); r.found == nil || r.found.at != now {
		roles, err := r.roles()
		if err != nil {
			return told, err
		}
		r.found = &found{at: now, roles: roles, accounts: map[types.NamespacedName]*wire.Account{}}
	}
	for a := range accounts {
		account, known := r.found.accounts[a]
		if !known {
			if account, err = r.account(ctx, a); err != nil {
				return told, err
			}
			r.found.accounts[a] = account
		}
		if account != nil {
			told.Accounts = append(told.Accounts, *account)
		}
	}
	slices.SortFunc(told.Accounts, func(a, b wire.Account) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	err = fit(&told)
	return told, err
}

// found is what was found since the last change, for all nodes.
type found struct {
	at       uint64 // of changes
	roles    *roles
	accounts map[types.NamespacedName]*wire.Account // nil for one that is not there
}

// account is nil for one that is gone; a static pod has none.
func (r *Rights) account(ctx context.Context, a types.NamespacedName) (*wire.Account, error) {
	account, err := r.known.Core().V1().ServiceAccounts().Lister().ServiceAccounts(a.Namespace).Get(a.Name)
	if err != nil {
		return nil, nil
	}
	rules, err := r.found.roles.of(ctx, account)
	if err != nil {
		return nil, err
	}
	tokens, err := r.inSecrets(account)
	return &wire.Account{Namespace: a.Namespace, Name: a.Name, UID: string(account.UID), Tokens: tokens, Rules: rules}, err
}

// fit leaves out the accounts for which a text has no room: a node tells their pods that only a server can judge them.
func fit(told *wire.PodRights) error {
	all := told.Accounts
	told.Accounts = nil
	text, err := json.Marshal(told)
	if err != nil {
		return err
	}
	left := wire.MaxPodRights - len(text) - len(`,"accounts":[]`)
	for _, a := range all {
		text, err := json.Marshal(a)
		if err != nil {
			return err
		}
		if size := len(text) + len(","); size <= left {
			left -= size
			told.Accounts = append(told.Accounts, a)
		}
	}
	return nil
}

// invalidSince is the label of a Secret whose token Kubernetes does not take any more, because nobody has used it for long.
const invalidSince = "kubernetes.io/legacy-token-invalid-since"

// inSecrets are the sums of a ServiceAccount's tokens that lie in Secrets, as far as they count.
func (r *Rights) inSecrets(a *core.ServiceAccount) ([]string, error) {
	secrets, err := r.known.Core().V1().Secrets().Lister().Secrets(a.Namespace).List(labels.Everything())
	if err != nil {
		return nil, err
	}
	var sums []string
	for _, s := range secrets {
		token := s.Data[core.ServiceAccountTokenKey]
		if holdsToken(s) && s.Annotations[core.ServiceAccountNameKey] == a.Name && s.DeletionTimestamp == nil && s.Labels[invalidSince] == "" && len(token) > 0 {
			sums = append(sums, hash(token))
		}
	}
	slices.Sort(sums)
	return sums, nil
}

func holdsToken(s *core.Secret) bool { return s.Type == core.SecretTypeServiceAccountToken }

// roles are what the API server resolves roles by.
type roles struct {
	everywhere, inNamespace *validation.DefaultRuleResolver
	namespaces              map[string]bool // where roles are bound
}

func (r *Rights) roles() (*roles, error) {
	all := r.known.Rbac().V1()
	bindings, err := all.RoleBindings().Lister().List(labels.Everything())
	if err != nil {
		return nil, err
	}
	namespaces := map[string]bool{}
	for _, b := range bindings {
		namespaces[b.Namespace] = true
	}
	role, cluster := &authorizer.RoleGetter{Lister: all.Roles().Lister()}, &authorizer.ClusterRoleGetter{Lister: all.ClusterRoles().Lister()}
	bound := &authorizer.RoleBindingLister{Lister: all.RoleBindings().Lister()}
	return &roles{
		everywhere:  validation.NewDefaultRuleResolver(role, bound, cluster, &authorizer.ClusterRoleBindingLister{Lister: all.ClusterRoleBindings().Lister()}),
		inNamespace: validation.NewDefaultRuleResolver(role, bound, cluster, none{}),
		namespaces:  namespaces,
	}, nil
}

// none are the bindings of a resolver that shall say only what holds in one namespace.
type none struct{}

func (none) ListClusterRoleBindings(context.Context) ([]*rbac.ClusterRoleBinding, error) {
	return nil, nil
}

// of are the rules by which a ServiceAccount may read, each once.
func (r *roles) of(ctx context.Context, a *core.ServiceAccount) ([]wire.ReadRule, error) {
	who := &user.DefaultInfo{Name: serviceaccount.MakeUsername(a.Namespace, a.Name),
		Groups: append(serviceaccount.MakeGroupNames(a.Namespace), user.AllAuthenticated)}
	found := map[string]wire.ReadRule{}
	collect := func(by *validation.DefaultRuleResolver, namespace string) error {
		// Its error tells of bindings of roles that are not there. They give no rights.
		rules, _ := by.RulesFor(ctx, who, namespace)
		for _, rule := range rules {
			if read, ok := reading(rule, namespace); ok {
				text, err := json.Marshal(read)
				if err != nil {
					return err
				}
				found[string(text)] = read
			}
		}
		return nil
	}
	if err := collect(r.everywhere, ""); err != nil {
		return nil, err
	}
	for namespace := range r.namespaces {
		if err := collect(r.inNamespace, namespace); err != nil {
			return nil, err
		}
	}
	rules := make([]wire.ReadRule, 0, len(found))
	for _, text := range slices.Sorted(maps.Keys(found)) {
		rules = append(rules, found[text])
	}
	return rules, nil
}

// reading is a rule as far as it is about reading objects; ok says that it is.
func reading(rule rbac.PolicyRule, namespace string) (read wire.ReadRule, ok bool) {
	var verbs []string
	for _, verb := range []string{"get", "list", "watch"} {
		if slices.Contains(rule.Verbs, verb) || slices.Contains(rule.Verbs, rbac.VerbAll) {
			verbs = append(verbs, verb)
		}
	}
	ok = len(verbs) > 0 && len(rule.APIGroups) > 0 && len(rule.Resources) > 0
	return wire.ReadRule{Namespace: namespace, Verbs: verbs, Groups: rule.APIGroups, Resources: rule.Resources, Names: rule.ResourceNames}, ok
}
