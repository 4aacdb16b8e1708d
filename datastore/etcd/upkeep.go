package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/types"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-io/skerry/internal/fault"
)

const (
	// turnKey is there while one member writes its database anew; turn is how long at most, in seconds, should that member be lost.
	turnKey = "skerry/defragmenting"
	turn    = 120
	// glance is how often a member looks who the others are: it is in memory.
	glance = 5 * time.Second
)

// upkeep notes who the others are when that changes, and looks now and then whether they have the same, and whether much of the database is
// free, which it gives back to the disk.
func (m *Member) upkeep(ctx context.Context) error {
	every := m.config.Tuning.Upkeep
	for last := time.Now(); wait(ctx, min(glance, every)); {
		err := m.mark()
		if time.Since(last) < every { // an error is told with the rest
			continue
		}
		last = time.Now()
		err = errors.Join(err, m.compareLast(ctx))
		if errors.As(err, &Anew{}) {
			return err
		}
		if err = errors.Join(err, m.tidy(ctx)); err != nil && ctx.Err() == nil {
			m.config.Log.Warn("the upkeep of the datastore has to wait", "err", err)
		}
	}
	return nil
}

// follow tells the log who leads, until ctx ends.
func (m *Member) follow(ctx context.Context) {
	e := m.etcd.Server
	for last := types.ID(0); ; {
		changed := e.LeaderChangedNotify()
		if now := e.Leader(); now != last && now != 0 {
			last = now
			if leader := e.Cluster().Member(now); leader != nil {
				m.config.Log.Info("the datastore has a leader", "name", or(leader.Name, hex(uint64(now))))
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// tidy writes the database anew when half of it is free, which costs as many bytes as are used: so it has to be worth it. The member
// answers nobody meanwhile, so that only one does it at a time.
func (m *Member) tidy(ctx context.Context) error {
	s, err := m.Status(ctx)
	if err != nil {
		return err
	}
	free := s.Size - s.Used
	switch {
	case len(s.Alarms) > 0: // then turns cannot be taken either
		if free >= m.config.Tuning.Free {
			err = m.defragment(ctx)
		}
		return errors.Join(err, m.relax(ctx))
	case free >= m.config.Tuning.Free && free >= s.Used:
		return m.inTurn(ctx, m.defragment)
	}
	return nil
}

// inTurn does something that only one member may do at a time; nothing when it is another's turn.
func (m *Member) inTurn(ctx context.Context, do func(context.Context) error) error {
	asked, stop := context.WithTimeout(ctx, patience)
	defer stop()
	lease, err := m.client.Grant(asked, turn)
	if err != nil {
		return err
	}
	defer func() {
		undo, stop := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer stop()
		_, _ = m.client.Revoke(undo, lease.ID) // it ends by itself
	}()
	mine, err := m.client.Txn(asked).If(clientv3.Compare(clientv3.Version(turnKey), "=", 0)).
		Then(clientv3.OpPut(turnKey, m.config.Name, clientv3.WithLease(lease.ID))).Commit()
	if err != nil || !mine.Succeeded {
		return err
	}
	return do(ctx)
}

func (m *Member) defragment(ctx context.Context) error {
	began := time.Now()
	before := m.etcd.Server.Backend().Size()
	ctx, stop := context.WithTimeout(ctx, turn*time.Second)
	defer stop()
	if _, err := m.client.Defragment(ctx, m.Endpoint().URLs[0]); err != nil {
		return fmt.Errorf("write the database anew: %w", err)
	}
	m.config.Log.Info("the database was written anew, because much of it was free", "before", before,
		"after", m.etcd.Server.Backend().Size(), "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// relax lets writes in again once there is room; etcd does not by itself.
func (m *Member) relax(ctx context.Context) error {
	if m.etcd.Server.Backend().Size() > m.config.Tuning.Quota/10*9 {
		return fault.New("the database has reached %d bytes, as much as it may take, and refuses writes", m.config.Tuning.Quota).
			Fix("delete what is not needed; within a quarter of an hour its room is free again, and writes are taken")
	}
	alarms, err := m.client.AlarmList(ctx)
	if err != nil {
		return err
	}
	for _, a := range alarms.Alarms {
		if a.Alarm != etcdserverpb.AlarmType_NOSPACE || a.MemberID != uint64(m.etcd.Server.MemberID()) {
			continue
		}
		if _, err := m.client.AlarmDisarm(ctx, (*clientv3.AlarmMember)(a)); err != nil {
			return err
		}
		m.config.Log.Info("the database has room again, and takes writes")
	}
	return nil
}
