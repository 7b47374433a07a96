// Package pki is the site's own certificate authority: it vouches for the
// controllers to everybody, and for the nodes to the controllers. Everything
// in it is ECDSA P-256.
//
// Not here: who is let in by what certificate (identity), and where tokens are
// kept (control).
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/berth-net/berth/internal/disk"
)

// How long certificates are good. A certificate is good a little before it was
// made, for those whose clock is behind.
const (
	caLife     = 20 * 365 * 24 * time.Hour
	nodeLife   = 365 * 24 * time.Hour
	serverLife = 90 * 24 * time.Hour
	behind     = time.Hour
)

// The types of PEM blocks.
const (
	blockCert = "CERTIFICATE"
	blockKey  = "PRIVATE KEY"
	blockCSR  = "CERTIFICATE REQUEST"
)

// CA signs. It is never changed.
type CA struct {
	cert *x509.Certificate
	key  crypto.Signer
	pem  []byte
}

// Open reads the CA from ca.crt and ca.key of a directory, or makes it there.
func Open(dir string, now time.Time) (*CA, error) {
	cert, key := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")
	if _, err := os.Stat(cert); errors.Is(err, fs.ErrNotExist) {
		// Also when the key is there: it was about to be made.
		return newCA(cert, key, now)
	}
	return Load(cert, key)
}

func newCA(certFile, keyFile string, now time.Time) (*CA, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "berth site " + now.UTC().Format("2006-01-02")},
		NotBefore: now.Add(-behind), NotAfter: now.Add(caLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	der, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make the site's CA: %w", err)
	}
	// The key first: without its certificate nobody can have trusted it yet.
	if err := disk.Replace(keyFile, encode(blockKey, keyDER)); err != nil {
		return nil, fmt.Errorf("keep the site's CA: %w", err)
	}
	if err := disk.Replace(certFile, encode(blockCert, der)); err != nil {
		return nil, fmt.Errorf("keep the site's CA: %w", err)
	}
	return Load(certFile, keyFile)
}

// Load reads a CA that was made elsewhere: several replicas share one.
func Load(certFile, keyFile string) (*CA, error) {
	certPEM, err := os.ReadFile(certFile)
	if err != nil {
		return nil, fmt.Errorf("the site's CA: %w", err)
	}
	st, err := os.Stat(keyFile)
	if err != nil {
		return nil, fmt.Errorf("the site's CA: %w", err)
	}
	if st.Mode().Perm()&0o027 != 0 {
		return nil, fmt.Errorf("%s has mode %#o: others may read it or its group change it; want 0600 or 0640", keyFile, st.Mode().Perm())
	}
	keyPEM, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("the site's CA: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", certFile, keyFile, err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("%s is not the certificate of a CA", certFile)
	}
	return &CA{cert: pair.Leaf, key: signer, pem: encode(blockCert, pair.Leaf.Raw)}, nil
}

// PEM is the CA's certificate.
func (c *CA) PEM() []byte { return c.pem }

// Certificate is the CA's.
func (c *CA) Certificate() *x509.Certificate { return c.cert }

// Pool trusts the CA alone.
func (c *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.cert)
	return pool
}

// Fingerprint is the SHA-256 of the certificate in hex; it ends every token.
func (c *CA) Fingerprint() string { return hash(c.cert.Raw) }

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return key, nil
}

// sign gives the template a serial number and signs it.
func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) ([]byte, error) {
	var serial [16]byte
	if _, err := rand.Read(serial[:]); err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	serial[0] = serial[0]&0x7f | 0x40 // positive, and always of one length (RFC 5280 section 4.1.2.2)
	template.SerialNumber = new(big.Int).SetBytes(serial[:])
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	return der, nil
}

func encode(block string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: block, Bytes: der})
}
