package crowd

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/tunnel"
)

// Main joins so many agents as its arguments say, keeps their tunnels until ctx ends, and logs to w.
func Main(ctx context.Context, args []string, w io.Writer) error {
	flags := flag.NewFlagSet("crowd", flag.ContinueOnError)
	server := flags.String("server", "", "URL of the server")
	token := flags.String("token", "", "the server's token")
	count := flags.Int("count", 1, "how many agents")
	if err := flags.Parse(args); err != nil {
		return err
	}
	known, err := wire.ParseToken(*token)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(w, nil))
	c := &crowd{server: *server, secret: known.Secret, client: newClient(), log: log}
	defer c.client.CloseIdleConnections()
	members, err := c.joinAll(ctx, *count)
	if err != nil {
		return err
	}
	log.Info("all have joined", "count", len(members))
	var all sync.WaitGroup
	defer all.Wait()
	for _, m := range members {
		all.Go(func() { _ = m.Run(ctx, func() {}) }) // ends with ctx, and never with an error
	}
	return nil
}

// crowd is what its members have in common.
type crowd struct {
	server, secret string
	client         *http.Client
	log            *slog.Logger
}

// newClient trusts whoever answers: who a real agent trusts is tried with real agents.
func newClient() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 8}}
}

// joinAll joins the agents, some at a time.
func (c *crowd) joinAll(ctx context.Context, count int) ([]*tunnel.Client, error) {
	members, errs := make([]*tunnel.Client, count), make([]error, count)
	turns := make(chan struct{}, 8)
	var all sync.WaitGroup
	for i := range count {
		turns <- struct{}{}
		all.Go(func() {
			members[i], errs[i] = c.join(ctx, fmt.Sprintf("crowd-%03d", i))
			<-turns
		})
	}
	all.Wait()
	return members, errors.Join(errs...)
}

// join makes one agent, and its tunnel's end.
func (c *crowd) join(ctx context.Context, name string) (*tunnel.Client, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	joined, err := c.ask(ctx, name, key)
	if err != nil {
		return nil, fmt.Errorf("join %s: %w", name, err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair([]byte(joined.Kubelet), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}))
	if err != nil {
		return nil, fmt.Errorf("the certificate of %s: %w", name, err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(joined.ServerCA))
	return tunnel.NewClient(tunnel.Config{
		Servers: tunnel.Fixed{c.server},
		TLS: func() (*tls.Config, error) {
			return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}, nil
		},
		Dial: func(context.Context, string) (net.Conn, error) {
			return nil, errors.New("nothing runs here")
		},
		Log: c.log.With("node", name),
	}), nil
}

// ask is the join request.
func (c *crowd) ask(ctx context.Context, name string, key *ecdsa.PrivateKey) (*wire.Joined, error) {
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(wire.Join{Name: name, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, PublicKey: public})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.server+wire.PathJoin, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.SetBasicAuth(wire.JoinUser, c.secret)
	answer, err := c.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", answer.Status, text)
	}
	var joined wire.Joined
	return &joined, json.Unmarshal(text, &joined)
}
