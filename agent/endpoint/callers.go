package endpoint

import (
	"context"
	"net/http"
)

// callers lets requests pass whose caller may use this endpoint, and notes who that is.
type callers struct {
	id   Identity
	next http.Handler
}

// callerKey is the key of the caller's name in a request's context.
type callerKey struct{}

// Caller is the user whose certificate a request came with, empty without one. The server is shown this node's
// certificate for that user.
func Caller(ctx context.Context) string {
	user, _ := ctx.Value(callerKey{}).(string)
	return user
}

// ServeHTTP refuses a certificate that is good, but for no user of this node.
func (c callers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if len(r.TLS.PeerCertificates) == 0 {
		c.next.ServeHTTP(w, r)
		return
	}
	user := r.TLS.PeerCertificates[0].Subject.CommonName
	clients, err := c.id.Clients()
	if err != nil {
		http.Error(w, "the node's certificates cannot be used: "+err.Error(), http.StatusInternalServerError)
		return
	}
	if _, ours := clients[user]; !ours {
		http.Error(w, "this endpoint only speaks for the components of its own node, not for "+user, http.StatusForbidden)
		return
	}
	c.next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, user)))
}
