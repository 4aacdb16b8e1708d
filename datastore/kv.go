package datastore

import (
	"context"
	"errors"

	"github.com/k3s-io/kine/pkg/server"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// keys is kine's part of the API that reads and writes keys, but for what the API server does not ask, and
// people with etcdctl do: kine answers a put of a key that exists and does not do it, and does not know how to delete.
type keys struct {
	*server.KVServerBridge
	store Store
}

// Range reads keys. A client that does not mind old answers gets new ones: there are no others here.
func (k keys) Range(ctx context.Context, r *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
	r.Serializable = false
	if r.Limit > 0 && len(r.RangeEnd) > 0 && r.Revision == 0 && !r.CountOnly {
		return k.firstPage(ctx, r)
	}
	return k.KVServerBridge.Range(ctx, r)
}

// firstPage reads the beginning of a range at one revision, which it tells: the next pages, and a watch, go on from there. kine reads it, counts
// what is left, and tells the revision of the count; what changed in between would be in no page and no watch.
func (k keys) firstPage(ctx context.Context, r *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
	for {
		var err error
		if r.Revision, err = k.store.CurrentRevision(ctx); err != nil {
			return nil, err
		}
		answer, err := k.KVServerBridge.Range(ctx, r)
		if errors.Is(err, server.ErrCompacted) {
			continue
		}
		if err == nil {
			answer.Header.Revision = r.Revision
		}
		return answer, err
	}
}

// Put writes a key, whatever it was.
func (k keys) Put(ctx context.Context, r *etcdserverpb.PutRequest) (*etcdserverpb.PutResponse, error) {
	if r.IgnoreLease || r.IgnoreValue {
		return k.KVServerBridge.Put(ctx, r) // says that it cannot
	}
	for {
		_, before, err := k.store.Get(ctx, string(r.Key), 0, !r.PrevKv)
		if err != nil {
			return nil, err
		}
		var revision int64
		var done bool
		if before == nil {
			revision, err = k.store.Create(ctx, string(r.Key), r.Value, r.Lease)
			done = err == nil
		} else {
			revision, _, done, err = k.store.Update(ctx, string(r.Key), r.Value, before.ModRevision, r.Lease)
		}
		if err != nil && err != server.ErrKeyExists { //nolint:errorlint // it is compared as kine does
			return nil, err
		}
		if !done { // someone else was faster
			continue
		}
		answer := &etcdserverpb.PutResponse{Header: &etcdserverpb.ResponseHeader{Revision: revision}}
		if r.PrevKv {
			answer.PrevKv = former(before)
		}
		return answer, nil
	}
}

// DeleteRange removes the keys of a range, each by itself: what is written to it meanwhile may stay.
func (k keys) DeleteRange(ctx context.Context, r *etcdserverpb.DeleteRangeRequest) (*etcdserverpb.DeleteRangeResponse, error) {
	revision, kvs, err := k.store.List(ctx, string(r.Key), string(r.RangeEnd), 0, 0, true)
	if err != nil {
		return nil, err
	}
	answer := &etcdserverpb.DeleteRangeResponse{}
	for _, kv := range kvs {
		at, gone, done, err := k.store.Delete(ctx, kv.Key, 0)
		if err != nil {
			return nil, err
		}
		if revision = max(revision, at); !done || gone == nil {
			continue
		}
		if answer.Deleted++; r.PrevKv {
			answer.PrevKvs = append(answer.PrevKvs, former(gone))
		}
	}
	answer.Header = &etcdserverpb.ResponseHeader{Revision: revision}
	return answer, nil
}

func former(kv *server.KeyValue) *mvccpb.KeyValue {
	if kv == nil {
		return nil
	}
	return &mvccpb.KeyValue{Key: []byte(kv.Key), Value: kv.Value, Version: kv.Version, Lease: kv.Lease,
		CreateRevision: kv.CreateRevision, ModRevision: kv.ModRevision}
}
