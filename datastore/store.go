package datastore

import (
	"github.com/k3s-io/kine/pkg/server"

	"github.com/skerry-io/skerry/datastore/watch"
)

// Store is a revisioned key-value store with the semantics of etcd v3.
//
// It is the interface kine's etcd server works on, so that an engine needs no etcd protocol of its own: reads at a
// revision, compare-and-swap writes, leases, compaction; and what package watch needs besides. Start is called once,
// before anything else, and what it started ends with its context.
type Store interface {
	server.Backend
	watch.Source
}

// EtcdVersion is the etcd release whose API a served Store answers as. Kubernetes asks for it to decide which
// features (consistent reads from the watch cache, for one) the store can carry.
const EtcdVersion = "3.6.11"

// ServersPrefix begins the keys that servers keep for themselves, beside what Kubernetes has. They belong to this datastore: they are not
// taken along into another one, nor into a backup.
const ServersPrefix = "/skerry/"
