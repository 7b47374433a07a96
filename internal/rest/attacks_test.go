package rest_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/rest/client"
	"github.com/berth-net/berth/internal/rest/wire"
)

// late is a body that does something when it is asked for.
type late struct {
	io.Reader
	first func()
}

func (l *late) Read(b []byte) (int, error) {
	l.first()
	return l.Reader.Read(b)
}

// A renewal that was under way when its node enrolled again is of the enrolment of
// before: who has stolen a certificate cannot keep a foot in the door.
func TestRenewedWhileEnrolledAgain(t *testing.T) {
	s := newSite(t)
	s.furnish()
	token, err := s.as("op").NodeToken(t.Context(), "n1")
	if err != nil {
		t.Fatal(err)
	}
	key, csr := s.newKey()
	e, err := s.with(client.Options{URL: s.url, Fingerprint: s.ca.Fingerprint()}).Enrol(t.Context(), token.Token, csr)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := json.Marshal(wire.Renew{CSR: csr})
	if err != nil {
		t.Fatal(err)
	}
	// The body is sent when the server reads it, and by then it knows who asks.
	body := &late{strings.NewReader(string(doc)), sync.OnceFunc(func() { s.enrol("n1") })}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/nodes/n1/renew", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Expect", "100-continue")
	conf := &tls.Config{RootCAs: s.ca.Pool(), MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*s.pair(e.Certificate, key)}}
	tr := &http.Transport{TLSClientConfig: conf, ExpectContinueTimeout: time.Minute}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var renewed wire.Enrolled
	if err := json.NewDecoder(resp.Body).Decode(&renewed); err != nil || renewed.Certificate == "" {
		t.Fatal(resp.Status, err)
	}
	thief := s.with(client.Options{URL: s.url, CA: s.ca.PEM(), Certificate: s.pair(renewed.Certificate, key)})
	if _, err := thief.Whoami(t.Context()); status(err) != http.StatusForbidden {
		t.Errorf("what was renewed: %v", err)
	}
}
