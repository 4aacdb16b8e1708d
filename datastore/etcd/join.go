package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/skerry-io/skerry/internal/fault"
)

// launches is how often a member that the cluster has taken is started before it is given up. A start can fail because
// another one joins at that moment.
const launches = 5

// joining brings a member into a cluster.
type joining struct {
	Config
	client *clientv3.Client
	began  time.Time
	told   string // what the log was told last
	tries  int
}

// usual is how long a join may wait for the cluster without anything to worry about: it takes nobody within five seconds of another.
const usual = 10 * time.Second

// explain tells the log what is waited for, each reason once.
func (j *joining) explain(err error) {
	if time.Since(j.began) < usual || err.Error() == j.told {
		return
	}
	j.told = err.Error()
	j.Log.Warn("the cluster cannot be joined yet; it is tried again", "members", strings.Join(j.Members, ", "), "err", err)
}

// join makes a new member: the cluster takes it as a learner, and it starts. What cannot be now is tried again until ctx ends.
func (c Config) join(ctx context.Context) (*embed.Etcd, *broken, error) {
	client, err := c.others(c.Members).Client()
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = client.Close() }()
	j := &joining{Config: c, client: client, began: time.Now()}
	for {
		e, b, err := j.try(ctx)
		if err == nil {
			return e, b, nil
		}
		var told *fault.Fault
		if errors.As(err, &told) {
			return nil, nil, err
		}
		j.explain(err)
		if !wait(ctx, again) {
			return nil, nil, fault.New("join the cluster of %s", strings.Join(c.Members, ", ")).Because(errors.Join(err, ctx.Err())).
				Fix("look whether a majority of its servers runs, and is reached from here on port %d", ClientPort)
		}
	}
}

