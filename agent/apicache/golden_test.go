package apicache

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	flags "flag"
	"os"
	"testing"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const earlierFile = "testdata/objects-1"

// A package variable, because flags have to be known before the tests begin.
var write = flags.Bool("write", false, "write a cache file of this build, for the builds to come")

// earlierKey is the key of the node that wrote the file.
func earlierKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	secret := sha256.Sum256([]byte("the node of an earlier build"))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), secret[:])
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestAFileOfAnEarlierBuildOpens: a node that gets another build while it is away goes on with what the one before has kept. A
// change that breaks this is one of the format; then another file is written, with the new format in its name.
func TestAFileOfAnEarlierBuildOpens(t *testing.T) {
	key := earlierKey(t)
	withKey := func(c *Config) { c.Key = key }
	if *write {
		n := filled(t)
		n.key = key
		n.boot(withKey)
		n.server.set("/api/v1/secrets", &core.SecretList{}, &core.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "s"}, Data: map[string][]byte{"word": []byte("kept")}})
		if _, err := n.as(selfUser, mediaBin).CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
		names(t, n.as(selfUser, mediaBin))
		n.reboot(withKey)
		text, err := os.ReadFile(n.file())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(earlierFile, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(earlierFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(text, []byte(magic+format)) {
		t.Fatalf("this build writes another format; write a file of it with -write")
	}
	n := newNode(t)
	if err := os.WriteFile(n.file(), text, 0o600); err != nil {
		t.Fatal(err)
	}
	n.boot(withKey)
	if got := n.knows(); got != "a b" {
		t.Errorf("it knows %q", got)
	}
	secret, err := n.as(selfUser, mediaJSON).CoreV1().Secrets("default").Get(t.Context(), "s", metav1.GetOptions{})
	if err != nil || string(secret.Data["word"]) != "kept" {
		t.Errorf("the secret: %v, %v", secret, err)
	}
}
