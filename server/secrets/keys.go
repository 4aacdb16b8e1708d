package secrets

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiserver "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	"k8s.io/apiserver/pkg/storage/value/encrypt/secretbox"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

const (
	// keyLength is that of a secretbox key, in bytes.
	keyLength = 32
	// encrypted opens every value that is not plain, as kube-apiserver writes it.
	encrypted = "k8s:enc:"
	// boxed opens those of ours; the key's name and a colon follow.
	boxed = encrypted + "secretbox:v1:"
)

// key is one that Secrets are stored under.
type key struct {
	name   string // keyNUMBER-LETTERS; the number says which came later
	secret [keyLength]byte
}

// keys are what the file says: all of them can be read with, and so can plain Secrets.
type keys struct {
	plain bool  // Secrets are written as they are
	all   []key // the first is written with; never empty
}

// newKey makes one that comes after a number. The letters tell keys apart that two servers, or two lives of one, made.
func newKey(after int) key {
	k := key{name: fmt.Sprintf("key%d-%s", after+1, strings.ToLower(rand.Text()[:8]))}
	_, _ = rand.Read(k.secret[:]) // it ends the process rather than return an error
	return k
}

// number is which key it is; 0 where the name is none of ours.
func (k key) number() int {
	digits, _, _ := strings.Cut(strings.TrimPrefix(k.name, "key"), "-")
	number, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return number
}

// firstKeys are those of a new cluster.
func firstKeys() keys { return keys{all: []key{newKey(0)}} }

func (k keys) names() []string {
	names := make([]string, len(k.all))
	for i, one := range k.all {
		names[i] = one.name
	}
	return names
}

// writes is the name that new values are under.
func (k keys) writes() string {
	if k.plain {
		return wire.SecretsPlain
	}
	return k.all[0].name
}

// newest is the place of the key that was made last.
func (k keys) newest() int {
	at := 0
	for i, one := range k.all {
		if one.number() > k.all[at].number() {
			at = i
		}
	}
	return at
}

// stage says how far a rotation is: wire.SecretsSteady, SecretsReading or SecretsWriting.
func (k keys) stage() string {
	switch {
	case k.plain || len(k.all) == 1:
		return wire.SecretsSteady
	case k.newest() == 0:
		return wire.SecretsWriting
	}
	return wire.SecretsReading
}

// withNew adds a key to read with.
func (k keys) withNew() keys {
	return keys{plain: k.plain, all: append(slices.Clone(k.all), newKey(k.all[k.newest()].number()))}
}

// promoted writes with the key that was made last.
func (k keys) promoted() keys {
	at := k.newest()
	return keys{plain: k.plain, all: slices.Concat(k.all[at:at+1], k.all[:at], k.all[at+1:])}
}

// alone forgets all keys but the one that is written with.
func (k keys) alone() keys { return keys{plain: k.plain, all: k.all[:1:1]} }

// with keeps the keys of ours that theirs have lost, because two servers began a rotation at the same moment: something may be
// under them. Older ones than the newest of theirs are gone on purpose, and so are all when theirs is one that we know.
func (k keys) with(ours keys) keys {
	if len(k.all) == 1 && slices.Contains(ours.names(), k.all[0].name) {
		return k
	}
	all := slices.Clone(k.all)
	for _, one := range ours.all {
		if !slices.Contains(k.names(), one.name) && one.number() >= k.all[k.newest()].number() {
			all = append(all, one)
		}
	}
	return keys{plain: k.plain, all: all}
}

// transformer is what the API server writes and reads values with.
func (k keys) transformer() value.Transformer {
	plain := value.PrefixTransformer{Transformer: identity.NewEncryptCheckTransformer()}
	var all []value.PrefixTransformer
	if k.plain {
		all = append(all, plain)
	}
	for _, one := range k.all {
		all = append(all, value.PrefixTransformer{Prefix: []byte(boxed + one.name + ":"), Transformer: secretbox.NewSecretboxTransformer(one.secret)})
	}
	if !k.plain {
		all = append(all, plain)
	}
	return value.NewPrefixTransformers(fmt.Errorf("it is stored under none of the keys %s", strings.Join(k.names(), ", ")), all...)
}

// nameOf says what a stored value is under: the name of a key of ours, wire.SecretsPlain, or another encryption with its name.
func nameOf(stored []byte) string {
	if !bytes.HasPrefix(stored, []byte(encrypted)) {
		return wire.SecretsPlain
	}
	if rest, ours := bytes.CutPrefix(stored, []byte(boxed)); ours {
		if name, _, whole := bytes.Cut(rest[:min(len(rest), 100)], []byte(":")); whole {
			return string(name)
		}
	}
	parts := bytes.SplitN(stored[:min(len(stored), 200)], []byte(":"), 6)
	return string(bytes.Join(parts[:min(len(parts), 5)], []byte(":")))
}

const (
	fileKind, fileVersion = "EncryptionConfiguration", "apiserver.config.k8s.io/v1"
	resource              = "secrets"
)

// encode gives the file's content, which kube-apiserver reads too.
func (k keys) encode() ([]byte, error) {
	box := &apiserver.SecretboxConfiguration{}
	for _, one := range k.all {
		box.Keys = append(box.Keys, apiserver.Key{Name: one.name, Secret: base64.StdEncoding.EncodeToString(one.secret[:])})
	}
	providers := []apiserver.ProviderConfiguration{{Secretbox: box}, {Identity: &apiserver.IdentityConfiguration{}}}
	if k.plain {
		slices.Reverse(providers)
	}
	text, err := json.MarshalIndent(apiserver.EncryptionConfiguration{
		TypeMeta:  meta.TypeMeta{Kind: fileKind, APIVersion: fileVersion},
		Resources: []apiserver.ResourceConfiguration{{Resources: []string{resource}, Providers: providers}},
	}, "", "  ")
	return append(text, '\n'), err
}

// decode reads the file. What is in it and not understood is an error: it may be all that Secrets can be read with.
func decode(text []byte) (keys, error) {
	var file apiserver.EncryptionConfiguration
	strict := json.NewDecoder(bytes.NewReader(text))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&file); err != nil {
		return keys{}, err
	}
	if file.Kind != fileKind || file.APIVersion != fileVersion || len(file.Resources) != 1 || !slices.Equal(file.Resources[0].Resources, []string{resource}) {
		return keys{}, fault.New("it is no %s of %s for %s alone", fileKind, fileVersion, resource)
	}
	providers := file.Resources[0].Providers
	if len(providers) != 2 {
		return keys{}, fault.New("it names %d providers, not secretbox and identity", len(providers))
	}
	k := keys{plain: providers[0].Identity != nil}
	box := providers[0]
	if k.plain {
		box = providers[1]
	}
	if box.Secretbox == nil || (providers[0].Identity == nil) == (providers[1].Identity == nil) || len(box.Secretbox.Keys) == 0 {
		return keys{}, fault.New("it has other providers than secretbox, with a key, and identity")
	}
	for _, one := range box.Secretbox.Keys {
		secret, err := base64.StdEncoding.DecodeString(one.Secret)
		if err != nil || len(secret) != keyLength || one.Name == "" || strings.Contains(one.Name, ":") || slices.Contains(k.names(), one.Name) {
			return keys{}, fault.New("its key %q is not a name of its own with %d bytes in base64", one.Name, keyLength)
		}
		k.all = append(k.all, key{one.Name, [keyLength]byte(secret)})
	}
	return k, nil
}
