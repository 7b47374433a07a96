package etcd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
)

// TLS names the files for talking to a cluster: whom it is known by, and who
// this is. Certificate and key are read again for every connection, so new ones
// need no restart.
type TLS struct {
	CA   string // PEM; "": the system's
	Cert string // PEM; "": none is shown
	Key  string
}

// config returns nil where no endpoint wants TLS.
func (t TLS) config(endpoints []string) (*tls.Config, error) {
	secure, err := allSecure(endpoints)
	if err != nil || !secure {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		if c.RootCAs, err = readPool(t.CA); err != nil {
			return nil, err
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		return nil, errors.New("a certificate and its key are given together or not at all")
	}
	if t.Cert == "" {
		return c, nil
	}
	if _, err := tls.LoadX509KeyPair(t.Cert, t.Key); err != nil {
		return nil, err
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		return &cert, err
	}
	return c, nil
}

func readPool(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", path)
	}
	return pool, nil
}

// allSecure reports whether the endpoints use TLS. Who can write to the store
// decides everything, so what is neither TLS nor of this machine is refused.
func allSecure(endpoints []string) (bool, error) {
	secure := 0
	for _, e := range endpoints {
		u, err := url.Parse(e)
		switch {
		case err != nil:
			return false, fmt.Errorf("endpoint %s: want a URL as https://etcd-1:2379: %w", e, err)
		case u.Scheme == "https":
			secure++
		case u.Scheme == "unix", u.Scheme == "http" && isLocal(u.Hostname()):
		case u.Scheme == "http":
			return false, fmt.Errorf("endpoint %s: another machine is only asked over https", e)
		default:
			return false, fmt.Errorf("endpoint %s: want a URL as https://etcd-1:2379", e)
		}
	}
	if secure != 0 && secure != len(endpoints) {
		return false, errors.New("endpoints: some are with TLS and some without")
	}
	return secure > 0, nil
}

func isLocal(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
