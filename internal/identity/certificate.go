package identity

import (
	"crypto/x509"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/fleet"
)

// nodeURI begins the URI SAN of a node's certificate.
const nodeURI = "spiffe://berth/node/"

// NodeURI is the URI SAN of a node's certificate.
func NodeURI(node string) *url.URL {
	return &url.URL{Scheme: "spiffe", Host: "berth", Path: "/node/" + node}
}

// certificate is who a chain of certificates, the client's own first, is of.
// TLS has proven that the client has its key. What looks like a node's must be
// signed by the site's CA itself; nothing else makes a node.
func (a *Authenticator) certificate(chain []*x509.Certificate) (Identity, error) {
	leaf := chain[0]
	if slices.ContainsFunc(leaf.URIs, looksLikeNode) {
		return a.node(leaf)
	}
	options := x509.VerifyOptions{Roots: a.users, Intermediates: pool(chain[1:]), CurrentTime: a.config.Now(), KeyUsages: clientAuth()}
	if _, err := leaf.Verify(options); err != nil {
		return Identity{}, unverified(err, "a CA for users")
	}
	return user(leaf.Subject.CommonName, leaf.Subject.Organization, nil)
}

// looksLikeNode errs on the side of the node, which is refused if it is not
// quite one: nothing of our trust domain is a user.
func looksLikeNode(u *url.URL) bool {
	return strings.EqualFold(u.Scheme, "spiffe") && strings.EqualFold(u.Hostname(), "berth")
}

func (a *Authenticator) node(leaf *x509.Certificate) (Identity, error) {
	options := x509.VerifyOptions{Roots: a.nodes, CurrentTime: a.config.Now(), KeyUsages: clientAuth()}
	if _, err := leaf.Verify(options); err != nil {
		return Identity{}, unverified(err, "the site's CA, as a node's must be")
	}
	if len(leaf.URIs) != 1 {
		return Identity{}, refuse("the certificate has %d URIs, a node's has one", len(leaf.URIs))
	}
	name, ok := strings.CutPrefix(leaf.URIs[0].String(), nodeURI)
	if !ok || !fleet.ValidName(name) {
		return Identity{}, refuse("the certificate's URI %q is not %sNAME", leaf.URIs[0], nodeURI)
	}
	return Identity{Kind: Node, Name: name}, nil
}

func clientAuth() []x509.ExtKeyUsage { return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }

// unverified says what is wrong with a certificate, in our words where a
// client can do something about it.
func unverified(err error, signer string) error {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch invalid.Reason {
		case x509.Expired:
			return &Refusal{Text: "the client certificate has expired or is not valid yet", Cause: err}
		case x509.IncompatibleUsage:
			return &Refusal{Text: "the certificate is not for clients (extended key usage)", Cause: err}
		default:
			return &Refusal{Text: "the client certificate is not valid", Cause: err}
		}
	}
	return &Refusal{Text: "the client certificate is not signed by " + signer, Cause: err}
}
