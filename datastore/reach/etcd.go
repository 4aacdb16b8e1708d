package reach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	neturl "net/url"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/internal/fault"
)

// longestVersion is more than etcd says of itself, in bytes.
const longestVersion = 4 << 10

// Etcd waits until a member of an etcd that others run answers. place says where it is, for people.
func Etcd(ctx context.Context, e datastore.Endpoint, place string, waiting func(error)) error {
	settings, err := e.TLS()
	if err != nil {
		return err
	}
	transport := &http.Transport{TLSClientConfig: settings, DisableKeepAlives: true}
	client := &http.Client{Transport: transport}
	err = Await(ctx, func(ctx context.Context) error {
		var all error
		for _, url := range e.URLs {
			err := version(ctx, client, url)
			if err == nil {
				return nil
			}
			all = errors.Join(all, err)
		}
		return all
	}, Passing, waiting)
	if err == nil || ctx.Err() != nil {
		return err
	}
	return fault.New("use %s as the datastore", place).Because(err).
		Fix("check datastore-endpoint, datastore-cafile, datastore-certfile and datastore-keyfile")
}

// version asks what every member answers without a question of rights, but for the certificate.
func version(ctx context.Context, client *http.Client, url string) error {
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/version", nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(ask)
	var named *neturl.Error
	if errors.As(err, &named) {
		err = fmt.Errorf("%s: %w", url, named.Err)
	}
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, longestVersion))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK || !isEtcd(text) {
		return fmt.Errorf("%s is not etcd: it answers %s", url, answer.Status)
	}
	return nil
}

// isEtcd says that a text is what etcd says of itself.
func isEtcd(text []byte) bool {
	var says struct {
		Server string `json:"etcdserver"`
	}
	return json.Unmarshal(text, &says) == nil && says.Server != ""
}
