package charts

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"

	"oras.land/oras-go/v2/registry"

	"github.com/skerry-io/skerry/internal/fault"
)

// Source says where a chart is, in the words of a HelmChart.
type Source struct {
	Content string // the archive in base64; when set, nothing else counts
	Chart   string // a name in Repo, a URL, or a file of the static folder
	Repo    string // http://, https:// or oci://; may be empty
	Version string // exact, a range, or empty for the newest that is no prerelease
	Access
}

// Access is how a repository is reached.
type Access struct {
	Username, Password string
	// Everywhere sends them to other hosts too, where a repository says that its archives are.
	Everywhere bool
	// Registries are credentials by registry, as in a Docker configuration file.
	Registries map[string]Login
	// CA are certificates in PEM that are trusted instead of the host's.
	CA []byte
	// Insecure takes any certificate.
	Insecure bool
	// PlainHTTP speaks to OCI registries without TLS.
	PlainHTTP bool
}

// Login is a user of one registry.
type Login struct{ Username, Password string }

// Archive is a packed chart.
type Archive struct {
	Content []byte
	From    string // where it was found
}

// maxArchive and maxIndex bound what is read into memory, in bytes.
const (
	maxArchive = 32 << 20
	maxIndex   = 64 << 20
)

// Fetcher fetches charts.
type Fetcher struct {
	Static string // the folder that k3s serves at /static/
}

// Fetch gives the archive that a source names.
func (f Fetcher) Fetch(ctx context.Context, s Source) (Archive, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if s.Content != "" {
		return s.unpacked()
	}
	if file, is := staticPath(f.Static, s); is {
		return f.file(file)
	}
	switch {
	case s.Chart == "":
		return Archive{}, fault.New("the object names no chart").Fix("set spec.chart or spec.chartContent")
	case strings.HasPrefix(s.Chart, ociScheme):
		return s.fromRegistry(ctx, strings.TrimPrefix(s.Chart, ociScheme))
	case isWeb(s.Chart):
		return s.fromURL(ctx, s.Chart)
	case strings.HasPrefix(s.Repo, ociScheme):
		return s.fromRegistry(ctx, strings.TrimSuffix(strings.TrimPrefix(s.Repo, ociScheme), "/")+"/"+s.Chart)
	case isWeb(s.Repo):
		return s.fromRepository(ctx)
	case s.Repo != "":
		return Archive{}, fault.New("the repository %q cannot be used", s.Repo).Fix("give an address that begins with https://, http:// or oci://")
	}
	return Archive{}, fault.New("there is no repository for the chart %q", s.Chart).
		Fix("set spec.repo, or give a URL, oci:// reference, or a .tgz file below %s as spec.chart", f.Static)
}

// Stamp is the same as long as a source names the same chart, as far as can be told without the network.
func (f Fetcher) Stamp(s Source) string {
	sum := sha256.New()
	switch file, is := staticPath(f.Static, s); {
	case s.Content != "":
		sum.Write([]byte(s.Content))
	case is:
		if a, err := f.file(file); err == nil {
			sum.Write(a.Content)
		}
	default:
		sum.Write([]byte(s.Chart + "\n" + s.Repo + "\n" + s.Version))
	}
	return hex.EncodeToString(sum.Sum(nil))
}

var errTooLarge = errors.New("it is too large")

func (s Source) unpacked() (Archive, error) {
	content, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s.Content), ""))
	if err != nil {
		return Archive{}, fault.New("decode spec.chartContent").Because(err).Fix("give the .tgz file as: base64 -w0 CHART.tgz")
	}
	return Archive{Content: content, From: "spec.chartContent"}, nil
}

func isWeb(address string) bool {
	return strings.HasPrefix(address, "http://") || strings.HasPrefix(address, "https://")
}

const ociScheme = "oci://"

// loginFor gives the credentials for an OCI registry.
func (a Access) loginFor(host string) Login {
	if a.Username != "" || a.Password != "" {
		return Login{a.Username, a.Password}
	}
	return a.Registries[host]
}

// parseReference reads HOST/PATH[:TAG|@DIGEST].
func parseReference(text string) (registry.Reference, error) {
	r, err := registry.ParseReference(text)
	if err != nil {
		return r, fault.New("read the reference %s%s", ociScheme, text).Because(err).Fix("write oci://HOST/PATH, in small letters")
	}
	return r, nil
}
