package charts

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	spec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/skerry-io/skerry/internal/fault"
)

// What charts are in an OCI registry.
const (
	layerType  = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	legacyType = "application/tar+gzip"
	// maxManifest bounds what is read to learn of an archive.
	maxManifest = 4 << 20
)

// fromRegistry gives the chart at HOST/PATH[:TAG].
func (s Source) fromRegistry(ctx context.Context, reference string) (Archive, error) {
	at, err := parseReference(reference)
	if err != nil {
		return Archive{}, err
	}
	client, done, err := s.client()
	if err != nil {
		return Archive{}, err
	}
	defer done()
	repository := &remote.Repository{Reference: at, PlainHTTP: s.PlainHTTP, SkipReferrersGC: true}
	login := s.loginFor(at.Registry)
	repository.Client = &auth.Client{Client: client, Cache: auth.NewCache(),
		Credential: auth.StaticCredential(at.Registry, auth.Credential{Username: login.Username, Password: login.Password})}
	where := ociScheme + at.Registry + "/" + at.Repository
	if at.Reference == "" {
		if at.Reference, err = s.tag(ctx, repository); err != nil {
			return Archive{}, missed(where, err)
		}
	}
	where += ":" + at.Reference
	archive, err := pull(ctx, repository, at.Reference)
	if err != nil {
		return Archive{}, missed(where, err)
	}
	return Archive{Content: archive, From: where}, nil
}

// tag is the version as registries write it. They know no "+".
func (s Source) tag(ctx context.Context, repository *remote.Repository) (string, error) {
	if exact.MatchString(s.Version) {
		return strings.ReplaceAll(s.Version, "+", "_"), nil
	}
	var versions []string
	err := repository.Tags(ctx, "", func(tags []string) error {
		for _, t := range tags {
			versions = append(versions, strings.ReplaceAll(t, "_", "+"))
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	best, err := newest(versions, s.Version)
	return strings.ReplaceAll(best, "+", "_"), err
}

// pull reads the one layer that is the chart.
func pull(ctx context.Context, repository *remote.Repository, tag string) ([]byte, error) {
	described, err := repository.Resolve(ctx, tag)
	if err != nil {
		return nil, err
	}
	if described.Size > maxManifest {
		return nil, errTooLarge
	}
	text, err := content.FetchAll(ctx, repository, described)
	if err != nil {
		return nil, err
	}
	var manifest spec.Manifest
	if err := json.Unmarshal(text, &manifest); err != nil {
		return nil, err
	}
	for _, layer := range manifest.Layers {
		if layer.MediaType != layerType && layer.MediaType != legacyType {
			continue
		}
		if layer.Size > maxArchive {
			return nil, fault.New("more than %d MB", maxArchive>>20).Because(errTooLarge)
		}
		return content.FetchAll(ctx, repository, layer)
	}
	return nil, errors.New("it is no Helm chart")
}

// missed explains why a registry gave nothing.
func missed(where string, err error) error {
	if errors.Is(err, errdef.ErrNotFound) {
		return fault.New("there is no %s", where).Because(err).Fix("correct spec.chart, spec.repo and spec.version")
	}
	return fault.New("fetch %s", where).Because(err).
		Fix("check the address, the way there, the credentials (spec.authSecret, spec.dockerRegistrySecret) and the authority (spec.repoCA, spec.plainHTTP)")
}
