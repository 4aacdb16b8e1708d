package images

import (
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// nameOf is the name that an entry of an archive's index carries, as the kubelet would look it up, or "" for none.
// A bare word as the OCI name is a tag, and a tag alone does not name an image.
func nameOf(annotations map[string]string) (string, error) {
	name := annotations[images.AnnotationImageName]
	if name == "" {
		if name = annotations[ocispec.AnnotationRefName]; !strings.ContainsAny(name, ":/@") {
			return "", nil
		}
	}
	return normal(name)
}

// normal completes a name: "redis" is docker.io/library/redis:latest.
func normal(name string) (string, error) {
	ref, err := reference.ParseDockerRef(name)
	if err != nil {
		return "", fmt.Errorf("%q is no image name: %w", name, err)
	}
	return ref.String(), nil
}

// aliases are the names an image needs: the identity that the runtime finds it by, name@digest for pods that ask for
// that, and the name itself, last, since it is what others wait for.
func aliases(name string, target, config digest.Digest) ([]string, error) {
	ref, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return nil, err
	}
	all := []string{config.String(), reference.TrimNamed(ref).String() + "@" + target.String()}
	if !slices.Contains(all, name) {
		all = append(all, name)
	}
	return all, nil
}

// names are the names of images for people: not identities and digests, unless there is nothing else.
func names(all []Image) []string {
	var list []string
	for _, image := range all {
		if !strings.Contains(image.Name, "@") && !strings.HasPrefix(image.Name, "sha256:") {
			list = append(list, image.Name)
		}
	}
	return list
}
