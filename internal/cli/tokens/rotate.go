package tokens

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"

	"k8s.io/client-go/rest"

	"github.com/skerry-io/skerry/internal/cli/cluster"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

// Rotate replaces the server's own token and prints the new one.
func Rotate(ctx context.Context, env command.Env, flags command.TokenRotate, _ []string) error {
	connection, err := cluster.Connect(env, flags.Access)
	if err != nil {
		return err
	}
	made, err := rotate(ctx, connection, flags)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(env.Err, "the server token is replaced; nodes that have joined stay, new ones join with:"); err != nil {
		return err
	}
	_, err = fmt.Fprintln(env.Out, made)
	return err
}

// rotate asks the server.
func rotate(ctx context.Context, connection *cluster.Connection, flags command.TokenRotate) (wire.Token, error) {
	ca, err := connection.CA()
	if err != nil {
		return wire.Token{}, err
	}
	made := wire.NewToken(ca)
	if _, err := own(ca, "--token", flags.Token); err != nil {
		return wire.Token{}, err
	}
	chosen, err := own(ca, "--new-token", flags.NewToken)
	if err != nil {
		return wire.Token{}, err
	}
	if chosen != "" {
		made.Secret = chosen
	}
	return made, put(ctx, connection.Config, wire.TokenChange{Secret: made.Secret})
}

// own gives the secret in the token of a flag, "" when it was not given; one of another cluster is an error.
func own(ca *x509.Certificate, flag string, text config.Secret) (string, error) {
	if text == "" {
		return "", nil
	}
	given, err := wire.ParseToken(text.Reveal())
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	if !given.Trusts(ca) {
		return "", fault.New("the token of %s was made by another cluster than the kubeconfig is for", flag).
			Fix("name the kubeconfig of its cluster with --kubeconfig")
	}
	return given.Secret, nil
}

// put makes the request.
func put(ctx context.Context, config *rest.Config, change wire.TokenChange) error {
	body, err := json.Marshal(change)
	if err != nil {
		return err
	}
	return cluster.Ask(ctx, config, cluster.Request{Method: http.MethodPut, Path: wire.PathToken, Body: body, Doing: "replace the server token"}, nil)
}
