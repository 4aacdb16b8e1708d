package backup

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"filippo.io/age"

	"github.com/skerry-io/skerry/internal/fault"
)

const (
	// workFactor is how hard a passphrase is to try, as a power of two. 16 takes 64 MB of memory while a file is opened or
	// sealed, which a board of 1 GB has beside a node; age's own 18 takes 256 MB.
	workFactor = 16
	// mostWork is what is accepted in a file: that of age's own tool.
	mostWork = 18
	// shortest keeps an empty or half-typed file from being a passphrase, in bytes.
	shortest = 8
	// intro is how files of age begin.
	intro = "age-encryption.org/v1\n"
	// longestSecret bounds the files of secrets, in bytes.
	longestSecret = 64 << 10
)

// Seal is what backups are sealed with.
type Seal struct{ recipients []age.Recipient }

// Key opens what was sealed.
type Key struct {
	identities []age.Identity
	passphrase bool
}

// NewSeal takes the passphrase in a file, or recipients (age1...), whose identities alone open the backup: one or the other.
func NewSeal(passphraseFile string, recipients []string) (*Seal, error) {
	switch {
	case passphraseFile != "" && len(recipients) > 0:
		return nil, fault.New("a backup is sealed with a passphrase or for recipients, not both").Fix("leave one of them out")
	case passphraseFile != "":
		phrase, err := readPassphrase(passphraseFile)
		if err != nil {
			return nil, err
		}
		r, err := age.NewScryptRecipient(phrase)
		if err != nil {
			return nil, err
		}
		r.SetWorkFactor(workFactor)
		return &Seal{recipients: []age.Recipient{r}}, nil
	case len(recipients) == 0:
		return nil, fault.New("nothing says what the backup is sealed with: it holds the keys of the cluster").
			Fix("give a file that holds a passphrase, or a recipient (age1...)")
	}
	all, err := age.ParseRecipients(strings.NewReader(strings.Join(recipients, "\n")))
	if err != nil {
		return nil, fault.New("%q is no recipient", strings.Join(recipients, " ")).Because(err).Fix("write the line that begins with age1 and was printed with the identity")
	}
	return &Seal{recipients: all}, nil
}

// NewKey takes the passphrase in a file, or the identities in one.
func NewKey(passphraseFile, identityFile string) (*Key, error) {
	switch {
	case passphraseFile != "" && identityFile != "":
		return nil, fault.New("a backup is opened by a passphrase or an identity, not both").Fix("leave one of them out")
	case passphraseFile != "":
		phrase, err := readPassphrase(passphraseFile)
		if err != nil {
			return nil, err
		}
		i, err := age.NewScryptIdentity(phrase)
		if err != nil {
			return nil, err
		}
		i.SetMaxWorkFactor(mostWork)
		return &Key{identities: []age.Identity{i}, passphrase: true}, nil
	case identityFile == "":
		return nil, fault.New("nothing says what opens the backup").Fix("give --passphrase-file, or --identity-file for one that was sealed for a recipient")
	}
	text, err := readSecret(identityFile)
	if err != nil {
		return nil, err
	}
	all, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil { // whose text may hold the secret
		return nil, fault.New("%s holds no identity", identityFile).Fix("give the file with the line that begins with AGE-SECRET-KEY-1")
	}
	return &Key{identities: all}, nil
}

// NewIdentity makes the two halves of a key: the recipient, which seals, and the text of a file, which opens.
func NewIdentity() (recipient, file string, err error) {
	made, err := age.GenerateX25519Identity()
	if err != nil {
		return "", "", err
	}
	recipient = made.Recipient().String()
	return recipient, fmt.Sprintf("# recipient: %s\n%s\n", recipient, made), nil
}

func readPassphrase(file string) (string, error) {
	text, err := readSecret(file)
	if err != nil {
		return "", err
	}
	phrase := strings.TrimRight(string(text), "\r\n")
	switch {
	case strings.ContainsAny(phrase, "\r\n"):
		return "", fault.New("the passphrase file %s has several lines", file).Fix("write the passphrase on one line")
	case len(phrase) < shortest:
		return "", fault.New("the passphrase in %s has %d characters", file, len(phrase)).Fix("write at least %d; whoever guesses it has the cluster", shortest)
	}
	return phrase, nil
}

func readSecret(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fault.New("read the secret that belongs to the backup").Because(err).Fix("give the path of a file that can be read")
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, longestSecret+1))
	if err == nil && len(text) > longestSecret {
		err = errors.New("it is too long")
	}
	if err != nil {
		return nil, fault.New("read the secret in %s", file).Because(err).Fix("give a file that holds the secret and nothing else")
	}
	return text, nil
}

// open gives what is sealed in a file.
func (k *Key) open(from io.Reader) (io.Reader, error) {
	begun := bufio.NewReader(from)
	if head, _ := begun.Peek(len(intro)); !strings.HasPrefix(intro, string(head)) || len(head) == 0 { // the end of one that is cut off tells that it is
		what := "it does not begin as one"
		if len(head) == 0 {
			what = "it is empty"
		}
		return nil, fault.New("this is no backup").Because(errors.New(what)).Fix("give a file that `skerry backup` has written; nothing was changed")
	}
	opened, err := age.Decrypt(begun, k.identities...)
	if err == nil {
		return opened, nil
	}
	var foreign *age.NoIdentityMatchError
	if !errors.As(err, &foreign) {
		return nil, wrong("%v", err)
	}
	phrased := slices.Contains(foreign.StanzaTypes, "scrypt")
	switch {
	case phrased && k.passphrase:
		return nil, fault.New("the passphrase does not open the backup").Fix("give the one that it was sealed with; nothing was changed")
	case phrased:
		return nil, fault.New("the backup was sealed with a passphrase, not for a recipient").Fix("give --passphrase-file instead of --identity-file")
	case k.passphrase:
		return nil, fault.New("the backup was sealed for a recipient, not with a passphrase").Fix("give --identity-file instead of --passphrase-file")
	}
	return nil, fault.New("the backup was sealed for another recipient").Fix("give the identity file that was made with that recipient; nothing was changed")
}
