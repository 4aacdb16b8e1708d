package supervisor

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/nodes"
	"github.com/skerry-io/skerry/server/pki"
)

// request is a join request that was read.
type request struct {
	wire.Join
	public      crypto.PublicKey
	fingerprint string
}

// join gives a node that has a token its first certificates, and the name to its key.
func (s *Supervisor) join(w http.ResponseWriter, r *http.Request, c caller) error {
	ask, err := readJoin(w, r)
	if err != nil {
		return err
	}
	if ask.Name == s.Own {
		err = s.joinOwn(r, c, ask)
	} else {
		err = s.claim(r.Context(), ask)
	}
	if err != nil {
		return err
	}
	return s.grant(r.Context(), w, ask, "a node got its certificates")
}

// joinOwn lets the node of this process have its name at once: it needs its certificates before the API server can say
// whom the name belongs to. Nobody else may join under it.
func (s *Supervisor) joinOwn(r *http.Request, c caller, ask request) error {
	from := addressOf(r)
	if !from.IsLoopback() || !s.Tokens.IsServer(c.secret) {
		s.Log.Warn("a machine asked to join under this server's own name", "node", ask.Name, "from", from)
		return refusal{http.StatusConflict, fmt.Sprintf("the name %q is this server's own; to cure: give the machine another name with node-name", ask.Name)}
	}
	s.remember(ask.fingerprint)
	return nil
}

// claim gives a name to the key of another node.
func (s *Supervisor) claim(ctx context.Context, ask request) error {
	if s.PKI.ServesAs(ask.Name) {
		return refusal{http.StatusConflict, fmt.Sprintf("the name %q is one of the API server's; to cure: give the machine another name with node-name", ask.Name)}
	}
	client := s.Client()
	if client == nil {
		return errNoAPI
	}
	return taken(nodes.Claim(ctx, client, ask.Name, ask.fingerprint))
}

// certificates gives a node new certificates, for the key it has and the name it has. One whose certificate is over, because
// it was away, gets them too: it is known by its key.
func (s *Supervisor) certificates(w http.ResponseWriter, r *http.Request, c caller) error {
	ask, err := readJoin(w, r)
	switch {
	case err != nil:
		return err
	case ask.Name != c.name:
		s.Log.Warn("a node asked for another node's certificates", "node", c.name, "asked", ask.Name, "from", addressOf(r))
		return refusal{http.StatusForbidden, fmt.Sprintf("node %q cannot ask for certificates of %q", c.name, ask.Name)}
	case ask.fingerprint != c.fingerprint:
		return refusal{http.StatusForbidden, "the public key is not the one of the client certificate"}
	}
	if c.late {
		if err := s.returned(r, c); err != nil {
			return err
		}
		return s.grant(r.Context(), w, ask, "a node whose certificates were over got new ones for its key")
	}
	if err := s.known(r.Context(), c); err != nil {
		return err
	}
	return s.grant(r.Context(), w, ask, "a node got new certificates")
}

// returned wants of a node that comes back after its time that nobody gave it up meanwhile: its name still belongs to its key,
// and its Node was not deleted. Who is refused may not ask often.
func (s *Supervisor) returned(r *http.Request, c caller) error {
	if !s.limits.mayReturn(r) {
		return refusal{http.StatusTooManyRequests, "too many refused certificates from this address; try again in a moment"}
	}
	err := s.missed(r.Context(), c)
	var no refusal
	if errors.As(err, &no) {
		s.Log.Warn("a node whose certificates are over is refused", "node", c.name, "from", addressOf(r), "why", no.reason)
		s.limits.turnedAway(r)
	}
	return err
}

// missed is nil for a node that is to come back.
func (s *Supervisor) missed(ctx context.Context, c caller) error {
	if c.name == s.Own {
		return refusal{http.StatusForbidden, "this server's own node joins with the server's token"}
	}
	if err := s.known(ctx, c); err != nil {
		return err
	}
	exists, err := nodes.Exists(ctx, s.Client(), c.name)
	if err == nil && !exists {
		return refusal{http.StatusForbidden, fmt.Sprintf("the Node %q was deleted while its certificates ran out; to cure: start the node again with a token", c.name)}
	}
	return err
}

