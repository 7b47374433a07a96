package controller

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/disk"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/client"
	"github.com/berth-net/berth/internal/rest/wire"
)

// DefaultDir is where a node keeps what it was enrolled with.
const DefaultDir = "/var/lib/berth/controller"

// The files in it. The last to be written is the certificate: without it a node
// is not enrolled.
const (
	keyFile         = "node.key"    // PEM, PKCS #8; it never leaves the node
	certificateFile = "node.crt"    // PEM
	caFile          = "ca.crt"      // PEM, of the site
	controllersFile = "controllers" // URLs, one a line; # begins a comment
	setFile         = "set"         // the journal
	forceFile       = "force"       // the operator's word for one set that takes most away
)

// credentials are what a node was enrolled with.
type credentials struct {
	node string
	pair tls.Certificate
	ca   []byte
	urls []string
	made [sha256.Size]byte // of all files: told apart from others
}

// site is the fingerprint of the CA.
func (c *credentials) site() string {
	block, _ := pem.Decode(c.ca)
	if block == nil {
		return ""
	}
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:])
}

// renewal is when the certificate is to be renewed: at two thirds of its life.
func (c *credentials) renewal() time.Time {
	leaf := c.pair.Leaf
	return leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 3 * 2)
}

// errNotEnrolled is of a directory without a certificate.
var errNotEnrolled = errors.New("the node is not enrolled")

// readCredentials reads what Enrol wrote.
func readCredentials(dir string) (*credentials, error) {
	var data [4][]byte
	for i, file := range []string{certificateFile, keyFile, caFile, controllersFile} {
		var err error
		data[i], err = os.ReadFile(filepath.Join(dir, file))
		if errors.Is(err, fs.ErrNotExist) && i == 0 {
			return nil, errNotEnrolled
		}
		if err != nil {
			return nil, err
		}
	}
	pair, err := tls.X509KeyPair(data[0], data[1])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, certificateFile), err)
	}
	c := &credentials{pair: pair, ca: data[2], urls: lines(data[3]), made: sha256.Sum256(bytes.Join(data[:], nil))}
	node, ok := nodeOf(pair.Leaf)
	switch {
	case !ok:
		return nil, fmt.Errorf("%s: it is no certificate of a node", filepath.Join(dir, certificateFile))
	case c.site() == "":
		return nil, fmt.Errorf("%s: there is no PEM certificate in it", filepath.Join(dir, caFile))
	case len(c.urls) == 0:
		return nil, fmt.Errorf("%s: there is no URL in it", filepath.Join(dir, controllersFile))
	}
	c.node = node
	return c, nil
}

// nodeOf is the node that a certificate is of: it has one name, a URI.
func nodeOf(leaf *x509.Certificate) (string, bool) {
	if len(leaf.URIs) != 1 {
		return "", false
	}
	node, ok := strings.CutPrefix(leaf.URIs[0].String(), "spiffe://berth/node/")
	return node, ok && fleet.ValidName(node)
}

func lines(data []byte) []string {
	var all []string
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		text, _, _ := strings.Cut(s.Text(), "#")
		if text = strings.TrimSpace(text); text != "" {
			all = append(all, text)
		}
	}
	return all
}

// Enrolment is what came of Enrol.
type Enrolment struct {
	Node        string
	Controllers []string
	Expires     time.Time // of the certificate, which berthd renews
}

// Enrol makes this host the node that a token is for, in the controller at url:
// it makes a key, has the controller, whose CA the token names, sign a
// certificate for it, and writes all of it to dir. berthd finds it there.
func Enrol(ctx context.Context, dir, url, token string) (Enrolment, error) {
	node, _, fingerprint, ok := wire.ParseToken(token)
	if !ok {
		return Enrolment{}, errors.New("the token is not of the form NODE.SECRET.FINGERPRINT")
	}
	key, keyPEM, err := newKey()
	if err != nil {
		return Enrolment{}, err
	}
	csr, err := request(key)
	if err != nil {
		return Enrolment{}, err
	}
	c, err := client.New(client.Options{URL: url, Fingerprint: fingerprint})
	if err != nil {
		return Enrolment{}, err
	}
	defer c.Close()
	// Nothing fails any more after the token is used, if it can be helped.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Enrolment{}, err
	}
	staged, err := disk.Stage(filepath.Join(dir, keyFile), keyPEM)
	if err != nil {
		return Enrolment{}, err
	}
	got, err := c.Enrol(ctx, token, csr)
	if err != nil {
		return Enrolment{}, errors.Join(err, staged.Cancel())
	}
	if site := (&credentials{ca: []byte(got.CA)}).site(); !strings.EqualFold(site, fingerprint) {
		return Enrolment{}, errors.Join(fmt.Errorf("the CA that came has the fingerprint %q, not the token's", site), staged.Cancel())
	}
	urls := got.Controllers
	if !slices.Contains(urls, url) {
		urls = append([]string{url}, urls...)
	}
	if err := write4(dir, staged, got, urls); err != nil {
		return Enrolment{}, fmt.Errorf("keep what node %s was enrolled with: %w", node, err)
	}
	return Enrolment{Node: node, Controllers: urls, Expires: got.Expires}, nil
}

// write4 leaves the node not enrolled until all is there.
func write4(dir string, key disk.Staged, got wire.Enrolled, urls []string) error {
	cert := filepath.Join(dir, certificateFile)
	if err := os.Remove(cert); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, key.Cancel())
	}
	return errors.Join(
		key.Commit(),
		disk.Replace(filepath.Join(dir, caFile), []byte(got.CA)),
		disk.Replace(filepath.Join(dir, controllersFile), []byte(strings.Join(urls, "\n")+"\n")),
		disk.Replace(cert, []byte(got.Certificate)),
	)
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// request asks for a certificate of a key. The controller knows the name.
func request(key any) (string, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return "", fmt.Errorf("make a certificate request: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), nil
}

// renew has a new certificate made for the same key, and keeps it.
func renew(ctx context.Context, dir string, c *client.Client, creds *credentials) error {
	csr, err := request(creds.pair.PrivateKey)
	if err != nil {
		return err
	}
	got, err := c.Renew(ctx, creds.node, csr)
	if err != nil {
		return fmt.Errorf("renew the node's certificate: %w", err)
	}
	if _, err := tls.X509KeyPair([]byte(got.Certificate), pemKey(creds)); err != nil {
		return fmt.Errorf("renew the node's certificate: %w", err)
	}
	return disk.Replace(filepath.Join(dir, certificateFile), []byte(got.Certificate))
}

func pemKey(c *credentials) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(c.pair.PrivateKey)
	if err != nil {
		return nil // which fits no certificate
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
