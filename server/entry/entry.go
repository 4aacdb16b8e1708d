package entry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/shared"
)

// Config says whom to ask, and who asks.
type Config struct {
	Server  string     // URL of a server
	Token   wire.Token // the server token
	Name    string     // of this server
	Was     string     // the datastore's member that it has been, see etcd.Was
	Cluster wire.Cluster
	Place   shared.Place
	Log     *slog.Logger
}

// soon and late bound the pause before the server is asked again.
const soon, late = time.Second, 5 * time.Second

// Enter asks until the server answers or ctx ends, puts the files of the cluster in their places, and gives the URLs of the datastore's
// members. A fault means that trying again will not help.
func Enter(ctx context.Context, c Config) (members []string, err error) {
	if c.Token.CAHash == "" { // it would be handed to whoever answers, and he would make this machine a server of his
		return nil, fault.New("enter the cluster of %s: the token does not say which cluster made it", c.Server).
			Fix("take the whole content of server/token in the data directory of a server")
	}
	told, pause := "", soon
	for {
		members, err := c.try(ctx)
		var final *fault.Fault
		switch {
		case err == nil:
			return members, nil
		case errors.As(err, &final):
			return nil, err
		case ctx.Err() != nil:
			if told != "" {
				err = errors.New(told) // why it did not work, not that it was ended
			}
			return nil, fault.New("ask %s to let this server in", c.Server).Because(err).Fix("start that server, or correct the setting server")
		}
		if err.Error() != told {
			told = err.Error()
			c.Log.Warn("the cluster cannot be entered yet; it is tried again", "server", c.Server, "err", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, late)
	}
}

func (c Config) try(ctx context.Context) (members []string, err error) {
	ca, err := c.pinnedCA(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.free(ca); err != nil {
		return nil, err
	}
	body, err := json.Marshal(wire.ServerEnter{Name: c.Name, Was: c.Was, Cluster: c.Cluster})
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	text, err := c.call(ctx, &tls.Config{RootCAs: roots}, http.MethodPost, wire.PathEnter, c.Token.Secret, body)
	if err != nil {
		return nil, err
	}
	var entered wire.ServerEntered
	if err := json.Unmarshal(text, &entered); err != nil {
		return nil, fmt.Errorf("the answer of %s: %w", c.Server, err)
	}
	if len(entered.Members) == 0 {
		return nil, fmt.Errorf("%s names no member of the datastore", c.Server)
	}
	return entered.Members, c.Place.Install(entered.Files)
}

// pinnedCA fetches the server's CA without trust, and trusts it only when it is the one in the token.
func (c Config) pinnedCA(ctx context.Context) (*x509.Certificate, error) {
	text, err := c.call(ctx, &tls.Config{InsecureSkipVerify: true}, http.MethodGet, wire.PathCACerts, "", nil)
	if err != nil {
		return nil, err
	}
	ca, err := certs.DecodeCert(text)
	if err != nil {
		return nil, fmt.Errorf("the CA of %s: %w", c.Server, err)
	}
	if !c.Token.Trusts(ca) {
		return nil, fault.New("the server at %s is not one of the cluster that this token was made by", c.Server).
			Fix("take the token from that server's own file server/token, or correct the setting server")
	}
	return ca, nil
}

// free refuses a machine that has a cluster already, another one.
func (c Config) free(ca *x509.Certificate) error {
	files, err := c.Place.Read()
	if err != nil || len(files) == 0 {
		return err
	}
	own, err := certs.DecodeCert(files["tls/server-ca.crt"])
	if err == nil && certs.Fingerprint(own) == certs.Fingerprint(ca) {
		return nil
	}
	if known, err := c.Place.Known(); err != nil || !known {
		return err
	}
	return fault.New("%s holds a cluster of its own, which is not the one of %s", c.Place.Dir, c.Server).
		Fix("remove the setting server to go on with it; or, to give it up, run `skerry reset` and start again")
}
