package storage

import (
	"cmp"
	"context"
	"slices"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/skerry-io/skerry/internal/wire"
)

// ordersFor is all that a node shall do.
func ordersFor(node string, claims []*core.PersistentVolumeClaim, volumes []*core.PersistentVolume) wire.VolumeOrders {
	list := wire.VolumeOrders{Orders: []wire.VolumeOrder{}}
	made := map[string]bool{}
	for _, v := range volumes {
		made[v.Name] = true
		if on, order := toRemove(v); ours(v) && on == node && over(v) {
			list.Orders = append(list.Orders, order)
		}
	}
	for _, c := range claims {
		if on, order := toMake(c); on == node && waits(c) && unfit(c) == "" && !made[volumeName(order.UID)] {
			list.Orders = append(list.Orders, order)
		}
	}
	slices.SortFunc(list.Orders, func(a, b wire.VolumeOrder) int { return cmp.Compare(a.Folder, b.Folder) })
	return list
}

// Orders sends a node its list, and again whenever it differs, until ctx or Run ends, or send cannot.
func (s *Storage) Orders(ctx context.Context, node string, send func(wire.VolumeOrders) error) error {
	if !s.awaitStart(ctx) {
		return nil
	}
	changed, leave := s.nodes.Join(node)
	defer leave()
	var last wire.VolumeOrders
	for {
		now := ordersFor(node, s.waiting(), s.known())
		if last.Orders == nil || !slices.Equal(last.Orders, now.Orders) {
			if err := send(now); err != nil {
				return err
			}
			last = now
		}
		select {
		case <-changed:
		case <-s.ended:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Storage) awaitStart(ctx context.Context) bool {
	select {
	case <-s.started:
		return true
	case <-ctx.Done():
		return false
	}
}

// waiting are the claims that may need a volume.
func (s *Storage) waiting() []*core.PersistentVolumeClaim {
	all, err := s.claims.List(labels.Everything())
	if err != nil {
		return nil // it reads memory, and does not fail
	}
	return slices.DeleteFunc(all, func(c *core.PersistentVolumeClaim) bool { return !waits(c) })
}

// known are the volumes made here.
func (s *Storage) known() []*core.PersistentVolume {
	all, err := s.volumes.List(labels.Everything())
	if err != nil {
		return nil // it reads memory, and does not fail
	}
	return all
}
