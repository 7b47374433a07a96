package rest

import (
	"crypto/tls"

	"github.com/berth-net/berth/internal/pki"
)

// TLS is the configuration under which the server speaks: clients may show a
// certificate, and who does not needs a token.
func (s *Server) TLS(serving *pki.Serving) *tls.Config {
	conf := &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: serving.Certificate, NextProtos: []string{"h2", "http/1.1"}}
	s.who.AskForCertificates(conf)
	return conf
}
