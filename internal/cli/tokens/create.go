package tokens

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/cli/cluster"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/token"
)

// Generate prints a random secret in the form of a short-lived token.
func Generate(_ context.Context, env command.Env, _ struct{}, _ []string) error {
	_, err := fmt.Fprintln(env.Out, wire.NewBootstrap(""))
	return err
}

// Create makes a short-lived token and prints it. words may hold the token to make.
func Create(ctx context.Context, env command.Env, flags command.TokenCreate, words []string) error {
	connection, err := cluster.Connect(env, flags.Access)
	if err != nil {
		return err
	}
	ca, err := connection.CA()
	if err != nil {
		return err
	}
	made, err := create(ctx, connection, ca, flags, words)
	if err != nil {
		return err
	}
	if flags.JoinCommand {
		return printJoin(ctx, connection, connection.Config.Host, made, env.Out)
	}
	_, err = fmt.Fprintln(env.Out, made)
	return err
}

// create makes the Secret of a token.
func create(ctx context.Context, client kubernetes.Interface, ca *x509.Certificate, flags command.TokenCreate, words []string) (wire.Token, error) {
	if flags.TTL < 0 {
		return wire.Token{}, fault.New("ttl %s is in the past", flags.TTL).Fix("write a time like 2h, or 0 for a token that does not expire")
	}
	made := wire.NewBootstrap(certs.Fingerprint(ca))
	if len(words) > 0 {
		chosen, err := wire.ParseToken(words[0])
		if err != nil {
			return wire.Token{}, err
		}
		if !chosen.Trusts(ca) {
			return wire.Token{}, fault.New("the token carries the fingerprint of another cluster's CA").Fix("leave the fingerprint out: ID.SECRET is enough")
		}
		made.Secret = chosen.Secret
	}
	id, secret, ok := made.Bootstrap()
	if !ok {
		return wire.Token{}, fault.New("a short-lived token is ID.SECRET: 6 and 16 small letters and digits").Fix("take one that `skerry token generate` makes, or none")
	}
	kept := token.Bootstrap{ID: id, Secret: secret, Description: flags.Description, Usable: true}
	if flags.TTL > 0 {
		kept.Expires = time.Now().Add(flags.TTL)
	}
	object := kept.Object()
	_, err := client.CoreV1().Secrets(object.Namespace).Create(ctx, object, meta.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return wire.Token{}, fault.New("there is a token with the id %s already", id).Fix("choose another id, or delete that one with `skerry token delete %s`", id)
	}
	return made, cluster.Explain(err, "make the token")
}

// printJoin prints the command that joins a node with the token.
func printJoin(ctx context.Context, client kubernetes.Interface, host string, made wire.Token, out io.Writer) error {
	server, err := reachable(ctx, client, host)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "skerry agent --server %s --token %s\n", server, made)
	return err
}

// reachable is a URL of a server that other machines can reach: the kubeconfig on the server itself names the loopback.
func reachable(ctx context.Context, client kubernetes.Interface, host string) (string, error) {
	own, err := url.Parse(host)
	if err != nil {
		return "", err
	}
	address, err := netip.ParseAddr(own.Hostname())
	if own.Hostname() != "localhost" && (err != nil || !address.IsLoopback()) {
		return host, nil
	}
	servers, err := cluster.Servers(ctx, client)
	if err != nil {
		return "", err
	}
	if len(servers) == 0 {
		return "", fault.New("no server of the cluster announces an address").Fix("join with the token and the URL of the server; `skerry token list` shows that the token is there")
	}
	return "https://" + servers[0], nil
}
