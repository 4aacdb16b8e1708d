package podrights

import (
	evaluation "k8s.io/kubernetes/pkg/apis/rbac/v1"
)

// Ask is a request as roles judge it.
type Ask struct {
	Verb        string // get, list or watch; all else is refused
	Group       string // of the API, empty for the core
	Resource    string
	Subresource string // such as status; empty for none
	Namespace   string // empty for what is in none, and for all of them
	Name        string // of the object, or the one that a selector metadata.name leaves; empty for all
}

// Known says whether servers told what the user may read; if not, only they can judge it. User is one that Who gave.
func (r *Rights) Known(u User) bool {
	known := r.said.Load()
	if known == nil {
		return false
	}
	_, told := known.accounts[u.Name]
	return told
}

// May says whether what servers said last lets the user read this. User is one that Who gave.
func (r *Rights) May(u User, a Ask) bool {
	known := r.said.Load()
	if known == nil || a.Verb != "get" && a.Verb != "list" && a.Verb != "watch" {
		return false
	}
	for _, rule := range known.accounts[u.Name].rules {
		if (rule.namespace == "" || rule.namespace == a.Namespace) && rule.allows(a) {
			return true
		}
	}
	return false
}

// allows is the judgement of Kubernetes' own authorizer.
func (r *rule) allows(a Ask) bool {
	resource := a.Resource
	if a.Subresource != "" {
		resource += "/" + a.Subresource
	}
	return evaluation.VerbMatches(&r.PolicyRule, a.Verb) && evaluation.APIGroupMatches(&r.PolicyRule, a.Group) &&
		evaluation.ResourceMatches(&r.PolicyRule, resource, a.Subresource) && evaluation.ResourceNameMatches(&r.PolicyRule, a.Name)
}
