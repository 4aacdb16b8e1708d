package heartbeat

import (
	"context"
	"encoding/json"
	"log/slog"
	"strconv"

	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"

	"github.com/skerry-io/skerry/internal/wire"
)

// Renewals renews leases.
type Renewals struct {
	client func() (rest.Interface, error)
	log    *slog.Logger
}

// New prepares it. client may act as any user, and speaks coordination.k8s.io/v1; it is asked for each time.
func New(client func() (rest.Interface, error), log *slog.Logger) *Renewals {
	return &Renewals{client, log}
}

// Hear takes a node's word and renews its lease, see tunnel.Hears.
func (r *Renewals) Hear(ctx context.Context, node string, word []byte) []byte {
	beat, err := wire.ReadHeartbeat(word)
	if err != nil {
		return nil
	}
	version, err := r.renew(ctx, node, beat)
	if err != nil {
		r.log.Debug("a heartbeat was not taken; the node sends its whole lease", "node", node, "err", err)
		return nil
	}
	return wire.Renewed(version)
}

// renew changes the lease in the node's name. The resource version makes it the lease that the node means.
func (r *Renewals) renew(ctx context.Context, node string, beat wire.Heartbeat) (version uint64, err error) {
	client, err := r.client()
	if err != nil {
		return 0, err
	}
	change, err := json.Marshal(map[string]any{
		"metadata": map[string]string{"resourceVersion": strconv.FormatUint(beat.Version, 10)},
		"spec":     map[string]meta.MicroTime{"renewTime": meta.NewMicroTime(beat.RenewTime)},
	})
	if err != nil {
		return 0, err
	}
	var lease coordination.Lease
	err = client.Patch(types.MergePatchType).Namespace(core.NamespaceNodeLease).Resource("leases").Name(node).
		SetHeader(transport.ImpersonateUserHeader, wire.NodeUser+node).SetHeader(transport.ImpersonateGroupHeader, wire.NodeGroup).
		Body(change).Do(ctx).Into(&lease)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(lease.ResourceVersion, 10, 64)
}
