package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

// Anew is the end of a member whose data is not what the others have: the next start makes it anew, out of theirs.
type Anew struct{ why error }

// Error says what is wrong with the data.
func (a Anew) Error() string { return "the member of the datastore is made anew: " + a.why.Error() }

// Unwrap is what is wrong with it.
func (a Anew) Unwrap() error { return a.why }

// Wanted says that this end is no failure, see run.Wanted.
func (Anew) Wanted() bool { return true }

// Afresh says that the program runs once more, see run.Afresh.
func (Anew) Afresh() bool { return true }

// said is what one other member has at a revision.
type said struct {
	name   string
	answer *clientv3.HashKVResponse // nil when it cannot say
}

// compare looks whether the others have the same as this member, up to a revision; 0 is now. A bit that has changed in a value on the disk is
// seen by nothing else. Each member judges itself alone, and only by a majority that is of one mind without it: then the error is Anew.
func (m *Member) compare(ctx context.Context, revision int64) error {
	voting := m.voting()
	if len(voting) < 2 {
		return nil
	}
	own, _, err := m.etcd.Server.KV().HashStorage().HashByRev(revision)
	if err != nil {
		return fmt.Errorf("compare with the other members: %w", err)
	}
	ctx, stop := context.WithTimeout(ctx, patience)
	answers, asked := m.askAll(ctx, own.Revision)
	defer func() { // nobody is left who asks
		stop()
		for range asked {
			<-answers
		}
	}()
	same, other := 1, map[uint32][]string{}
	for asked > 0 {
		one := <-answers
		asked--
		switch a := one.answer; {
		case a == nil || a.CompactRevision != own.CompactRevision || a.HashRevision != own.Revision:
		case a.Hash == own.Hash:
			same++
		default:
			other[a.Hash] = append(other[a.Hash], one.name)
		}
		if same > len(voting)/2 {
			m.doubt.Store(nil)
			return nil
		}
	}
	for _, names := range other {
		why := fmt.Errorf("up to revision %d it has other data than %s", own.Revision, strings.Join(names, " and "))
		if len(names) > len(voting)/2 {
			return m.giveUp(why)
		}
		if m.doubt.Swap(&why) == nil {
			m.config.Log.Error("one of the members is damaged, and too few answer to know which", "member", m.config.Name, "err", why)
		}
	}
	return nil
}

// askAll asks all others at once what they have at a revision. As many answers come as were asked.
func (m *Member) askAll(ctx context.Context, revision int64) (answers chan said, asked int) {
	e := m.etcd.Server
	voting := m.voting()
	answers = make(chan said, len(voting))
	for _, one := range voting {
		if one.ID == e.MemberID() || len(one.ClientURLs) == 0 {
			continue
		}
		asked++
		go func() { // ends with ctx, and is awaited by who takes the answers
			s := said{name: one.Name}
			if client, err := m.config.others(one.ClientURLs).Client(); err == nil {
				if answer, err := client.HashKV(ctx, one.ClientURLs[0], revision); err == nil {
					s.answer = answer
				}
				_ = client.Close()
			}
			answers <- s
		}()
	}
	return answers, asked
}

// voting are the members that count.
func (m *Member) voting() []*membership.Member {
	return slices.DeleteFunc(m.etcd.Server.Cluster().Members(), func(one *membership.Member) bool { return one.IsLearner })
}

// compareLast compares what was there at the last compaction: etcd has reckoned it up then, so that this costs a message to each.
func (m *Member) compareLast(ctx context.Context) error {
	var last mvcc.KeyValueHash
	for _, one := range m.etcd.Server.KV().HashStorage().Hashes() {
		if one.Revision > last.Revision {
			last = one
		}
	}
	if last.Revision == 0 || last.Revision == m.compared {
		return nil
	}
	err := m.compare(ctx, last.Revision)
	if err == nil && m.doubt.Load() == nil {
		m.compared = last.Revision
	}
	return err
}

// giveUp has the next start make the member anew. A second time soon after the first would be no cure.
func (m *Member) giveUp(why error) error {
	if m.config.madeAnewLately() {
		if m.doubt.Swap(&why) == nil {
			m.config.Log.Error("the member is damaged again, soon after it was made anew, and is left as it is", "member", m.config.Name, "err", why)
		}
		return nil
	}
	if err := m.config.condemn(why); err != nil {
		return errors.Join(why, err)
	}
	return Anew{why}
}
