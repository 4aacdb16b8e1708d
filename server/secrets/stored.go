package secrets

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/value"

	"github.com/skerry-io/skerry/datastore"
)

const (
	// page is how many Secrets are held at a time: one may have a megabyte and a half.
	page = 32
	// patience is how long one request to the datastore may take.
	patience = 30 * time.Second
)

// stored is the place where the API server keeps Secrets.
type stored struct {
	client *clientv3.Client
	prefix string // of their keys
}

// open connects to where the API server stores them.
func open(s storagebackend.Config, prefix string) (*stored, error) {
	at := datastore.Endpoint{URLs: s.Transport.ServerList, CAFile: s.Transport.TrustedCAFile, CertFile: s.Transport.CertFile, KeyFile: s.Transport.KeyFile}
	client, err := at.Client()
	if err != nil {
		return nil, fmt.Errorf("connect to the datastore: %w", err)
	}
	return &stored{client, strings.TrimSuffix(path.Join("/", s.Prefix, prefix), "/") + "/"}, nil
}

// each hands over all Secrets, page by page. One that is made meanwhile may be missing; one that was there is not.
func (s *stored) each(ctx context.Context, do func([]*mvccpb.KeyValue) error) error {
	end := clientv3.GetPrefixRangeEnd(s.prefix)
	for from := s.prefix; ; {
		request, cancel := context.WithTimeout(ctx, patience)
		answer, err := s.client.Get(request, from, clientv3.WithRange(end), clientv3.WithLimit(page))
		cancel()
		if err != nil {
			return fmt.Errorf("read the stored Secrets: %w", err)
		}
		if err := do(answer.Kvs); err != nil || !answer.More {
			return err
		}
		from = string(answer.Kvs[len(answer.Kvs)-1].Key) + "\x00"
	}
}

// count says how many are under which key.
func (s *stored) count(ctx context.Context) (map[string]int, error) {
	under := map[string]int{}
	return under, s.each(ctx, func(all []*mvccpb.KeyValue) error {
		for _, one := range all {
			under[nameOf(one.Value)]++
		}
		return nil
	})
}

// pass is what came of going once through all of them.
type pass struct {
	changed    int      // are under the wanted key now
	again      int      // somebody else wrote first
	unreadable []string // are under none of the keys; the first few by name
	closed     int      // how many those are
}

// rewrite goes once through all Secrets and stores those anew that are under another key than the one to write with. What
// somebody else writes meanwhile stays. between is called after each page that had something to do.
func (s *stored) rewrite(ctx context.Context, k keys, between func(context.Context, pass) error) (pass, error) {
	var p pass
	with := k.transformer()
	return p, s.each(ctx, func(all []*mvccpb.KeyValue) error {
		before := p.changed + p.again
		if err := s.rewritePage(ctx, k.writes(), with, all, &p); err != nil {
			return err
		}
		if p.changed+p.again == before {
			return nil
		}
		return between(ctx, p)
	})
}

// rewritePage replaces those of a page at once, so that they share commits.
func (s *stored) rewritePage(ctx context.Context, name string, with value.Transformer, all []*mvccpb.KeyValue, p *pass) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var (
		mu      sync.Mutex // guards p and failed
		failed  error
		working sync.WaitGroup
	)
	for _, one := range all {
		if nameOf(one.Value) == name {
			continue
		}
		value, err := translate(ctx, with, one)
		if err != nil {
			if p.closed++; len(p.unreadable) < 5 {
				p.unreadable = append(p.unreadable, strings.TrimPrefix(string(one.Key), s.prefix))
			}
			continue
		}
		working.Go(func() {
			done, err := s.replace(ctx, one, value)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				failed = errors.Join(failed, err)
			case done:
				p.changed++
			default:
				p.again++
			}
		})
	}
	working.Wait()
	return failed
}

// translate gives a stored value as it is under the key that is written with.
func translate(ctx context.Context, with value.Transformer, one *mvccpb.KeyValue) (string, error) {
	where := value.DefaultContext(one.Key)
	text, _, err := with.TransformFromStorage(ctx, one.Value, where)
	if err != nil {
		return "", err
	}
	now, err := with.TransformToStorage(ctx, text, where)
	return string(now), err
}

// replace stores a value, unless it is another one by now; then done is false.
func (s *stored) replace(ctx context.Context, one *mvccpb.KeyValue, value string) (done bool, err error) {
	key := string(one.Key)
	answer, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", one.ModRevision)).
		Then(clientv3.OpPut(key, value, clientv3.WithLease(clientv3.LeaseID(one.Lease)))).Else(clientv3.OpGet(key)).Commit()
	if err != nil {
		return false, fmt.Errorf("replace a stored Secret: %w", err)
	}
	return answer.Succeeded, nil
}

// close lets go of the connection.
func (s *stored) close() { _ = s.client.Close() } // nothing is under way any more
