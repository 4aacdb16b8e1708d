package storage

import (
	"context"
	"fmt"
	"path/filepath"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/internal/wire"
)

// maxTrouble bounds what a node may have said in an event, in bytes.
const maxTrouble = 512

// Report takes what a node did, or what is in its way. It can be told the same any number of times.
func (s *Storage) Report(ctx context.Context, node string, r wire.VolumeReport) (wire.VolumeAnswer, error) {
	if !s.awaitStart(ctx) {
		return wire.VolumeAnswer{}, errStarting
	}
	switch {
	case r.Trouble != "":
		return wire.VolumeAnswer{Keep: true}, s.trouble(ctx, node, r)
	case r.Remove:
		return wire.VolumeAnswer{}, s.removed(ctx, node, r)
	}
	keep, err := s.made(ctx, node, r)
	return wire.VolumeAnswer{Keep: keep}, err
}

// made gives the claim its volume. The directory is kept exactly if it belongs to a volume afterwards.
func (s *Storage) made(ctx context.Context, node string, r wire.VolumeReport) (keep bool, err error) {
	volumes := s.client.CoreV1().PersistentVolumes()
	have, err := volumes.Get(ctx, volumeName(r.UID), meta.GetOptions{})
	if err == nil {
		return belongs(have, node, r), nil
	}
	if !apierrors.IsNotFound(err) {
		return false, err
	}
	claim, err := s.claimOf(ctx, node, r)
	if claim == nil || err != nil {
		return false, err
	}
	v, refused, err := s.volumeOf(ctx, claim, node, r)
	if err != nil {
		return false, err
	}
	if refused != "" {
		return false, s.tellClaim(ctx, claim, warning(reasonRefused, "%s", refused))
	}
	have, err = volumes.Create(ctx, v, meta.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		have, err = volumes.Get(ctx, v.Name, meta.GetOptions{})
	}
	if err != nil {
		return false, err
	}
	if keep = belongs(have, node, r); keep {
		s.log.Info("a volume was made", "volume", v.Name, "claim", claim.Namespace+"/"+claim.Name, "node", node, "path", r.Path)
	}
	return keep, nil
}

// claimOf is the claim that a report is about; nil when it is gone, has a volume, or is for another node.
func (s *Storage) claimOf(ctx context.Context, node string, r wire.VolumeReport) (*core.PersistentVolumeClaim, error) {
	claim, err := s.client.CoreV1().PersistentVolumeClaims(r.Namespace).Get(ctx, r.Claim, meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if on, _ := toMake(claim); on != node || !waits(claim) || !sameClaim(claim, r) || unfit(claim) != "" {
		return nil, nil
	}
	return claim, nil
}

// volumeOf prepares the volume; refused says why there can be none.
func (s *Storage) volumeOf(ctx context.Context, claim *core.PersistentVolumeClaim, node string, r wire.VolumeReport) (v *core.PersistentVolume, refused string, err error) {
	if !filepath.IsAbs(r.Path) || filepath.Clean(r.Path) != r.Path || filepath.Base(r.Path) != r.Folder {
		return nil, fmt.Sprintf("node %s made a directory with a name that was not asked for: %q", node, clip(r.Path)), nil
	}
	class, refused, err := s.classOf(ctx, claim)
	if err != nil || refused != "" {
		return nil, refused, err
	}
	member, err := s.client.CoreV1().Nodes().Get(ctx, node, meta.GetOptions{})
	if err != nil {
		return nil, "", err
	}
	if v, err = volumeFor(claim, class, member, r); err != nil {
		return nil, err.Error(), nil
	}
	return v, "", nil
}

// removed lets a volume go, whose directory is gone. A node can say so of its own volumes alone.
func (s *Storage) removed(ctx context.Context, node string, r wire.VolumeReport) error {
	volumes := s.client.CoreV1().PersistentVolumes()
	v, err := volumes.Get(ctx, r.Volume, meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if !belongs(v, node, r) || !over(v) {
		return nil
	}
	// The deletion comes first: between the two, the volume still says that its directory is to be removed.
	err = volumes.Delete(ctx, v.Name, meta.DeleteOptions{Preconditions: &meta.Preconditions{UID: &v.UID}})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	s.log.Info("a volume was removed", "volume", v.Name, "claim", r.Namespace+"/"+r.Claim, "node", node)
	return letGo(ctx, s.client, v.Name)
}

// trouble shows the owner what keeps a node from making or removing a volume.
func (s *Storage) trouble(ctx context.Context, node string, r wire.VolumeReport) error {
	if !r.Remove {
		claim, err := s.claimOf(ctx, node, r)
		if claim == nil || err != nil {
			return err
		}
		return s.tellClaim(ctx, claim, warning(reasonRefused, "node %s: %s", node, clip(r.Trouble)))
	}
	v, err := s.volumes.Get(r.Volume)
	if err != nil || !belongs(v, node, r) {
		return nil // it is gone, or another's
	}
	return s.tellVolume(ctx, v, warning(reasonStays, "node %s: %s", node, clip(r.Trouble)))
}

func clip(text string) string { return text[:min(len(text), maxTrouble)] }
