package shared

import (
	"context"
	"errors"

	"github.com/skerry-io/skerry/internal/fault"
)

// Known says that this machine has the files of a cluster already, all of them: the authority's key is the last that Install writes.
func (p Place) Known() (bool, error) {
	files, err := p.Read()
	return files[authority] != nil, err
}

// Install puts the files of a cluster that this machine is joining in their places. What lay there is replaced, so ask Known first.
func (p Place) Install(files Files) error {
	if _, _, err := clusterOf(files); err != nil {
		return fault.New("take what the servers of the cluster share").Because(err).Fix("start the same release on all servers")
	}
	_, err := p.write(files)
	return err
}

// Settle is for servers that meet at a datastore they do not run themselves, before they have read any of the files: the first
// server makes the files and puts them there, every other one gets them. secret is that of the token in the settings, empty when
// they name none; make makes the files that are missing and gives the token's secret. After it, Run finds nothing to do.
func Settle(ctx context.Context, store Store, p Place, secret string, make func() (string, error)) error {
	before, err := p.Read()
	if err != nil {
		return err
	}
	for {
		value, _, _, err := get(ctx, store)
		if err != nil {
			return err
		}
		if value != nil {
			return p.restore(value, before[authority] != nil, secret)
		}
		if done, err := p.found(ctx, store, before, secret, make); done || err != nil {
			return err
		}
		// Another server was first. What was made just now was nobody's.
	}
}

// found makes the files and puts them into the datastore, unless another server was first. Without success nothing of them is left, so
// that the next start begins anew.
func (p Place) found(ctx context.Context, store Store, before Files, secret string, make func() (string, error)) (done bool, err error) {
	keep := false
	defer func() {
		if !keep {
			err = errors.Join(err, p.putBack(before))
		}
	}()
	made, err := make()
	if err != nil {
		return false, err
	}
	files, err := p.Read()
	if err != nil {
		return false, err
	}
	_, done, err = set(ctx, store, files, made, 0)
	keep = done || err != nil && made != secret && mayBeThere(ctx, store, files)
	return done, err
}

// mayBeThere says that files may have reached the datastore although it gave an error. Nobody could open them there without the files here,
// where the settings name no token.
func mayBeThere(ctx context.Context, store Store, files Files) bool {
	value, _, _, err := get(context.WithoutCancel(ctx), store)
	if err != nil {
		return true
	}
	if value == nil {
		return false
	}
	e, err := read(value)
	if err != nil {
		return false
	}
	cluster, _, err := clusterOf(files)
	return err == nil && cluster == e.Cluster
}

// restore takes what the datastore has.
func (p Place) restore(value []byte, known bool, secret string) error {
	e, err := read(value)
	if err != nil {
		return err
	}
	if known {
		ours, err := p.Read()
		if err != nil {
			return err
		}
		theirs, err := e.byOwn(ours)
		if err != nil {
			return err
		}
		_, err = p.write(theirs)
		return err
	}
	if secret == "" {
		return fault.New("the datastore belongs to a cluster, and this server has no token of it").
			Fix("set token to the content of server/token in the data directory of another server of that cluster")
	}
	files, err := e.byToken(secret)
	if err != nil {
		return err
	}
	return p.Install(files)
}
