package pki_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/pki"
	"github.com/berth-net/berth/internal/rest/wire"
)

func start() time.Time { return time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC) }

func open(t *testing.T) *pki.CA {
	t.Helper()
	ca, err := pki.Open(t.TempDir(), start())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func request(t *testing.T, key any, template *x509.CertificateRequest) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func parse(t *testing.T, doc []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(doc)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// The CA is made once, is nobody else's to read, and is the same ever after.
func TestCAIsKept(t *testing.T) {
	dir := t.TempDir()
	first, err := pki.Open(dir, start())
	if err != nil {
		t.Fatal(err)
	}
	again, err := pki.Open(dir, start().Add(time.Hour))
	if err != nil || !bytes.Equal(first.PEM(), again.PEM()) {
		t.Errorf("opened again: %v, another CA: %v", err, !bytes.Equal(first.PEM(), again.PEM()))
	}
	st, err := os.Stat(filepath.Join(dir, "ca.key"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("ca.key: %v, %v", st.Mode(), err)
	}
}

// A CA whose key is lost is not replaced behind the back of the nodes that
// trust it.
func TestCAWithoutKey(t *testing.T) {
	dir := t.TempDir()
	if _, err := pki.Open(dir, start()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := pki.Open(dir, start()); err == nil || !strings.Contains(err.Error(), "ca.key") {
		t.Errorf("error %v, want one that names ca.key", err)
	}
}

// A key that everybody can read is nobody's secret.
func TestCAKeyForAll(t *testing.T) {
	dir := t.TempDir()
	if _, err := pki.Open(dir, start()); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "ca.key")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := pki.Open(dir, start()); err == nil || !strings.Contains(err.Error(), "mode 0644") {
		t.Errorf("error %v, want one that names the mode", err)
	}
}

// Killed between the two files, the next start makes a CA whose halves fit.
func TestCAHalfMade(t *testing.T) {
	dir := t.TempDir()
	if _, err := pki.Open(dir, start()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "ca.crt")); err != nil {
		t.Fatal(err)
	}
	ca, err := pki.Open(dir, start())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ca.Node(request(t, newKey(t), &x509.CertificateRequest{}), "n1", "e1", start()); err != nil {
		t.Error(err)
	}
}

// A node's certificate has the name that the controller gave, whatever the
// request says, and is good for a client alone.
func TestNodeCertificate(t *testing.T) {
	ca := open(t)
	other, _ := url.Parse("spiffe://berth/node/n2")
	issued, err := ca.Node(request(t, newKey(t), &x509.CertificateRequest{URIs: []*url.URL{other}, DNSNames: []string{"controller"}}), "n1.rack-2", "e1", start())
	if err != nil {
		t.Fatal(err)
	}
	cert := parse(t, issued.PEM)
	if len(cert.URIs) != 1 || cert.URIs[0].String() != "spiffe://berth/node/n1.rack-2" || len(cert.DNSNames) > 0 || cert.IsCA || pki.EnrolmentOf(cert) != "e1" {
		t.Errorf("URIs %v, DNS names %v, CA %v, enrolment %q", cert.URIs, cert.DNSNames, cert.IsCA, pki.EnrolmentOf(cert))
	}
	for _, c := range []struct {
		at    time.Duration
		usage x509.ExtKeyUsage
		good  bool
	}{
		{0, x509.ExtKeyUsageClientAuth, true},
		{364 * 24 * time.Hour, x509.ExtKeyUsageClientAuth, true},
		{366 * 24 * time.Hour, x509.ExtKeyUsageClientAuth, false},
		{0, x509.ExtKeyUsageServerAuth, false},
	} {
		_, err := cert.Verify(x509.VerifyOptions{Roots: ca.Pool(), CurrentTime: start().Add(c.at), KeyUsages: []x509.ExtKeyUsage{c.usage}})
		if (err == nil) != c.good {
			t.Errorf("after %s for %v: %v", c.at, c.usage, err)
		}
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: open(t).Pool(), CurrentTime: start(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err == nil {
		t.Error("another site's CA vouches for it")
	}
}

func TestBadRequests(t *testing.T) {
	ca := open(t)
	small, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := request(t, newKey(t), &x509.CertificateRequest{})
	block, _ := pem.Decode(good)
	forged := bytes.Clone(block.Bytes)
	forged[len(forged)-1] ^= 1
	for what, csr := range map[string][]byte{
		"empty":       nil,
		"no PEM":      []byte("hello"),
		"a key":       pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: block.Bytes}),
		"two":         append(bytes.Clone(good), good...),
		"cut off":     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: block.Bytes[:20]}),
		"forged":      pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: forged}),
		"small curve": request(t, small, &x509.CertificateRequest{}),
		"small RSA":   request(t, smallRSA(t), &x509.CertificateRequest{}),
	} {
		if _, err := ca.Node(csr, "n1", "e1", start()); !errors.Is(err, pki.ErrRequest) {
			t.Errorf("%s: error %v, want ErrRequest", what, err)
		}
	}
}

