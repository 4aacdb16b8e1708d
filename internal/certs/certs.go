package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"time"

	"github.com/skerry-io/skerry/internal/version"
)

// How long certificates live.
const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 365 * 24 * time.Hour
)

// now is the machine's time, but never before this program existed: machines without a clock of their own need certificates too.
func now() time.Time {
	if t := time.Now(); t.After(version.Earliest()) {
		return t
	}
	return version.Earliest()
}

// CA is a certificate authority that can sign.
type CA struct {
	Certificate *x509.Certificate
	Key         *ecdsa.PrivateKey
}

// Subject is what a leaf says about its holder.
type Subject struct {
	Name   string   // common name: the user, for a client certificate
	Groups []string // organizations: the user's groups
	DNS    []string
	IPs    []netip.Addr
	Server bool // for serving
	Client bool // for authenticating as a client
}

// NewKey makes a private key (ECDSA P-256: small, and fast on an ARM board).
func NewKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// NewCA makes a self-signed authority of a key, valid for ten years. Made again with the same name and key, it is
// trusted by whoever trusted the first, and the other way round.
func NewCA(name string, key *ecdsa.PrivateKey) (*CA, error) {
	template, err := blankCA(name, caLife)
	if err != nil {
		return nil, err
	}
	return selfSigned(template, key)
}

func blankCA(name string, life time.Duration) (*x509.Certificate, error) {
	template, err := blank(pkix.Name{CommonName: name}, life)
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign
	return template, nil
}

func selfSigned(template *x509.Certificate, key *ecdsa.PrivateKey) (*CA, error) {
	cert, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &CA{Certificate: cert, Key: key}, nil
}

// Expired says that the authority's certificate no longer counts.
func (ca *CA) Expired() bool { return now().After(ca.Certificate.NotAfter) }

// Sign issues a leaf for the holder of public, valid for a year.
func (ca *CA) Sign(s Subject, public crypto.PublicKey) (*x509.Certificate, error) {
	return ca.SignFor(leafLife, s, public)
}

// SignFor issues a leaf that is valid for life from now; for a year with 0.
func (ca *CA) SignFor(life time.Duration, s Subject, public crypto.PublicKey) (*x509.Certificate, error) {
	template, err := blank(pkix.Name{CommonName: s.Name, Organization: s.Groups}, Life(life))
	if err != nil {
		return nil, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	template.DNSNames = s.DNS
	for _, ip := range s.IPs {
		template.IPAddresses = append(template.IPAddresses, ip.Unmap().AsSlice())
	}
	if s.Server {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if s.Client {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	return sign(template, ca.Certificate, public, ca.Key)
}

// NewOwnCA makes an authority of a key that has no end, and can vouch for nothing but these names and addresses. Nobody trusts it
// who was not given it.
func NewOwnCA(name string, key *ecdsa.PrivateKey, dns []string, ips []netip.Addr) (*CA, error) {
	template, err := blankCA(name, caLife)
	if err != nil {
		return nil, err
	}
	template.NotAfter = time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC) // which means that there is none
	template.PermittedDNSDomains = dns
	for _, ip := range ips {
		ip = ip.Unmap()
		template.PermittedIPRanges = append(template.PermittedIPRanges, &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(ip.BitLen(), ip.BitLen())})
	}
	return selfSigned(template, key)
}

// blank is a certificate for life from now. It is valid from the epoch on, so that a board that boots in 1970 can use it.
func blank(name pkix.Name, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	return &x509.Certificate{SerialNumber: serial, Subject: name, NotBefore: time.Unix(0, 0).UTC(), NotAfter: now().Add(life).UTC()}, err
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Expiring says that less than a third of the life is left that a certificate of its kind gets here.
func Expiring(c *x509.Certificate) bool {
	life := leafLife
	if c.IsCA {
		life = caLife
	}
	return now().After(c.NotAfter.Add(-life / 3))
}

// Worn says that less than a third is left of the life that a leaf was given, a year with 0.
func Worn(c *x509.Certificate, life time.Duration) bool {
	return now().After(c.NotAfter.Add(-Life(life) / 3))
}

// Life is what a setting of a leaf's life means: a year when it is 0.
func Life(life time.Duration) time.Duration {
	if life <= 0 {
		return leafLife
	}
	return life
}

// Over says that a certificate does not count any more.
func Over(c *x509.Certificate) bool { return now().After(c.NotAfter) }

// Fingerprint is the SHA-256 of the certificate in hexadecimal.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// EncodeCert gives PEM.
func EncodeCert(certs ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

// DecodeCert reads the first certificate of a PEM text.
func DecodeCert(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("no certificate in PEM form")
	}
	return x509.ParseCertificate(block.Bytes)
}

// EncodeKey gives PEM in SEC 1 form, which all of Kubernetes' programs read.
func EncodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), err
}

// DecodeKey reads what EncodeKey wrote.
func DecodeKey(text []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no private key in PEM form")
	}
	return x509.ParseECPrivateKey(block.Bytes)
}
