package controller

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/nodelink"
	"github.com/berth-net/berth/internal/pki"
	"github.com/berth-net/berth/internal/rest/wire"
)

// site is a small working controller: a CA, a set for the node n1, and what was
// reported of it.
type site struct {
	t     *testing.T
	ca    *pki.CA
	token string

	mu      sync.Mutex
	epoch   int64
	now     int64 // generation
	docs    map[string]nodelink.Document
	asked   []string             // digests with which streams began
	reports []nodelink.Report    // newest last
	next    chan struct{}        // closed with the next change or report
	streams map[chan []byte]bool // lines to send
	life    time.Duration        // of the certificates, 0: a year
}

func newSite(t *testing.T) *site {
	t.Helper()
	ca, err := pki.Open(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, ca: ca, docs: map[string]nodelink.Document{}, next: make(chan struct{}), streams: map[chan []byte]bool{}}
	if s.token, _, err = ca.NewToken("n1"); err != nil {
		t.Fatal(err)
	}
	return s
}

// serve starts a replica and returns its URL.
func (s *site) serve() *httptest.Server { return s.serveAsOf(time.Now) }

// serveAsOf is a replica whose certificate was made at some time.
func (s *site) serveAsOf(now func() time.Time) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/enrol", s.enrol)
	mux.HandleFunc("GET /v1/nodes/n1/stream", s.stream)
	mux.HandleFunc("POST /v1/nodes/n1/report", s.take)
	mux.HandleFunc("POST /v1/nodes/n1/renew", s.renew)
	server := httptest.NewUnstartedServer(mux)
	cert, err := s.ca.Serve([]string{"127.0.0.1"}, now).Certificate(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	server.TLS = &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*cert},
		ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: s.ca.Pool(),
	}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // who hangs up is no news here
	server.StartTLS()
	s.t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server
}

func (s *site) enrol(w http.ResponseWriter, r *http.Request) {
	var e wire.Enrol
	if err := json.NewDecoder(r.Body).Decode(&e); err != nil || e.Token != s.token {
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	s.sign(w, e.CSR)
}

func (s *site) renew(w http.ResponseWriter, r *http.Request) {
	var e wire.Renew
	if err := json.NewDecoder(r.Body).Decode(&e); err != nil || !known(r) {
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	s.life = 0
	s.sign(w, e.CSR)
}

func (s *site) sign(w http.ResponseWriter, csr string) {
	now := time.Now()
	if s.life > 0 {
		now = now.Add(s.life - 365*24*time.Hour)
	}
	cert, err := s.ca.Node([]byte(csr), "n1", "", now)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_ = json.NewEncoder(w).Encode(wire.Enrolled{Certificate: string(cert.PEM), CA: string(s.ca.PEM()), Expires: cert.Expires})
}

// known is whether a request is n1's.
func known(r *http.Request) bool {
	if len(r.TLS.PeerCertificates) == 0 {
		return false
	}
	name, ok := nodeOf(r.TLS.PeerCertificates[0])
	return ok && name == "n1"
}

func (s *site) stream(w http.ResponseWriter, r *http.Request) {
	if !known(r) {
		http.Error(w, "no", http.StatusUnauthorized)
		return
	}
	lines := make(chan []byte, 100)
	s.mu.Lock()
	s.asked = append(s.asked, r.URL.Query().Get("digest"))
	m := s.message(nil, nil)
	m.Full = r.URL.Query().Get("digest") != m.Digest
	if m.Full {
		for _, d := range s.docs {
			m.Set = append(m.Set, d)
		}
	}
	lines <- s.line(m)
	s.streams[lines] = true
	s.wake()
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.streams, lines)
		s.mu.Unlock()
	}()
	for {
		select {
		case <-r.Context().Done():
			return
		case line := <-lines:
			if line == nil {
				panic(http.ErrAbortHandler)
			}
			_, _ = w.Write(line)
			w.(http.Flusher).Flush()
		}
	}
}

// message leads to the set as it is; s.mu is held.
func (s *site) message(set []nodelink.Document, gone []string) *nodelink.Message {
	var all []nodelink.Document
	for _, d := range s.docs {
		all = append(all, d)
	}
	return &nodelink.Message{
		Site: "s", Node: "n1", Epoch: s.epoch, Generation: s.now, Set: set, Gone: gone,
		Count: len(all), Digest: nodelink.SumOf(all).String(),
	}
}

func (s *site) line(m *nodelink.Message) []byte {
	line, err := nodelink.Encode(m)
	if err != nil {
		s.t.Error(err)
	}
	return line
}

// wake is for whoever waits; s.mu is held.
func (s *site) wake() {
	close(s.next)
	s.next = make(chan struct{})
}

func (s *site) take(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	if err != nil || !known(r) {
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	report, err := nodelink.Decode[nodelink.Report](data)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports = append(s.reports, *report)
	s.wake()
	_, _ = io.WriteString(w, "{}")
}

// put declares NICs, with a body of their own each, and tells it, unless quietly.
func (s *site) put(quietly bool, bodies map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now++
	var set []nodelink.Document
	for nic, body := range bodies {
		d, err := nodelink.NewDocument(nic, "the-"+nic, s.now, []byte(body))
		if err != nil {
			s.t.Fatal(err)
		}
		s.docs[nic] = d
		set = append(set, d)
	}
	if !quietly {
		s.send(s.message(set, nil))
	}
}

func (s *site) drop(quietly bool, nics ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now++
	for _, nic := range nics {
		delete(s.docs, nic)
	}
	if !quietly {
		s.send(s.message(nil, nics))
	}
}

func (s *site) send(m *nodelink.Message) {
	line := s.line(m)
	for lines := range s.streams {
		lines <- line
	}
}

// hangUp ends every stream.
func (s *site) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for lines := range s.streams {
		lines <- nil
	}
}

// until waits until something is true of the site.
func (s *site) until(what string, ok func() bool) {
	s.t.Helper()
	limit := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		done, next := ok(), s.next
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-next:
		case <-limit:
			s.t.Fatalf("never: %s", what)
		}
	}
}

// reported is the last report; s.mu is held.
func (s *site) reported() nodelink.Report {
	if len(s.reports) == 0 {
		return nodelink.Report{}
	}
	return s.reports[len(s.reports)-1]
}

// body is a binding, whose last octet is of an address and a MAC.
func body(nic string, last int) string {
	n := strconv.Itoa(last)
	return `{"nic":"` + nic + `","mac":"02:62:65:00:00:` + strings.Repeat("0", 2-len(strconv.FormatInt(int64(last), 16))) +
		strconv.FormatInt(int64(last), 16) + `","addresses":["192.0.2.` + n + `/24"]}`
}
