package tokens

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/skerry-io/skerry/internal/cli/cluster"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

// maxAnswer bounds what a server may answer, in bytes.
const maxAnswer = 64 << 10

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

// put makes the request, with the client certificate of the kubeconfig.
func put(ctx context.Context, config *rest.Config, change wire.TokenChange) error {
	const doing = "replace the server token"
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return fault.New(doing).Because(err)
	}
	defer client.CloseIdleConnections()
	body, err := json.Marshal(change)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, strings.TrimRight(config.Host, "/")+wire.PathToken, bytes.NewReader(body))
	if err != nil {
		return fault.New(doing).Because(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		return cluster.Explain(err, doing)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return cluster.Explain(err, doing)
	}
	return refusal(fault.New(doing), config.Host, answer.StatusCode, text)
}

// refusal is the error in an answer, nil in one of success.
func refusal(f *fault.Fault, host string, status int, body []byte) error {
	reason, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	switch {
	case status < 300:
		return nil
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return f.Because(errors.New(reason)).Fix("use the administrator's kubeconfig, %s on the server", config.DefaultKubeconfig)
	case status == http.StatusNotFound:
		return f.Because(fmt.Errorf("%s is no Skerry server", host)).Fix("name the kubeconfig that the server writes with --kubeconfig")
	case status == http.StatusBadRequest:
		what, cure, _ := strings.Cut(reason, "; to cure: ")
		return f.Because(errors.New(what)).Fix("%s", cure)
	}
	return f.Because(fmt.Errorf("%s answers %d: %s", host, status, reason)).Fix("the server's log says why")
}
