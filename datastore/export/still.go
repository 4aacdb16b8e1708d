package export

import (
	"context"
	"fmt"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// presencePrefix begins the keys by which API servers tell each other that they are there, and the address follows it. They write
	// them anew every ten seconds, with a lease of fifteen.
	presencePrefix = "/registry/masterleases/"
	// mostNames is how many keys are asked for at a time without their values.
	mostNames = 1000
)

// Servers are the addresses of the API servers that use a datastore, or did a moment ago, each with the revision at which it last said so.
func Servers(ctx context.Context, client Client) (map[string]int64, error) {
	answer, err := client.Get(ctx, presencePrefix, clientv3.WithPrefix())
	if err != nil {
		return nil, reading(err)
	}
	all := map[string]int64{}
	for _, kv := range answer.Kvs {
		all[strings.TrimPrefix(string(kv.Key), presencePrefix)] = kv.ModRevision
	}
	return all, nil
}

// Changed says what was written since the view was opened, also of what is not kept, or that something of what is kept was removed; ""
// when nothing was. That short-lived keys have come to their end is no change: that happens without anybody.
func (v *View) Changed(ctx context.Context) (what string, err error) {
	now, err := Open(ctx, v.client)
	if err != nil || now.Revision == v.Revision {
		return "", err
	}
	from := first
	for {
		answer, err := v.client.Get(ctx, from, clientv3.WithRange(last), clientv3.WithRev(now.Revision), clientv3.WithLimit(mostNames), clientv3.WithKeysOnly())
		if err != nil {
			return "", reading(err)
		}
		for _, kv := range answer.Kvs {
			if kv.ModRevision > v.Revision {
				return fmt.Sprintf("%s was written", kv.Key), nil
			}
		}
		if !answer.More || len(answer.Kvs) == 0 {
			break
		}
		from = string(answer.Kvs[len(answer.Kvs)-1].Key) + "\x00"
	}
	if now.Keys != v.Keys {
		return fmt.Sprintf("of %d keys %d are left", v.Keys, now.Keys), nil
	}
	return "", nil
}
