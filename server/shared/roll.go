package shared

import (
	"context"
	"fmt"
	"slices"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-io/skerry/datastore"
)

// roll begins the keys of servers that nothing else in the datastore stands for, neither a Node nor a member of etcd. They have no end: a
// server that is cut off must not be taken for one that is gone.
const roll = datastore.ServersPrefix + "servers/"

// enlist puts a server on the roll.
func enlist(ctx context.Context, store clientv3.KV, name string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := store.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(roll+name), "=", 0)).Then(clientv3.OpPut(roll+name, name)).Commit()
	if err != nil {
		return fmt.Errorf("put this server on the roll: %w", err)
	}
	return nil
}

// Enlisted gives the names on the roll.
func Enlisted(ctx context.Context, store clientv3.KV) (names []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer, err := store.Get(ctx, roll, clientv3.WithPrefix())
	if err != nil {
		return nil, fmt.Errorf("read the roll of servers: %w", err)
	}
	for _, kv := range answer.Kvs {
		names = append(names, strings.TrimPrefix(string(kv.Key), roll))
	}
	slices.Sort(names)
	return names, nil
}

// Strike takes a server off the roll; one that runs is put on it again at its next start.
func Strike(ctx context.Context, store clientv3.KV, name string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	now, err := store.Get(ctx, roll+name)
	if err != nil || len(now.Kvs) == 0 {
		return err
	}
	_, err = store.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(roll+name), "=", now.Kvs[0].ModRevision)).
		Then(clientv3.OpDelete(roll + name)).Else(clientv3.OpGet(roll + name)).Commit()
	return err
}
