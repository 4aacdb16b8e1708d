package etcd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
)

// check reads everything in a database, as etcd will; that there is none is fine.
func check(ctx context.Context, path string) error {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	sum := crc32.NewIEEE() // nobody asks for it: it makes sure that every byte is read
	err = look(path, func(tx *bolt.Tx) error {
		if err := inOrder(ctx, tx, file); err != nil {
			return err
		}
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			return b.ForEach(func(key, value []byte) error {
				_, _ = sum.Write(key)
				_, _ = sum.Write(value)
				return errors.Join(ctx.Err(), understood(name, key, value))
			})
		})
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("the database is damaged: %w", err)
	}
	return err
}

// understood reads what etcd reads at its start where it cannot be caught when it stumbles, or says nothing of damage then.
func understood(bucket, key, value []byte) error {
	switch {
	case bytes.Equal(bucket, schema.Key.Name()):
		_ = mvcc.BytesToBucketKey(key) // panics when it is no revision
		return new(mvccpb.KeyValue).Unmarshal(value)
	case bytes.Equal(bucket, schema.Members.Name()):
		return json.Unmarshal(value, new(membership.Member))
	}
	return nil
}

// holds says that a database has keys in it, or cannot be read.
func holds(path string) bool {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return false
	}
	keys := 0
	err := within(path, schema.Key, func(b *bolt.Bucket) { keys = b.Stats().KeyN })
	return err != nil || keys > 0
}

// within reads one bucket of a database, where that has it.
func within(path string, bucket backend.Bucket, at func(*bolt.Bucket)) error {
	return look(path, func(tx *bolt.Tx) error {
		if b := tx.Bucket(bucket.Name()); b != nil {
			at(b)
		}
		return nil
	})
}

// look reads a database that etcd does not use. Where a page is damaged or missing, reading it panics or faults.
func look(path string, at func(*bolt.Tx) error) (err error) {
	defer caught(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.View(func(tx *bolt.Tx) error {
		if tx.Size() > info.Size() {
			return fmt.Errorf("it has %d bytes of %d", info.Size(), tx.Size())
		}
		return at(tx)
	})
}

// caught makes a panic the error that it is. It has no stack, because it is about a file.
func caught(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("%v", v)
	}
}
