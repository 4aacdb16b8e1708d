package wire

import (
	"errors"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/tests/certtest"
)

func TestATokenComesBackFromItsText(t *testing.T) {
	ca, other := certtest.CA(t, "ca"), certtest.CA(t, "ca")
	made := NewToken(ca.Certificate)
	again, err := ParseToken("  " + made.String() + "\n")
	if err != nil || again != made {
		t.Fatalf("got %v, %v; want %v", again, err, made)
	}
	if !again.Trusts(ca.Certificate) || again.Trusts(other.Certificate) {
		t.Error("the token does not tell authorities apart")
	}
	if second := NewToken(ca.Certificate); second.Secret == made.Secret || len(second.Secret) < 20 {
		t.Errorf("the secret %q can be guessed", second.Secret)
	}
}

func TestParseToken(t *testing.T) {
	hash := strings.Repeat("0f", 32)
	for name, c := range map[string]struct {
		text string
		want Token
		err  string
	}{
		"a secret of the user's":         {"hunter2", Token{Secret: "hunter2"}, ""},
		"a secret with the separator":    {"a::b", Token{Secret: "a::b"}, ""},
		"a full one":                     {"SK1" + hash + "::x", Token{hash, "x"}, ""},
		"a full one in capitals":         {"SK1" + strings.ToUpper(hash) + "::x", Token{hash, "x"}, ""},
		"a secret inside with separator": {"SK1" + hash + "::x::y", Token{hash, "x::y"}, ""},
		"nothing":                        {" \n", Token{}, "empty"},
		"cut off inside the fingerprint": {"SK1" + hash[:20], Token{}, "damaged"},
		"cut off before the separator":   {"SK1" + hash, Token{}, "damaged"},
		"cut off before the secret":      {"SK1" + hash + "::", Token{}, "damaged"},
		"a fingerprint too long":         {"SK1" + hash + "00::x", Token{}, "damaged"},
		"a fingerprint that is none":     {"SK1" + strings.Repeat("xy", 32) + "::x", Token{}, "damaged"},
	} {
		got, err := ParseToken(c.text)
		if c.err == "" && (err != nil || got != c.want) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
		var told *fault.Fault
		if c.err != "" && (!errors.As(err, &told) || !strings.Contains(err.Error(), c.err) || told.Cure() == "") {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
		if err != nil && strings.Contains(err.Error(), hash[:20]) {
			t.Errorf("%s: the error shows the token: %v", name, err)
		}
	}
}

func TestATokenWithoutAFingerprintTrustsAll(t *testing.T) {
	if !(Token{Secret: "x"}).Trusts(certtest.CA(t, "ca").Certificate) {
		t.Error("a secret alone trusts nobody")
	}
}

func TestAShortLivedToken(t *testing.T) {
	hash := strings.Repeat("0f", 32)
	made := NewBootstrap(hash)
	again, err := ParseToken(made.String())
	if err != nil || again != made {
		t.Errorf("got %v, %v; want %v", again, err, made)
	}
	if id, secret, ok := again.Bootstrap(); !ok || id+"."+secret != made.Secret || len(id) != 6 || len(secret) != 16 {
		t.Errorf("%q comes apart as %q, %q, %t", made.Secret, id, secret, ok)
	}
	if NewBootstrap(hash) == made {
		t.Error("two are the same")
	}
	if alone := NewBootstrap(""); alone.String() != alone.Secret {
		t.Errorf("without a CA it is written %q", alone)
	}
	for _, other := range []string{"", "hunter2", "abcdef.0123456789abcde", "abcdef.0123456789abcdefg", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcdef\n", "x.abcdef.0123456789abcdef"} {
		if _, _, ok := (Token{Secret: other}).Bootstrap(); ok {
			t.Errorf("%q is taken for a short-lived token", other)
		}
	}
}
