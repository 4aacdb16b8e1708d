package wire

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/fault"
)

// tokenMark opens a full token; the digit is the version of the form.
const tokenMark = "SK1"

// Token is a secret that lets a node join, with the fingerprint of the CA it may be told to.
type Token struct {
	CAHash string // SHA-256 of the server CA's certificate, hexadecimal; empty when only a secret was given
	Secret string
}

// NewToken makes a random secret bound to ca.
func NewToken(ca *x509.Certificate) Token {
	return Token{CAHash: certs.Fingerprint(ca), Secret: rand.Text()}
}

// Kubernetes' own form of a short-lived token: an id that may be shown, and what has to stay secret.
const (
	idLength         = 6
	bootstrapLetters = 16
)

var bootstrapForm = regexp.MustCompile(`^([a-z0-9]{6})\.([a-z0-9]{16})$`)

// NewBootstrap makes a random secret in the form of a short-lived token, bound to the CA with this fingerprint. It means
// nothing until its Secret lies in the cluster.
func NewBootstrap(caHash string) Token {
	// 32 letters for 36: what is left out costs less than a letter of the secret's strength.
	letters := strings.ToLower(rand.Text())
	return Token{CAHash: caHash, Secret: letters[:idLength] + "." + letters[idLength:idLength+bootstrapLetters]}
}

// Bootstrap takes a short-lived token apart; ok says that the secret has its form.
func (t Token) Bootstrap() (id, secret string, ok bool) {
	parts := bootstrapForm.FindStringSubmatch(t.Secret)
	if parts == nil {
		return "", "", false
	}
	return parts[1], parts[2], true
}

// String is the text form: SK1<ca hash>::<secret>, or the secret alone when no CA is known.
func (t Token) String() string {
	if t.CAHash == "" {
		return t.Secret
	}
	return tokenMark + t.CAHash + "::" + t.Secret
}

// ParseToken reads the text form. A text that does not open with its mark is a secret that the user chose.
func ParseToken(text string) (Token, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Token{}, fault.New("the token is empty").Fix("take the content of the server's token file")
	}
	rest, marked := strings.CutPrefix(text, tokenMark)
	if !marked {
		return Token{Secret: text}, nil
	}
	hash, secret, _ := strings.Cut(rest, "::")
	if sum, err := hex.DecodeString(hash); err != nil || len(sum) != sha256.Size || secret == "" {
		return Token{}, fault.New("the token is damaged: it opens with %s, but is not %s<64 hexadecimal digits>::<secret>", tokenMark, tokenMark).
			Fix("copy the whole line from the server's token file; a secret of your own must not open with %s", tokenMark)
	}
	return Token{CAHash: strings.ToLower(hash), Secret: secret}, nil
}

// Trusts says whether a server with this CA is the one the token was made by; a token without a fingerprint trusts all.
func (t Token) Trusts(ca *x509.Certificate) bool {
	return t.CAHash == "" || t.CAHash == certs.Fingerprint(ca)
}
