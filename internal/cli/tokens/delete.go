package tokens

import (
	"context"
	"fmt"
	"io"
	"regexp"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/skerry-io/skerry/internal/cli/cluster"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/token"
)

var idForm = regexp.MustCompile(`^[a-z0-9]{6}$`)

// Delete takes short-lived tokens back; words are their ids, or the tokens themselves.
func Delete(ctx context.Context, env command.Env, access command.Access, words []string) error {
	connection, err := cluster.Connect(env, access)
	if err != nil {
		return err
	}
	return remove(ctx, connection, words, env.Out)
}

func remove(ctx context.Context, client kubernetes.Interface, words []string, out io.Writer) error {
	ids := make([]string, len(words))
	for i, word := range words {
		var err error
		if ids[i], err = idOf(word); err != nil {
			return err
		}
	}
	for _, id := range ids {
		err := client.CoreV1().Secrets(meta.NamespaceSystem).Delete(ctx, token.SecretName(id), meta.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return fault.New("there is no token with the id %s", id).Fix("`skerry token list` shows those that there are")
		}
		if err != nil {
			return cluster.Explain(err, "delete the token %s", id)
		}
		if _, err := fmt.Fprintf(out, "token %s deleted\n", id); err != nil {
			return err
		}
	}
	return nil
}

// idOf takes the id out of what the user gave. A word that is neither is not repeated: it may be a secret.
func idOf(word string) (string, error) {
	if idForm.MatchString(word) {
		return word, nil
	}
	given, err := wire.ParseToken(word)
	if err != nil {
		return "", err
	}
	id, _, ok := given.Bootstrap()
	if !ok {
		return "", fault.New("only short-lived tokens can be deleted, and this is not one").
			Fix("give the id that `skerry token list` shows; the server's own token is replaced with `skerry token rotate`")
	}
	return id, nil
}
