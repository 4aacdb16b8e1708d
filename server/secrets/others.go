package secrets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/skerry-io/skerry/internal/wire"
)

const (
	// maxAnswer bounds what another server may answer, in bytes.
	maxAnswer = 64 << 10
	// pause is between two questions to a server that has other keys.
	pause = time.Second
)

// Other is another server of the cluster.
type Other struct {
	// URL is where it can be reached.
	URL string
	// Client shows an administrator's certificate.
	Client *http.Client
}

// loaded waits until it writes and reads with the keys that the hash is of by then, and with no others. It gives the server's
// name.
func (o Other) loaded(ctx context.Context, hash func() string) (name string, err error) {
	for {
		switch has, err := o.ask(ctx, hash()); {
		case err != nil:
			return "", err
		case has.Hash == hash():
			return has.Name, nil
		}
		if err := sleep(ctx, pause); err != nil {
			return "", errors.New("it has other keys")
		}
	}
}

// Name asks which server it is.
func (o Other) Name(ctx context.Context) (string, error) {
	has, err := o.ask(ctx, "")
	return has.Name, err
}

// ask gives the hash of the file that it writes and reads with; it takes some time over the answer until that is the wanted one.
func (o Other) ask(ctx context.Context, hash string) (loaded wire.SecretsLoaded, err error) {
	at := strings.TrimRight(o.URL, "/") + wire.PathSecretsLoaded + "?" + url.Values{"hash": {hash}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return loaded, err
	}
	answer, err := o.Client.Do(request)
	if err != nil {
		return loaded, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return loaded, err
	}
	if answer.StatusCode != http.StatusOK {
		return loaded, fmt.Errorf("it answers %s: %s", answer.Status, strings.TrimSpace(string(text)))
	}
	return loaded, json.Unmarshal(text, &loaded)
}