// known wants that a node's name still belongs to its key: a machine that was replaced still has its certificate.
func (s *Supervisor) known(ctx context.Context, c caller) error {
	if c.name == s.Own {
		s.remember(c.fingerprint)
		return nil
	}
	client := s.Client()
	if client == nil {
		return errNoAPI
	}
	known, err := nodes.Check(ctx, client, c.name, c.fingerprint)
	if err == nil && !known {
		return refusal{http.StatusForbidden, fmt.Sprintf("no key is recorded for node %q; to cure: start the node again with a token", c.name)}
	}
	return taken(err)
}

// taken makes a refusal of what the records of keys refuse.
func taken(err error) error {
	var other nodes.Taken
	if errors.As(err, &other) {
		return refusal{http.StatusConflict, other.Error()}
	}
	return err
}

// grant signs a node's certificates and tells it what the cluster has in common.
func (s *Supervisor) grant(ctx context.Context, w http.ResponseWriter, ask request, event string) error {
	kubelet, serving, proxy, err := s.PKI.NodeCerts(ask.Name, s.allowed(ctx, ask), ask.public)
	if err != nil {
		return fmt.Errorf("sign the certificates of %s: %w", ask.Name, err)
	}
	s.Log.Info(event, "node", ask.Name)
	return s.tell(w, wire.Joined{
		ServerCA:      string(certs.EncodeCert(s.PKI.ServerCA.Certificate)),
		ClientCA:      string(certs.EncodeCert(s.PKI.ClientCA.Certificate)),
		Kubelet:       string(certs.EncodeCert(kubelet)),
		KubeletServer: string(certs.EncodeCert(serving)),
		KubeProxy:     string(certs.EncodeCert(proxy)),
		Cluster:       s.Cluster,
	})
}

// allowed are the addresses that a node's certificate may be good for: a node that could serve at the API server's could
// pass for it. Behind another router a node can have such an address all the same; through its tunnel it is called by its
// name, which the certificate has.
func (s *Supervisor) allowed(ctx context.Context, ask request) []netip.Addr {
	if ask.Name == s.Own {
		return ask.Addresses
	}
	var others []netip.Addr
	if s.Taken != nil {
		others = s.Taken(ctx, ask.Name)
	}
	return slices.DeleteFunc(slices.Clone(ask.Addresses), func(ip netip.Addr) bool {
		if !s.PKI.ServesAt(ip) && !slices.Contains(others, ip.Unmap()) {
			return false
		}
		if s.Connect == nil {
			s.Log.Warn("a node has an address of the API server, and gets no certificate for it: logs and exec will not reach it there",
				"node", ask.Name, "address", ip, "cure", "set node-ip on that node to an address of its own")
		}
		return true
	})
}

// readJoin reads a join request and refuses what no certificate should say.
func readJoin(w http.ResponseWriter, r *http.Request) (request, error) {
	var ask request
	if err := readBody(w, r, &ask.Join); err != nil {
		return ask, err
	}
	if wrong := validation.IsDNS1123Subdomain(ask.Name); len(wrong) > 0 || len(ask.Name) > nodes.MaxName {
		return ask, refusal{http.StatusBadRequest, fmt.Sprintf("%.80q cannot be the name of a node", ask.Name)}
	}
	if slices.ContainsFunc(ask.Addresses, func(ip netip.Addr) bool { return !ip.IsValid() || ip.IsUnspecified() }) || len(ask.Addresses) > maxAddresses {
		return ask, refusal{http.StatusBadRequest, fmt.Sprintf("the join request has an empty address, or more than %d", maxAddresses)}
	}
	var err error
	if ask.public, err = pki.DecodePublic(ask.PublicKey); err != nil {
		return ask, refusal{http.StatusBadRequest, err.Error()}
	}
	ask.fingerprint, err = nodes.Fingerprint(ask.public)
	return ask, err
}

// maxAddresses bounds the addresses of one node.
const maxAddresses = 64

// readBody reads a body in JSON; the error is a refusal.
func readBody(w http.ResponseWriter, r *http.Request, to any) error {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("the request is larger than %d bytes", maxBody)}
	case err != nil:
		return refusal{http.StatusRequestTimeout, "the request did not arrive in time"}
	}
	if err := json.Unmarshal(text, to); err != nil {
		return refusal{http.StatusBadRequest, "the body is not what this route takes: " + err.Error()}
	}
	return nil
}