// try makes one attempt. A fault is for good, any other error can pass.
func (j *joining) try(ctx context.Context) (*embed.Etcd, *broken, error) {
	members, err := j.list(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := j.replace(ctx, members); err != nil {
		return nil, nil, err
	}
	asked, stop := context.WithTimeout(ctx, patience)
	defer stop()
	answer, err := j.client.MemberAddAsLearner(asked, []string{j.PeerURL()})
	if err != nil {
		return nil, nil, waiting(err)
	}
	if id, others := j.marked(); id != "" { // this is what it is from now on, whatever becomes of the start
		if err := j.mark(hex(answer.Member.ID), others); err != nil {
			return nil, nil, err
		}
	}
	settings := j.settings()
	settings.ClusterState, settings.InitialCluster = embed.ClusterStateFlagExisting, j.initial(answer)
	e, b, err := launch(j.Config, settings)
	if err == nil {
		j.Log.Info("the member joins as a learner", "name", j.Name, "members", len(answer.Members))
		return e, b, nil
	}
	if errors.As(err, &abandoned{}) {
		return nil, nil, j.unusable(err)
	}
	if j.tries++; j.tries < launches && !errors.Is(err, syscall.EADDRINUSE) {
		return nil, nil, fmt.Errorf("start the new member: %s", err) // the next try takes the membership back first
	}
	undo, stop := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer stop()
	_, undone := j.client.MemberRemove(undo, answer.Member.ID)
	return nil, nil, errors.Join(j.refused(err), undone, os.RemoveAll(filepath.Join(j.Dir, memberFolder)))
}

// list asks for the members, and finds out why when nobody answers.
func (j *joining) list(ctx context.Context) ([]*etcdserverpb.Member, error) {
	asked, stop := context.WithTimeout(ctx, patience)
	defer stop()
	answer, err := j.client.MemberList(asked)
	if err == nil {
		return answer.Members, nil
	}
	for _, member := range j.Members {
		if refused := j.distrust(ctx, member); refused != nil {
			return nil, fault.New("join the cluster of %s", member).Because(refused).
				Fix("this server and the cluster have certificates of different authorities: check that the token is that of this cluster; a server that " +
					"belonged to another one is made new by `skerry reset`")
		}
	}
	return nil, waiting(err)
}

// distrust says why this member and one of the cluster do not accept each other's certificates, nil when they do or when it is not
// reached. That the other refuses is told after the handshake.
func (c Config) distrust(ctx context.Context, member string) error {
	settings, err := c.others(nil).TLS()
	if err != nil {
		return err
	}
	u, err := url.Parse(member)
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	var alert tls.AlertError
	var verify *tls.CertificateVerificationError
	conn, err := (&tls.Dialer{Config: settings}).DialContext(ctx, "tcp", u.Host)
	if err == nil {
		defer func() { _ = conn.Close() }()
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		_, err = conn.Read(make([]byte, 1))
	}
	if remote := (*net.OpError)(nil); errors.As(err, &alert) || errors.As(err, &verify) || errors.As(err, &remote) && remote.Op == "remote error" {
		return err
	}
	return nil
}

// replace takes back what this server was in the cluster before it lost its member, as the directory says, or a join that was never
// finished. Any other member of its name or address is another server, also while it is down: two machines may have one name by mistake.
// Whether the rest can do without, the cluster knows.
func (j *joining) replace(ctx context.Context, members []*etcdserverpb.Member) error {
	id, _ := j.marked()
	s, err := j.sentence()
	if err != nil {
		return err
	}
	if s.Why != "" && s.Kept == "" && is(filepath.Join(j.Dir, memberFolder)) && // it has not given itself up
		!slices.ContainsFunc(members, func(one *etcdserverpb.Member) bool { return hex(one.ID) == id }) {
		return j.left("it was removed from the cluster, or that was made new, and its files are damaged") // nobody wants it to join by itself
	}
	if err := j.clear(); err != nil { // from here on it can only join
		return j.unusable(err)
	}
	for _, was := range members {
		if was.Name != j.Name && !slices.Contains(was.PeerURLs, j.PeerURL()) {
			continue
		}
		if err := j.free(ctx, j.Name, id, was); err != nil {
			return err
		}
		asked, stop := context.WithTimeout(ctx, patience)
		_, err := j.client.MemberRemove(asked, was.ID)
		stop()
		if err != nil && !errors.Is(err, rpctypes.ErrMemberNotFound) {
			return waiting(err)
		}
		j.Log.Warn("what this server was in the cluster is removed, because its data is not here any more", "name", was.Name, "id", hex(was.ID))
	}
	return nil
}

// free says why a machine may not come by the name or address of a member: that is another one, unless the machine was it, or has never had a
// vote.
func (c Config) free(ctx context.Context, name, id string, was *etcdserverpb.Member) error {
	if c.lives(ctx, was) {
		return fault.New("join the cluster as %s: a member %s at %s has this name or address, and runs", name, was.Name, strings.Join(was.PeerURLs, ", ")).
			Fix("give this server a name of its own (node-name), or stop the other one")
	}
	if was.IsLearner || hex(was.ID) == id {
		return nil
	}
	return fault.New("join the cluster as %s: a member %s at %s has this name or address, and is down; nothing here says that it was this machine",
		name, was.Name, strings.Join(was.PeerURLs, ", ")).
		Fix("if that is another machine, give this one a name of its own (node-name). If it is gone for good, or has lost its disk, run `kubectl delete "+
			"node %s` on a server that runs, or `skerry datastore remove %s` if there is no such node, and start this one again", was.Name, was.Name)
}

// lives says that a member answers where it said that it would.
func (c Config) lives(ctx context.Context, member *etcdserverpb.Member) bool {
	if len(member.ClientURLs) == 0 {
		return false // it never started
	}
	client, err := c.others(member.ClientURLs).Client()
	if err != nil {
		return false
	}
	defer func() { _ = client.Close() }()
	for _, where := range member.ClientURLs {
		asked, stop := context.WithTimeout(ctx, patience)
		answer, err := client.Status(asked, where)
		stop()
		if err == nil && answer.Header.MemberId == member.ID {
			return true
		}
	}
	return false
}

// initial names all members for etcd, which compares their addresses with what they say themselves. One that has not started has no
// name yet.
func (j *joining) initial(answer *clientv3.MemberAddResponse) string {
	var all []string
	for _, m := range answer.Members {
		name := or(m.Name, "id-"+hex(m.ID))
		if m.ID == answer.Member.ID {
			name = j.Name
		}
		for _, where := range m.PeerURLs {
			all = append(all, name+"="+where)
		}
	}
	return strings.Join(all, ",")
}

// waiting puts into words what a cluster says when it cannot be changed now.
func waiting(err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrUnhealthy), errors.Is(err, rpctypes.ErrMemberNotEnoughStarted):
		return fmt.Errorf("not enough of its servers are up, or they have been for less than five seconds; one that is gone for good has to be removed first: %w", err)
	case errors.Is(err, rpctypes.ErrTooManyLearners):
		return fmt.Errorf("others are joining: %w", err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no majority of its servers answers: %w", err)
	}
	return err
}

func hex(id uint64) string { return fmt.Sprintf("%x", id) }
