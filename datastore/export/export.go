package export

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/ramtier"
	"github.com/skerry-io/skerry/internal/fault"
)

const (
	// most is how many keys are asked for at a time, and wanted how many bytes an answer should have at most.
	most   = 128
	wanted = 1 << 20
	// first and last bound the keys that are looked for: they begin with a printable letter. Not all databases of others can
	// be asked for more.
	first, last = " ", "\x7f"
	// compactKey is where kine itself remembers what it compacted, and healthKey what it writes to see whether it can.
	compactKey = "compact_rev_key"
	healthKey  = "/registry/health"
)

// Gone says that an error means that the revision is gone that was being read, because the reader was too slow.
func Gone(err error) bool { return errors.Is(err, rpctypes.ErrCompacted) }

// Client is what is asked of a datastore.
type Client interface {
	clientv3.KV
	TimeToLive(ctx context.Context, id clientv3.LeaseID, opts ...clientv3.LeaseOption) (*clientv3.LeaseTimeToLiveResponse, error)
}

// View is a datastore as it was at one revision.
type View struct {
	client Client
	// Revision is the newest change that can be in it.
	Revision int64
	// Keys is how many records it has.
	Keys int64
}

// span is a range of keys; the end is not in it.
type span struct{ from, end string }

// spans are the keys that are worth keeping: all but those that live short, which nodes and components make again, and those that an
// engine makes, or servers, for this datastore.
func spans() (kept []span) {
	skipped := []span{{healthKey, healthKey + "\x00"}, {compactKey, compactKey + "\x00"}}
	for _, prefix := range append(ramtier.Prefixes(), datastore.ServersPrefix) {
		skipped = append(skipped, span{prefix, clientv3.GetPrefixRangeEnd(prefix)})
	}
	slices.SortFunc(skipped, func(a, b span) int { return strings.Compare(a.from, b.from) })
	from := first
	for _, s := range skipped {
		kept = append(kept, span{from, s.from})
		from = s.end
	}
	return append(kept, span{from, last})
}

// Open fixes the revision at which a datastore is read: the current one.
func Open(ctx context.Context, client Client) (*View, error) {
	v := &View{client: client}
	for _, s := range spans() {
		options := []clientv3.OpOption{clientv3.WithRange(s.end), clientv3.WithCountOnly()}
		if v.Revision > 0 {
			options = append(options, clientv3.WithRev(v.Revision))
		}
		answer, err := client.Get(ctx, s.from, options...)
		if err != nil {
			return nil, fault.New("ask the datastore how much it holds").Because(err).Fix("look at `skerry status`: the datastore has to be ready")
		}
		if v.Revision == 0 {
			v.Revision = answer.Header.Revision
		}
		v.Keys += answer.Count
	}
	return v, nil
}

// Records hands over all records. When that takes so long that the revision is Gone, open another view.
func (v *View) Records(ctx context.Context, each func(engine.Record) error) error {
	var found int64
	for _, s := range spans() {
		count, err := v.records(ctx, s, each)
		if err != nil {
			return err
		}
		found += count
	}
	if found != v.Keys {
		return fmt.Errorf("the datastore gave %d keys, and said that it had %d", found, v.Keys)
	}
	return nil
}

func (v *View) records(ctx context.Context, s span, each func(engine.Record) error) (count int64, err error) {
	limit := int64(most)
	for {
		answer, err := v.client.Get(ctx, s.from, clientv3.WithRange(s.end), clientv3.WithRev(v.Revision), clientv3.WithLimit(limit))
		if status.Code(err) == codes.ResourceExhausted && limit > 1 { // more than a message can hold
			limit /= 2
			continue
		}
		if err != nil {
			return count, reading(err)
		}
		size := 0
		for _, kv := range answer.Kvs {
			r, err := v.record(ctx, kv)
			if err == nil {
				err = each(r)
			}
			if err != nil {
				return count, err
			}
			size += r.Size()
		}
		count += int64(len(answer.Kvs))
		if !answer.More || len(answer.Kvs) == 0 {
			return count, nil
		}
		s.from = string(answer.Kvs[len(answer.Kvs)-1].Key) + "\x00"
		limit = min(most, max(1, min(2*limit, limit*wanted/int64(max(size, 1)))))
	}
}

func reading(err error) error {
	if Gone(err) {
		return err
	}
	return fmt.Errorf("read the datastore: %w", err)
}

// record is a key with its value. Where a lease has a number instead of its time, the datastore is asked for that.
func (v *View) record(ctx context.Context, kv *mvccpb.KeyValue) (engine.Record, error) {
	r := engine.Record{Revision: kv.ModRevision, Created: kv.CreateRevision, Version: kv.Version, Lease: kv.Lease, Key: string(kv.Key), Value: kv.Value}
	if r.Lease == 0 {
		return r, nil
	}
	answer, err := v.client.TimeToLive(ctx, clientv3.LeaseID(kv.Lease))
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	if err == nil && answer.GrantedTTL > 0 {
		r.Lease = answer.GrantedTTL
	}
	r.Expires = time.Now().Add(time.Duration(r.Lease) * time.Second).UnixMilli()
	return r, nil
}
