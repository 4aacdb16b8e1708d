package charts

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"sigs.k8s.io/yaml"

	"github.com/skerry-io/skerry/internal/fault"
)

// index is what is needed of a repository's index.yaml.
type index struct {
	Entries map[string][]entry `json:"entries"`
}

type entry struct {
	Version string   `json:"version"`
	URLs    []string `json:"urls"`
}

// fromRepository finds a chart in the index of a repository over http.
func (s Source) fromRepository(ctx context.Context) (Archive, error) {
	client, done, err := s.client()
	if err != nil {
		return Archive{}, err
	}
	defer done()
	home, err := url.Parse(strings.TrimSuffix(s.Repo, "/") + "/index.yaml")
	if err != nil {
		return Archive{}, fault.New("read the repository's address %q", s.Repo).Because(err).Fix("correct spec.repo")
	}
	text, err := s.get(ctx, client, home.String(), home.String(), maxIndex)
	if err != nil {
		return Archive{}, err
	}
	found, err := s.pick(text, home.String())
	if err != nil {
		return Archive{}, err
	}
	at, err := home.Parse(found.URLs[0])
	if err != nil {
		return Archive{}, fault.New("read where %s says that %s %s is", home, s.Chart, found.Version).Because(err).Fix("correct the repository's index")
	}
	if strings.HasPrefix(at.String(), ociScheme) {
		s.Version = found.Version
		return s.fromRegistry(ctx, strings.TrimPrefix(at.String(), ociScheme))
	}
	content, err := s.get(ctx, client, at.String(), home.String(), maxArchive)
	return Archive{Content: content, From: at.String()}, err
}

// pick finds the chart in an index.
func (s Source) pick(text []byte, home string) (entry, error) {
	var all index
	if err := yaml.Unmarshal(only(text, s.Chart), &all); err != nil {
		return entry{}, fault.New("read %s: it is no index of charts", home).Because(err).Fix("correct spec.repo")
	}
	have := all.Entries[s.Chart]
	if len(have) == 0 {
		return entry{}, fault.New("there is no chart %q in %s", s.Chart, home).Fix("correct spec.chart or spec.repo")
	}
	versions := make([]string, len(have))
	for i, e := range have {
		versions[i] = e.Version
	}
	best, err := newest(versions, s.Version)
	if err != nil {
		return entry{}, fault.New("find the chart %s in %s", s.Chart, home).Because(err).Fix("correct spec.version")
	}
	found := have[slices.Index(versions, best)]
	if len(found.URLs) == 0 {
		return entry{}, fault.New("%s says no address of %s %s", home, s.Chart, best).Fix("correct the repository's index")
	}
	return found, nil
}

// only cuts the lines about one chart out of an index, as public ones have tens of megabytes, which would be some
// hundreds once parsed. An index that is not laid out as Helm writes it is given as a whole.
func only(text []byte, chart string) []byte {
	if !bytes.Contains(text[:min(len(text), 64)], []byte("apiVersion:")) {
		return text
	}
	part, within := []byte("entries:\n"), false
	empty := len(part)
	for line := range bytes.Lines(text) {
		bare := bytes.TrimLeft(line, " ")
		indent := len(line) - len(bare)
		bare = bytes.TrimSpace(bare)
		if indent <= 2 && len(bare) > 0 && bare[0] != '-' {
			within = indent == 2 && strings.Trim(string(bytes.TrimSuffix(bare, []byte(":"))), `"'`) == chart
		}
		if within {
			part = append(part, line...)
		}
	}
	if len(part) == empty {
		return text
	}
	return part
}

// newest gives the highest version that is wanted: one exactly, one of a range, or any that is no prerelease.
func newest(have []string, wanted string) (string, error) {
	if wanted != "" && slices.Contains(have, wanted) {
		return wanted, nil
	}
	constraint, err := semver.NewConstraint(cmp.Or(wanted, "*"))
	if err != nil {
		return "", fmt.Errorf("the version %q: %w", wanted, err)
	}
	var best *semver.Version
	for _, text := range have {
		v, err := semver.NewVersion(text)
		if err == nil && constraint.Check(v) && (best == nil || v.GreaterThan(best)) {
			best = v
		}
	}
	if best != nil {
		return best.Original(), nil
	}
	if wanted == "" {
		return "", fmt.Errorf("it has prereleases only: %s", few(have))
	}
	return "", fmt.Errorf("there is no version %s, only %s", wanted, few(have))
}

// exact is a version that is no range.
var exact = regexp.MustCompile(`^v?[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?$`)

// few lists the first of many.
func few(versions []string) string {
	const enough = 5
	if len(versions) > enough {
		return fmt.Sprintf("%s and %d more", strings.Join(versions[:enough], ", "), len(versions)-enough)
	}
	return strings.Join(versions, ", ")
}
