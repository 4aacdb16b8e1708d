package watch

import (
	"github.com/k3s-io/kine/pkg/server"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// The API server keeps its compactions under a key that kine uses for its own; kine's server stores it under the other.
const (
	compactKey       = "compact_rev_key"
	compactKeyStored = "compact_rev_key_apiserver"
)

func storedKey(key []byte) string {
	if string(key) == compactKey {
		return compactKeyStored
	}
	return string(key)
}

// toEvents gives changes as etcd does, with what was before them where that is wanted.
func toEvents(events []*server.Event, former bool) []*mvccpb.Event {
	out := make([]*mvccpb.Event, 0, len(events))
	for _, e := range events {
		event := &mvccpb.Event{Type: mvccpb.PUT, Kv: toKV(e.KV)}
		if e.Delete {
			event.Type = mvccpb.DELETE
		}
		if former && !e.Create {
			event.PrevKv = toKV(e.PrevKV)
		}
		out = append(out, event)
	}
	return out
}

func toKV(kv *server.KeyValue) *mvccpb.KeyValue {
	if kv == nil {
		return nil
	}
	out := &mvccpb.KeyValue{Key: []byte(kv.Key), Value: kv.Value, Version: kv.Version, CreateRevision: kv.CreateRevision, ModRevision: kv.ModRevision, Lease: kv.Lease}
	if kv.Key == compactKeyStored {
		out.Key = []byte(compactKey)
		out.Version, out.Value = server.DecodeVersion(kv.Value)
	}
	return out
}
