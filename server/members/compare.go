package members

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skerry-io/skerry/internal/run"
)

const (
	// arrival is how long after the start of this server others may take until they answer, and have a Node.
	arrival = 5 * time.Minute
	// look is how often it is seen whether a member that was told of is still there.
	look = time.Minute
	// nodeless is the state of a member that has neither a Node nor a server.
	nodeless = "has no node"
)

// compare looks, once the servers have had time to start, for members that count towards the majority while nothing is left of their
// servers: their Nodes were deleted while no server was there to hear of it, or never made. None is removed for that, as a server need not
// be a node: it is told, for as long as it is so.
func (k *keeper) compare(ctx context.Context) {
	told := map[string]bool{}
	for pause := arrival; ; pause = look {
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		if err := k.tell(ctx, told); err != nil {
			k.Log.Debug("members and nodes could not be compared; it is tried again", "err", err)
		} else if len(told) == 0 {
			return
		}
	}
}

// tell says which members have neither a Node nor a server, and notes them in told, which loses those that do by now.
func (k *keeper) tell(ctx context.Context, told map[string]bool) error {
	if !k.Nodes.HasSynced() {
		return errors.New("the nodes are not known yet")
	}
	asked, stop := context.WithTimeout(ctx, patience)
	defer stop()
	all, err := k.Cluster.Members(asked)
	if err != nil {
		return err
	}
	left := map[string]bool{}
	for _, one := range all {
		if one.Name == "" || one.Name == k.Own || k.gone.NumRequeues(one.Name) > 0 { // without a name it has never started, and has no vote
			continue
		}
		if _, exists, err := k.Nodes.GetStore().GetByKey(one.Name); exists || err != nil || k.Cluster.Answers(ctx, one) {
			continue
		}
		left[one.Name] = true
		why := fmt.Errorf("it does not answer, and counts when a majority is needed: start its server; if that is gone for good, run "+
			"`skerry datastore remove %s`", one.Name)
		k.Rows.Set(run.Detail{Name: row(one.Name), State: nodeless, Bad: true, Err: why})
		if !told[one.Name] {
			k.Log.Warn("a member of the datastore belongs to no node", "member", one.Name, "seen", time.Now().UTC().Format(time.RFC3339), "err", why)
		}
		told[one.Name] = true
	}
	for name := range told {
		if !left[name] {
			k.Rows.Drop(row(name), nodeless)
			delete(told, name)
		}
	}
	return nil
}

func row(name string) string { return "member " + name }
