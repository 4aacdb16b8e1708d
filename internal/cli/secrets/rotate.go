package secrets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/skerry-io/skerry/internal/cli/cluster"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

// Rotate has the server change the key, and tells how far it is.
func Rotate(ctx context.Context, env command.Env, flags command.Access, _ []string) error {
	connection, err := cluster.Connect(env, flags)
	if err != nil {
		return err
	}
	c := *connection.Config
	c.Timeout = 0 // it takes as long as there are Secrets
	return cluster.Ask(ctx, &c, cluster.Request{Method: http.MethodPost, Path: wire.PathSecrets, Doing: "change the key of Secrets"}, func(body io.Reader) error {
		return follow(body, env.Out)
	})
}

// follow prints what the server says until it is done.
func follow(body io.Reader, out io.Writer) error {
	lines := json.NewDecoder(body)
	var last wire.SecretsProgress
	for {
		var p wire.SecretsProgress
		if err := lines.Decode(&p); err != nil {
			return fault.New("follow the change of the key of Secrets").Because(err).
				Fix("see how far it is with `skerry secrets-encrypt status`: the server goes on with it, also after a restart")
		}
		switch {
		case p.Trouble != "":
			return fault.New("change the key of Secrets").Because(errors.New(p.Trouble)).Fix("%s", p.Cure)
		case p.Done:
			_, err := fmt.Fprintln(out, "the key of Secrets is changed; the former one is gone")
			return err
		case p == last:
			continue
		}
		last = p
		if err := print(out, p); err != nil {
			return err
		}
	}
}

func print(out io.Writer, p wire.SecretsProgress) (err error) {
	switch {
	case p.Rewritten > 0:
		_, err = fmt.Fprintf(out, "%d Secrets are stored anew\n", p.Rewritten)
	case p.Stage == wire.SecretsReading:
		_, err = fmt.Fprintf(out, "%s is known to this server, and goes to all others\n", p.Key)
	case p.Stage == wire.SecretsWriting:
		_, err = fmt.Fprintf(out, "%s is written with\n", p.Key)
	}
	return err
}