// A key is looked at before the signature by it: to check that of a huge one takes
// minutes.
func TestHugeKey(t *testing.T) {
	n := new(big.Int).SetBit(big.NewInt(1), 1<<20, 1)
	key, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	type algorithm struct {
		ID   asn1.ObjectIdentifier
		Null asn1.RawValue
	}
	info, err := asn1.Marshal(struct {
		Version    int
		Subject    pkix.RDNSequence
		Key        asn1.RawValue
		Attributes []asn1.RawValue `asn1:"tag:0,set"`
	}{0, pkix.RDNSequence{}, asn1.RawValue{FullBytes: key}, nil})
	if err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal(struct {
		Info      asn1.RawValue
		Algorithm algorithm
		Signature asn1.BitString
	}{
		asn1.RawValue{FullBytes: info},
		algorithm{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, asn1.NullRawValue},
		asn1.BitString{Bytes: n.Bytes(), BitLength: 8 * len(n.Bytes())},
	})
	if err != nil {
		t.Fatal(err)
	}
	csr := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	if _, err := open(t).Node(csr, "n1", "e1", start()); err == nil || !strings.Contains(err.Error(), "an RSA key of 1048577 bits") {
		t.Errorf("%v", err)
	}
}

func smallRSA(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// The server's certificate is the same until a third of its life is left, and
// shows its CA to those who know a fingerprint only.
func TestServingRenewsItself(t *testing.T) {
	ca, now := open(t), start()
	s := ca.Serve([]string{"controller.example", "192.0.2.1", "2001:db8::1"}, func() time.Time { return now })
	get := func() *tls.Certificate {
		c, err := s.Certificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := get()
	for _, name := range []string{"controller.example", "192.0.2.1", "2001:db8::1"} {
		if _, err := first.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: ca.Pool(), CurrentTime: now}); err != nil {
			t.Error(err)
		}
	}
	if len(first.Certificate) != 2 || !bytes.Equal(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: first.Certificate[1]}), ca.PEM()) {
		t.Error("the chain does not end with the CA")
	}
	if now = start().Add(59 * 24 * time.Hour); get() != first {
		t.Error("renewed too early")
	}
	now = start().Add(61 * 24 * time.Hour)
	if c := get(); c == first || !c.Leaf.NotAfter.After(first.Leaf.NotAfter) {
		t.Error("not renewed")
	}
}

func TestTokens(t *testing.T) {
	ca := open(t)
	token, key, err := ca.NewToken("n1.rack")
	if err != nil {
		t.Fatal(err)
	}
	node, secret, fingerprint, ok := wire.ParseToken(token)
	if !ok || node != "n1.rack" || fingerprint != ca.Fingerprint() || pki.TokenKey(secret) != key || strings.Contains(key, secret) {
		t.Errorf("token %q: %q %q %q %v, kept under %q", token, node, secret, fingerprint, ok, key)
	}
	if again, _, _ := ca.NewToken("n1.rack"); again == token {
		t.Error("the same token twice")
	}
	for _, bad := range []string{"", "n1", "n1.secret", ".secret.print", "n1..print", "n1.secret."} {
		if _, _, _, ok := wire.ParseToken(bad); ok {
			t.Errorf("%q is a token", bad)
		}
	}
}
