package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"
)

// nodeURI begins the name of a node in its certificate; what follows is the
// node's name.
const nodeURI = "spiffe://berth/node/"

// Issued is a certificate as it is handed out.
type Issued struct {
	PEM     []byte
	Expires time.Time
}

// Node signs a PEM request of a node. All that is taken of it is the key, of
// which the requester has proven to have the other half: the name is what the
// controller knows the asker by. The enrolment that it follows from is in it, as
// the subject's serial number (X.520 section 6.2.9): see EnrolmentOf.
func (c *CA) Node(csr []byte, name, enrolment string, now time.Time) (Issued, error) {
	key, err := requested(csr)
	if err != nil {
		return Issued{}, err
	}
	id, err := url.Parse(nodeURI + url.PathEscape(name))
	if err != nil {
		return Issued{}, fmt.Errorf("node %q: %w", name, err)
	}
	now = now.UTC().Truncate(time.Second)
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name, SerialNumber: enrolment}, URIs: []*url.URL{id},
		NotBefore: now.Add(-behind), NotAfter: c.until(now.Add(nodeLife)),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := sign(template, c.cert, key, c.key)
	if err != nil {
		return Issued{}, err
	}
	return Issued{PEM: encode(blockCert, der), Expires: template.NotAfter}, nil
}

// EnrolmentOf is the enrolment that a node's certificate follows from.
func EnrolmentOf(node *x509.Certificate) string { return node.Subject.SerialNumber }

// until is not later than the CA itself is good.
func (c *CA) until(t time.Time) time.Time {
	if t.After(c.cert.NotAfter) {
		return c.cert.NotAfter
	}
	return t
}

// ErrRequest is of a certificate request that will not be signed.
var ErrRequest = errors.New("certificate request")

func requested(csr []byte) (crypto.PublicKey, error) {
	block, rest := pem.Decode(csr)
	if block == nil || block.Type != blockCSR || len(rest) > 0 {
		return nil, fmt.Errorf("%w: want one PEM block %s", ErrRequest, blockCSR)
	}
	r, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	// The key first: a signature by one of a million bits takes minutes to check.
	if err := fit(r.PublicKey); err != nil {
		return nil, err
	}
	if err := r.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: it is not signed with its own key: %w", ErrRequest, err)
	}
	return r.PublicKey, nil
}

func fit(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k.Curve.Params().BitSize < 256 {
			return fmt.Errorf("%w: the curve %s is too small: want P-256 or larger", ErrRequest, k.Curve.Params().Name)
		}
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 || k.N.BitLen() > 8192 {
			return fmt.Errorf("%w: an RSA key of %d bits: want 2048 to 8192", ErrRequest, k.N.BitLen())
		}
	case ed25519.PublicKey:
	default:
		return fmt.Errorf("%w: a key of type %T", ErrRequest, k)
	}
	return nil
}

// Serving is the certificate of a controller, made anew long before it ends.
type Serving struct {
	ca    *CA
	names []string
	now   func() time.Time

	mu   sync.Mutex
	pair *tls.Certificate
}

// Serve returns the certificate for a controller's names and addresses.
func (c *CA) Serve(names []string, now func() time.Time) *Serving {
	return &Serving{ca: c, names: names, now: now}
}

// Certificate is for tls.Config.GetCertificate.
func (s *Serving) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.pair != nil && now.Before(s.pair.Leaf.NotAfter.Add(-serverLife/3)) && now.After(s.pair.Leaf.NotBefore) {
		return s.pair, nil
	}
	pair, err := s.ca.server(s.names, now)
	if err == nil {
		s.pair = pair
	}
	return pair, err
}

// server makes a certificate with its chain: one who enrols knows no more of
// the CA than its fingerprint, and wants to see it.
func (c *CA) server(names []string, now time.Time) (*tls.Certificate, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "berth-controller"},
		NotBefore: now.Add(-behind), NotAfter: c.until(now.Add(serverLife)),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	der, err := sign(template, c.cert, key.Public(), c.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make the server's certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der, c.cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
}
