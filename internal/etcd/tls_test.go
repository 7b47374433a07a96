package etcd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// authority makes certificates, as files.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.issue("ca")
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// issue writes NAME.pem and NAME.key; the first is the authority's own.
func (a *authority) issue(name string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.must(err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: a.cert == nil, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	if a.cert == nil {
		a.cert, a.key = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	a.must(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	a.must(err)
	a.must(os.WriteFile(a.file(name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	a.must(os.WriteFile(a.file(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

func (a *authority) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// serve starts an etcd that asks for certificates, and returns its endpoint.
func (a *authority) serve() string {
	a.issue("server")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	a.must(err)
	u := url.URL{Scheme: "https", Host: l.Addr().String()}
	l.Close()
	c := embed.NewConfig()
	c.Dir = a.file("data")
	c.ListenPeerUrls = nil
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{u}, []url.URL{u}
	c.ClientTLSInfo = transport.TLSInfo{
		CertFile: a.file("server.pem"), KeyFile: a.file("server.key"), TrustedCAFile: a.file("ca.pem"), ClientCertAuth: true,
	}
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	e, err := embed.StartEtcd(c)
	a.must(err)
	a.t.Cleanup(e.Close)
	<-e.Server.ReadyNotify()
	return u.String()
}

// A cluster and its clients know each other by certificates, or not at all.
func TestTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	endpoint := []string{ours.serve()}
	ours.issue("client")
	theirs.issue("client")
	good := TLS{CA: ours.file("ca.pem"), Cert: ours.file("client.pem"), Key: ours.file("client.key")}
	s := opened(t, Options{Endpoints: endpoint, TLS: good})
	commit(t, s, nil, put("a", "1"))
	for name, bad := range map[string]TLS{
		"another CA":          {CA: theirs.file("ca.pem"), Cert: good.Cert, Key: good.Key},
		"another certificate": {CA: good.CA, Cert: theirs.file("client.pem"), Key: theirs.file("client.key")},
		"no certificate":      {CA: good.CA},
	} {
		s, err := Open(t.Context(), Options{Endpoints: endpoint, TLS: bad, Timeout: time.Second})
		if err == nil {
			t.Errorf("%s: it is let in", name)
			t.Error(s.Close())
		}
	}
}
