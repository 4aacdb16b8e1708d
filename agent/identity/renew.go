package identity

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

// backoff is the pause between attempts: it doubles from min to max.
type backoff struct{ min, max time.Duration }

const (
	// checkEvery is about how often a server is asked whether all is as it was: that the node is known, what the cluster
	// has in common. The age of the certificates is looked at then too, by the clock, which may be set while the node runs.
	checkEvery = 10 * time.Minute
	// quiet is how long nobody is told of attempts that did not work: servers restart.
	quiet = time.Second
)

// soon is for a node that waits: beside a server, that is up in a moment.
func soon() backoff { return backoff{20 * time.Millisecond, 5 * time.Second} }

// later is for a node that works meanwhile.
func later() backoff { return backoff{time.Second, time.Minute} }

// insist repeats do while it can still help; a fault says that it cannot. Each kind of trouble is told once.
func (n *Node) insist(ctx context.Context, pause backoff, do func(context.Context) error) error {
	told := ""
	for wait := pause.min; ; wait = min(2*wait, n.longest(pause)) {
		err := do(ctx)
		var refused *fault.Fault
		if err == nil || errors.As(err, &refused) || ctx.Err() != nil {
			return err
		}
		if why := explain(err); wait > quiet && why.kind != told {
			n.log.Warn("waiting for a server", "server", n.config.Server, "why", why.text, "cure", why.cure, "err", err)
			told = why.kind
		}
		select {
		// Half of it by chance: many nodes lose their server at the same moment.
		case <-time.After(wait/2 + rand.N(wait/2)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// urgent is the longest pause of a node whose certificates are over: until it has others no server listens to it.
const urgent = 2 * time.Second

// longest is the longest pause by now.
func (n *Node) longest(pause backoff) time.Duration {
	if have := n.now.Load(); have != nil && have.expired() {
		return min(pause.max, urgent)
	}
	return pause.max
}

// interval is about how long the node may leave its certificates alone.
func (n *Node) interval() time.Duration {
	if life := n.now.Load().Life; life > 0 {
		return min(checkEvery, life/checksOfALife)
	}
	return checkEvery
}

// checksOfALife is how often certificates are looked at that live for less than a few hours.
const checksOfALife = 20

// follow keeps the certificates good and notices what is new in the cluster, until ctx ends or a server says that this
// node is no longer wanted.
func (n *Node) follow(ctx context.Context) error {
	for asked := n.asked; ; asked = false {
		if !asked {
			if err := n.insist(ctx, later(), n.refresh); err != nil {
				return err
			}
			n.compare()
		}
		every := n.interval()
		select {
		case <-time.After(every/2 + rand.N(every)):
		case <-n.config.Stepped:
		case <-ctx.Done():
			return nil
		}
	}
}

// compare tells once when the cluster is no longer what this node started with.
func (n *Node) compare() {
	if alike(n.now.Load().Cluster, n.cluster) {
		return
	}
	n.log.Warn("the settings of the cluster have changed; this node has them from its next start on")
	n.change()
}

// refresh asks for new certificates where the node needs some, else for what is new in the cluster. The error is a fault
// when the node cannot go on: its name is another's, or its certificates are over and it cannot join again.
func (n *Node) refresh(ctx context.Context) error {
	have := n.now.Load()
	if n.config.Beside && have.expired() {
		return n.join(ctx, have) // the token is there
	}
	err := n.update(ctx, have)
	var no refusal
	if errors.As(err, &no) && no.status == http.StatusUnauthorized {
		err = n.renew(ctx, have) // by the server's clock they may be over
	}
	if !errors.As(err, &no) || no.replaced() {
		return err
	}
	if no.unknown() {
		// The server has no record of us, or other authorities than before: what counts then is the token.
		if err = n.join(ctx, have); err == nil {
			return nil
		}
		err = both(no, err)
	}
	var final *fault.Fault
	if errors.As(err, &no) && no.replaced() || !errors.As(err, &final) || have.expired() {
		return err
	}
	// The certificates are good for a while: it can be put right while the node works.
	return stillGood{err}
}

// both says why neither the key nor the token of a node helps.
func both(key refusal, token error) error {
	var no refusal
	if !errors.As(token, &no) || no.replaced() {
		return token
	}
	said, _, _ := strings.Cut(no.Error(), "; to cure: ")
	why, _, _ := strings.Cut(key.Error(), "; to cure: ")
	return refusal{fault.New("%s; the token does not let it join again: %s", why, said).Fix("%s", no.Cure()), no.status}
}

// stillGood is a refusal that does not end a node whose certificates count.
type stillGood struct{ refused error }

func (s stillGood) Error() string { return s.refused.Error() }

// update is one question to a server, with the node's client certificate.
func (n *Node) update(ctx context.Context, have *material) error {
	if have.worn() || !have.serves(n.config.Addresses) {
		return n.renew(ctx, have)
	}
	text, err := n.ask(ctx, have, http.MethodGet, wire.PathConfig, nil)
	if err != nil {
		return err
	}
	next := *have
	next.Cluster = wire.Cluster{}
	if err := json.Unmarshal(text, &next.Cluster); err != nil {
		return fmt.Errorf("the settings of the cluster: %w", err)
	}
	if sameCluster(next.Cluster, have.Cluster) {
		return nil
	}
	if err := n.take(&next); err != nil || !next.worn() {
		return err
	}
	return n.renew(ctx, &next) // certificates live shorter by now
}

// renew gets new certificates with those that there are, also when they are over: the key is what the node is known by.
func (n *Node) renew(ctx context.Context, have *material) error {
	ask, err := n.request()
	if err != nil {
		return err
	}
	text, err := n.ask(ctx, have, http.MethodPost, wire.PathCertificates, ask)
	if err != nil {
		return err
	}
	m, err := n.accept(text)
	if err != nil {
		return fmt.Errorf("the new certificates: %w", err)
	}
	n.log.Info("the node has new certificates", "until", m.serving.Leaf.NotAfter.UTC().Format(time.RFC3339))
	return n.take(m)
}

// ask calls the server that the node was given, and when that is away any other: through the node's own endpoint, or one after
// the other where that leads nowhere, as servers do not listen to the node.
func (n *Node) ask(ctx context.Context, have *material, method, path string, body []byte) ([]byte, error) {
	to := func(server string) ([]byte, error) {
		trust := &tls.Config{RootCAs: have.serverCA, Certificates: []tls.Certificate{have.clients[user(n.config.Name)]}}
		return call(ctx, request{server: server, trust: trust, method: method, path: path, body: body, heard: n.config.Heard})
	}
	text, err := to(n.config.Server)
	var no refusal
	if err == nil || errors.As(err, &no) || n.config.Beside {
		return text, err
	}
	for _, server := range n.elsewhere(have) {
		if text, other := to(server); other == nil || errors.As(other, &no) {
			return text, other
		}
	}
	return nil, err
}

// elsewhere is where a server may be besides that of the settings.
func (n *Node) elsewhere(have *material) []string {
	if !have.expired() {
		return []string{n.config.Endpoint}
	}
	if n.config.Others == nil {
		return nil
	}
	return slices.DeleteFunc(n.config.Others(), func(url string) bool { return url == strings.TrimRight(n.config.Server, "/") })
}
