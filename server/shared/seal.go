package shared

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/scrypt"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/fault"
)

// authority is the file by whose key a cluster is told from others.
const authority = "tls/server-ca.key"

// Files are contents by their paths. One that does not exist is not among them.
type Files map[string][]byte

// envelope is the value in the datastore. Two can open it: a server that runs, as it has the authority's key, from which the
// content's key is made; and who has the server token, as that opens the content's key.
type envelope struct {
	Version int    `json:"version"`
	Cluster string `json:"cluster"` // see clusterOf
	Salt    []byte `json:"salt"`    // of the token
	Key     []byte `json:"key"`     // the content's key, sealed with the token
	Content []byte `json:"content"` // Files in JSON, sealed with that key
}

// version is that of the form. A later release that writes another one is not understood.
const version = 1

// How much work it is to try a token: about 8 MiB and 100 ms of a small board. Tokens that nobody chose need none of it.
const (
	scryptN, scryptR, scryptP = 1 << 13, 8, 4
	saltSize                  = 16
)

// What a sealed text is for; it cannot be taken for another.
const (
	forContent = "skerry shared content"
	forKey     = "skerry shared key"
)

// errUnopened says that a sealed text is not for this key, or was altered.
var errUnopened = errors.New("it does not open with this key")

// seal packs files for those who have the authority's key, which is among them, or the secret.
func seal(files Files, secret string) ([]byte, error) {
	cluster, key, err := clusterOf(files)
	if err != nil {
		return nil, err
	}
	e := envelope{Version: version, Cluster: cluster, Salt: make([]byte, saltSize)}
	_, _ = rand.Read(e.Salt) // never fails
	if e.Key, err = sealText(secretKey(secret, e.Salt), key, forKey+cluster); err != nil {
		return nil, err
	}
	text, err := json.Marshal(files)
	if err != nil {
		return nil, err
	}
	if e.Content, err = sealText(key, text, forContent+cluster); err != nil {
		return nil, err
	}
	return json.Marshal(e)
}

// read takes a value apart without opening it.
func read(value []byte) (e envelope, err error) {
	if err := json.Unmarshal(value, &e); err != nil {
		return e, fault.New("read what the cluster's servers share").Because(err).Fix("restore the datastore from a backup: the key %s is damaged", Key)
	}
	if e.Version != version {
		return e, fault.New("what the cluster's servers share has the form %d, and this release knows %d", e.Version, version).
			Fix("start the release that the other servers run")
	}
	return e, nil
}

// byOwn opens an envelope with what a server of the cluster has.
func (e envelope) byOwn(own Files) (Files, error) {
	cluster, key, err := clusterOf(own)
	if err != nil {
		return nil, err
	}
	if cluster != e.Cluster {
		return nil, fault.New("the datastore belongs to another cluster: its servers have the authority %.16s, and this one %.16s", e.Cluster, cluster).
			Fix("correct the address of the datastore; or, to make this machine a server of that cluster, run `skerry reset` here and start it with that cluster's token")
	}
	return e.open(key)
}

// byToken opens an envelope with the server token's secret.
func (e envelope) byToken(secret string) (Files, error) {
	key, err := openText(secretKey(secret, e.Salt), e.Key, forKey+e.Cluster)
	if errors.Is(err, errUnopened) {
		return nil, fault.New("the token is not the one of the cluster that the datastore belongs to").
			Fix("set token to the content of server/token in the data directory of another server of that cluster; or correct the address of the datastore")
	}
	if err != nil {
		return nil, err
	}
	return e.open(key)
}

func (e envelope) open(key []byte) (Files, error) {
	text, err := openText(key, e.Content, forContent+e.Cluster)
	if err != nil {
		return nil, fault.New("open what the cluster's servers share").Because(err).Fix("restore the datastore from a backup: the key %s was altered", Key)
	}
	var files Files
	if err := json.Unmarshal(text, &files); err != nil {
		return nil, fmt.Errorf("what the cluster's servers share: %w", err)
	}
	return files, nil
}

// clusterOf says whose the files are, by the public half of the authority's key, and makes the content's key of the private one.
func clusterOf(files Files) (cluster string, key []byte, err error) {
	authority, err := certs.DecodeKey(files[authority])
	if err != nil {
		return "", nil, fmt.Errorf("the key of the servers' authority: %w", err)
	}
	private, err := authority.Bytes()
	if err != nil {
		return "", nil, err
	}
	public, err := authority.PublicKey.Bytes()
	if err != nil {
		return "", nil, err
	}
	sum := sha256.Sum256(public)
	key, err = hkdf.Key(sha256.New, private, nil, forContent, chacha20poly1305.KeySize)
	return hex.EncodeToString(sum[:]), key, err
}

func secretKey(secret string, salt []byte) []byte {
	key, err := scrypt.Key([]byte(secret), salt, scryptN, scryptR, scryptP, chacha20poly1305.KeySize)
	if err != nil {
		return nil // only for parameters that are none; a key of no length is refused
	}
	return key
}

func sealText(key, text []byte, purpose string) ([]byte, error) {
	box, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, box.NonceSize(), box.NonceSize()+len(text)+box.Overhead())
	_, _ = rand.Read(nonce) // never fails
	return box.Seal(nonce, nonce, text, []byte(purpose)), nil
}

func openText(key, sealed []byte, purpose string) ([]byte, error) {
	box, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, err
	}
	if len(sealed) < box.NonceSize() {
		return nil, errUnopened
	}
	text, err := box.Open(nil, sealed[:box.NonceSize()], sealed[box.NonceSize():], []byte(purpose))
	if err != nil {
		return nil, errUnopened
	}
	return text, nil
}
