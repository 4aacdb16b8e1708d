package datastore

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/skerry-io/skerry/internal/cli/cluster"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/wire"
)

// Remove takes the member of a server out of the datastore's cluster that is gone for good, and has no Node by which that happens.
func Remove(ctx context.Context, env command.Env, flags command.Access, words []string) error {
	connection, err := cluster.Connect(env, flags)
	if err != nil {
		return err
	}
	q := cluster.Request{Method: http.MethodDelete, Path: wire.PathMembers + "?" + url.Values{"name": words}.Encode(),
		Doing: "take the server " + words[0] + " out of the datastore's cluster"}
	if err := cluster.Ask(ctx, connection.Config, q, nil); err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.Out, "the server %s is no member of the datastore any more; to come back it has to join anew\n", words[0])
	return err
}
