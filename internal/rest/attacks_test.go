package rest_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/control"
	"github.com/berth-net/berth/internal/etcd"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/identity"
	"github.com/berth-net/berth/internal/nodelink"
	"github.com/berth-net/berth/internal/rest"
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

// A token is of the node that it was made for, not of a later one of its name.
func TestTokenOfARemovedNode(t *testing.T) {
	s := newSite(t)
	s.furnish()
	token, err := s.as("op").NodeToken(t.Context(), "n1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.as("op").Delete(t.Context(), fleet.KindNode, "n1", client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.put(fleet.KindNode, "n1", "{}")
	_, csr := s.newKey()
	anybody := s.with(client.Options{URL: s.url, Fingerprint: s.ca.Fingerprint()})
	if _, err := anybody.Enrol(t.Context(), token.Token, csr); status(err) != http.StatusForbidden {
		t.Errorf("it enrols the new node: %v", err)
	}
}

// A replica that has not read the site does not say that nothing is there.
func TestNothingIsSaidBeforeTheSiteIsKnown(t *testing.T) {
	store, err := etcd.Open(t.Context(), etcd.Options{Dir: filepath.Join(t.TempDir(), "etcd"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	who, err := identity.New(identity.Config{Operators: []string{"user:op"}, TokenFile: tokenFile(t)})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	server, err := rest.New(rest.Options{Replica: control.New(control.Options{Store: store, Log: log}), Who: who, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{
		"/healthz":                         http.StatusOK,
		"/v1/whoami":                       http.StatusOK,
		"/readyz":                          http.StatusServiceUnavailable,
		"/v1/nics":                         http.StatusServiceUnavailable,
		"/v1/nics/a":                       http.StatusServiceUnavailable,
		"/v1/watch":                        http.StatusServiceUnavailable,
		"/v1/addresses/192.0.2.1":          http.StatusServiceUnavailable,
		"/v1/who-had?address=192.0.2.1":    http.StatusServiceUnavailable,
		"/v1/usage?project=web":            http.StatusServiceUnavailable,
		"/v1/nodes/n1/status":              http.StatusServiceUnavailable,
		"/v1/history":                      http.StatusServiceUnavailable,
		"/v1/diff?from=1":                  http.StatusServiceUnavailable,
		"/v1/decisions":                    http.StatusServiceUnavailable,
		"/v1/nics/a/status":                http.StatusServiceUnavailable,
		"/v1/policies?after=a&limit=10000": http.StatusServiceUnavailable,
	} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
		req.Header.Set("Authorization", "Bearer "+people["op"])
		got := httptest.NewRecorder()
		server.ServeHTTP(got, req)
		if got.Code != want {
			t.Errorf("%s: %d %s, want %d", path, got.Code, got.Body, want)
		}
	}
}

// A page that an operator looks at can make his browser ask, with his
// certificate; what it asks for is not done.
func TestPagesOfOthers(t *testing.T) {
	s := newSite(t)
	s.furnish()
	s.put(fleet.KindNIC, "a", "{project: web, network: lan, node: n1}")
	for _, header := range []map[string]string{
		{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "same-site"},
	} {
		header["Content-Type"] = "application/x-www-form-urlencoded"
		got := s.do(raw{method: http.MethodPost, path: "/v1/nics/a/migration", as: "op", body: `{"to": "n2"}`, header: header})
		if got.status != http.StatusForbidden {
			t.Errorf("%v: %d %s", header, got.status, got.body)
		}
	}
	if got := s.do(raw{method: http.MethodGet, path: "/v1/nics", as: "op", header: map[string]string{"Origin": "https://evil.example"}}); got.status != http.StatusOK {
		t.Errorf("to read, which it is not shown: %d", got.status)
	}
}

// A node that says everything twice, and endlessly, costs no more than another.
func TestReportOfABabbler(t *testing.T) {
	s := newSite(t)
	s.furnish()
	s.put(fleet.KindNIC, "a", "{project: web, network: lan, node: n1, interface: tap0}")
	n := s.node("n1")
	n.next()
	long := strings.Repeat("ä", 20000)
	st := fleet.Status{NIC: "a", State: "failed", Why: long, Reason: long, Since: time.Now(), Dropped: map[string]uint64{long: 1}}
	for range 1000 {
		st.Observed = append(st.Observed, addr("fe80::1"))
	}
	n.report(nodelink.Report{Node: "n1", Version: long[:1000], NICs: []fleet.Status{st, st}, Problems: slices.Repeat([]string{"trouble " + long[:4000]}, 100)})
	got, err := s.as("op").NodeStatus(t.Context(), "n1")
	if err != nil || len(got.Status) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if have := got.Status[0]; have.State != "failed" || have.Why != long[:1024] || len(have.Reason) > 1024 || len(have.Observed) > 100 || len(have.Dropped) > 0 {
		t.Errorf("%d bytes of why, %d of reason, %d observed, %d dropped are kept", len(have.Why), len(have.Reason), len(have.Observed), len(have.Dropped))
	}
	if got.Alive == nil || len(got.Alive.Version) > 255 {
		t.Errorf("its version: %+v", got.Alive)
	}
	if n, size := strings.Count(s.log.String(), "a node reports a problem"), len(s.log.String()); n != nodelink.MaxProblems || size > 150000 {
		t.Errorf("%d problems in a log of %d bytes", n, size)
	}
	doc, err := nodelink.Encode(&nodelink.Report{Node: "n1", NICs: make([]fleet.Status, nodelink.MaxStatuses+1)})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.client.Report(t.Context(), "n1", doc); status(err) != http.StatusUnprocessableEntity {
		t.Errorf("too many at once: %v", err)
	}
}

// One who opens watch after watch is stopped, others are not, and he may go on
// when he has ended some.
func TestTooManyWatches(t *testing.T) {
	s := newSite(t)
	watch := func(as string) (status int, end func() error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/v1/watch", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+people[as])
		resp, err := s.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp.StatusCode, resp.Body.Close
	}
	var ends []func() error
	status := http.StatusOK
	for status == http.StatusOK && len(ends) < 200 {
		var end func() error
		status, end = watch("eve")
		ends = append(ends, end)
	}
	if status != http.StatusTooManyRequests {
		t.Fatalf("%d watches of one user, then %d", len(ends), status)
	}
	if got, _ := watch("alice"); got != http.StatusOK {
		t.Errorf("another user: %d", got)
	}
	for _, end := range ends {
		if err := end(); err != nil {
			t.Error(err)
		}
	}
	for range 500 {
		if got, _ := watch("eve"); got == http.StatusOK {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Error("watches that were ended still count")
}

// Policies of anybody's own keep the controller busy for no longer than a change
// may, however many there are to try.
func TestPoliciesWithoutEnd(t *testing.T) {
	s := newSite(t)
	s.server.Rush(50 * time.Millisecond)
	rule := `{"name": "r%d", "effect": "deny", "when": "request.vms.exists(v, v.cpus > 100)"}`
	rules := make([]string, 300)
	for i := range rules {
		rules[i] = fmt.Sprintf(rule, i)
	}
	for what, c := range map[string]struct{ rules, inputs int }{"rules": {300, 1}, "inputs": {20, 300000}} {
		body := fmt.Sprintf(`{"policies": [{"kind": "policy", "name": "p", "rules": [%s]}], "inputs": [%s{}]}`,
			strings.Join(rules[:c.rules], ","), strings.Repeat("{},", c.inputs-1))
		got := s.do(raw{method: http.MethodPost, path: "/v1/policies/test", as: "eve", body: body})
		if got.status != http.StatusUnprocessableEntity || !strings.Contains(string(got.body), what) {
			t.Errorf("many %s: %d %.300s", what, got.status, got.body)
		}
	}
}

// Who asks for what another project has is told so, and not what that is; nothing
// of it is found out with dry runs.
func TestRefusalsNameNobodyElses(t *testing.T) {
	s := newSite(t)
	s.furnish()
	s.put(fleet.KindNIC, "db-1", "{project: db, network: lan, node: n1, interface: tap0}")
	probe := raw{method: http.MethodPut, path: "/v1/nics/x?dry-run=1", body: `{"project": "web", "network": "lan", "node": "n1", "interface": "tap0"}`}
	for as, names := range map[string]bool{"alice": false, "op": true} {
		probe.as = as
		got := s.do(probe)
		if got.status != http.StatusConflict || strings.Contains(string(got.body), "db-1") != names {
			t.Errorf("to %s: %d %s", as, got.status, got.body)
		}
	}
}

// crossroads is a listener to which hosts come that are not there.
type crossroads chan net.Conn

func (l crossroads) Addr() net.Addr { return &net.TCPAddr{} }
func (l crossroads) Close() error   { close(l); return nil }

func (l crossroads) Accept() (net.Conn, error) {
	if c, open := <-l; open {
		return c, nil
	}
	return nil, net.ErrClosed
}

// traveller is a connection from some host.
type traveller struct {
	net.Conn
	from   net.Addr
	closed chan struct{}
}

func (c *traveller) RemoteAddr() net.Addr { return c.from }
func (c *traveller) Close() error         { close(c.closed); return nil }

// One host cannot hold all connections open: others still come in, and it too
// when it has closed one.
func TestOneHostsConnections(t *testing.T) {
	road := make(crossroads, 1)
	l := rest.Limit(road)
	come := func(from string) (c *traveller) {
		c = &traveller{from: &net.TCPAddr{IP: net.ParseIP(from), Port: 1}, closed: make(chan struct{})}
		road <- c
		return c
	}
	accepted := make(chan net.Conn)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	defer l.Close()
	var open []net.Conn
	for full := false; !full; {
		c := come("192.0.2.1")
		select {
		case got := <-accepted:
			open = append(open, got)
		case <-c.closed:
			full = true
		}
		if len(open) == 16000 {
			t.Fatalf("%d connections of one host", len(open))
		}
	}
	come("192.0.2.2")
	<-accepted
	if err := open[0].Close(); err != nil {
		t.Fatal(err)
	}
	come("192.0.2.1")
	<-accepted
}

// Who has not said who it is sends little.
func TestLongEnrolment(t *testing.T) {
	s := newSite(t)
	got := s.do(raw{method: http.MethodPost, path: "/v1/enrol", body: `{"token": "n1.x.y", "csr": "` + strings.Repeat("a", 100000) + `"}`})
	if got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", got.status, got.body)
	}
}
