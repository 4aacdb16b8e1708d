package tokens

import (
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/client-go/kubernetes"

	"github.com/skerry-io/skerry/internal/cli/cluster"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/server/token"
)

// entry is what `token list -o json` tells of a token; its names are part of the interface.
type entry struct {
	ID          string     `json:"id"`
	TTL         string     `json:"ttl"`               // left, "forever" or "expired"
	Expires     *time.Time `json:"expires,omitempty"` // absent for one that does not
	Usages      []string   `json:"usages"`
	Description string     `json:"description,omitempty"`
}

// List prints the short-lived tokens, without their secrets.
func List(ctx context.Context, env command.Env, flags command.TokenList, _ []string) error {
	connection, err := cluster.Connect(env, flags.Access)
	if err != nil {
		return err
	}
	return list(ctx, connection, flags.Output, env.Out)
}

func list(ctx context.Context, client kubernetes.Interface, form string, out io.Writer) error {
	found, err := client.CoreV1().Secrets(meta.NamespaceSystem).List(ctx, meta.ListOptions{FieldSelector: "type=" + string(core.SecretTypeBootstrapToken)})
	if err != nil {
		return cluster.Explain(err, "list the tokens")
	}
	entries := make([]entry, 0, len(found.Items))
	for _, object := range found.Items {
		if object.Type == core.SecretTypeBootstrapToken {
			entries = append(entries, read(&object))
		}
	}
	if form == "json" {
		return cluster.JSON(out, entries)
	}
	rows := [][]string{{"ID", "TTL", "EXPIRES", "USAGES", "DESCRIPTION"}}
	for _, e := range entries {
		expires := "never"
		if e.Expires != nil {
			expires = e.Expires.Format(time.RFC3339)
		}
		rows = append(rows, []string{e.ID, e.TTL, expires, strings.Join(e.Usages, ","), e.Description})
	}
	return cluster.Table(out, rows...)
}

// read tells what is in a token's Secret. One that is damaged is shown, so that it can be deleted.
func read(object *core.Secret) entry {
	e := entry{ID: strings.TrimPrefix(object.Name, token.SecretName("")), Usages: usages(object)}
	kept, err := token.ReadBootstrap(object)
	e.Description = kept.Description
	switch {
	case err != nil:
		e.TTL = "damaged"
		return e
	case kept.Expires.IsZero():
		e.TTL = "forever"
		return e
	case kept.Expired():
		e.TTL = "expired"
	default:
		e.TTL = duration.HumanDuration(time.Until(kept.Expires))
	}
	e.Expires = &kept.Expires
	return e
}

// usages are what Kubernetes lets the token do; a node joins with one for authentication.
func usages(object *core.Secret) []string {
	const prefix = "usage-bootstrap-"
	names := []string{}
	for _, key := range slices.Sorted(maps.Keys(object.Data)) {
		if name, ok := strings.CutPrefix(key, prefix); ok && string(object.Data[key]) == "true" {
			names = append(names, name)
		}
	}
	return names
}
