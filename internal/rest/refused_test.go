package rest_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/client"
	"github.com/berth-net/berth/internal/rest/wire"
)

// Everything that is refused has the right status, says what is wrong as a
// problem, and leaves a line in the log with who, from where and what.
func TestRefusals(t *testing.T) {
	s := newSite(t)
	s.furnish()
	s.put(fleet.KindNIC, "db-1", "{project: db, network: lan}")
	const nic = `{"project": "web", "network": "lan"}`
	for name, c := range map[string]struct {
		raw
		status int
		want   string // in the detail or the errors
	}{
		"no credentials":          {raw{method: "GET", path: "/v1/nics"}, 401, "no credentials"},
		"no credentials, write":   {raw{method: "PUT", path: "/v1/nics/x", body: nic}, 401, "no credentials"},
		"an unknown token":        {raw{method: "GET", path: "/v1/nics", header: auth("Bearer nonsense")}, 401, "not known"},
		"another scheme":          {raw{method: "GET", path: "/v1/nics", header: auth("Basic b3A6eA==")}, 401, "scheme Bearer"},
		"another project's NIC":   {raw{method: "GET", path: "/v1/nics/db-1", as: "alice"}, 403, `project \"db\"`},
		"another's, to change":    {raw{method: "PUT", path: "/v1/nics/db-1", as: "alice", body: nic}, 403, `project \"db\"`},
		"another's, to delete":    {raw{method: "DELETE", path: "/v1/nics/db-1", as: "alice"}, 403, `project \"db\"`},
		"into another project":    {raw{method: "PUT", path: "/v1/nics/x", as: "alice", body: `{"project": "db", "network": "lan"}`}, 403, `project \"db\"`},
		"into no project":         {raw{method: "PUT", path: "/v1/nics/x", as: "alice", body: `{"project": "nix", "network": "lan"}`}, 403, "role"},
		"a viewer writes":         {raw{method: "PUT", path: "/v1/nics/x", as: "eve", body: nic}, 403, "it needs the role member"},
		"a user makes a network":  {raw{method: "PUT", path: "/v1/networks/x", as: "alice", body: `{"prefixes": ["198.51.100.0/24"]}`}, 403, "operators"},
		"an admin sets quotas":    {raw{method: "PUT", path: "/v1/projects/db", as: "bob", body: `{"roles": {"admin": ["user:bob"]}, "quota": {"nics": 5}}`}, 403, "quotas are set by operators"},
		"a user wants a token":    {raw{method: "POST", path: "/v1/nodes/n1/token", as: "alice"}, 403, "operators"},
		"a user reads a stream":   {raw{method: "GET", path: "/v1/nodes/n1/stream", as: "op"}, 403, `for node \"n1\" alone`},
		"a user reports":          {raw{method: "POST", path: "/v1/nodes/n1/report", as: "op", body: "{}"}, 403, `for node \"n1\" alone`},
		"an exact address":        {raw{method: "PUT", path: "/v1/nics/x", as: "alice", body: `{"project": "web", "network": "lan", "addresses": ["192.0.2.50"]}`}, 403, "192.0.2.50"},
		"a malformed body":        {raw{method: "PUT", path: "/v1/nics/x", as: "op", body: `{"project": `}, 422, ""},
		"an unknown field":        {raw{method: "PUT", path: "/v1/nics/x", as: "op", body: `{"project": "web", "network": "lan", "colour": "red"}`}, 422, "colour"},
		"a bad value":             {raw{method: "PUT", path: "/v1/nics/x", as: "op", body: `{"project": "web", "network": "lan", "mac": "zz"}`}, 422, "zz"},
		"no such network":         {raw{method: "PUT", path: "/v1/nics/x", as: "op", body: `{"project": "web", "network": "nix"}`}, 404, "nix"},
		"a taken address":         {raw{method: "PUT", path: "/v1/nics/x", as: "op", body: `{"project": "web", "network": "lan", "addresses": ["192.0.2.10"]}`}, 409, "db-1"},
		"two documents":           {raw{method: "PUT", path: "/v1/nics/x", as: "op", body: "project: web\n---\nproject: db\n", header: kind("application/yaml")}, 422, "one"},
		"another name inside":     {raw{method: "PUT", path: "/v1/nics/x", as: "op", body: `{"name": "y", "project": "web", "network": "lan"}`}, 422, "y"},
		"no body":                 {raw{method: "PUT", path: "/v1/nics/x", as: "op"}, 400, "empty"},
		"a body for nothing":      {raw{method: "GET", path: "/v1/nics", as: "op", body: "hello"}, 400, "body"},
		"another type":            {raw{method: "PUT", path: "/v1/nics/x", as: "op", body: nic, header: kind("text/html")}, 415, "text/html"},
		"an oversized body":       {raw{method: "PUT", path: "/v1/nics/x", as: "op", body: `{"hostname": "` + strings.Repeat("a", wire.MaxBody) + `"}`}, 413, "1048576"},
		"an unknown parameter":    {raw{method: "GET", path: "/v1/nics?colour=red", as: "op"}, 400, "colour"},
		"one given twice":         {raw{method: "GET", path: "/v1/nics?limit=1&limit=2", as: "op"}, 400, "2 times"},
		"a bad parameter":         {raw{method: "GET", path: "/v1/nics?limit=many", as: "op"}, 400, "many"},
		"a missing parameter":     {raw{method: "GET", path: "/v1/who-had", as: "op"}, 400, "address"},
		"a bad query":             {raw{method: "GET", path: "/v1/nics?a;b", as: "op"}, 400, "query"},
		"a bad name":              {raw{method: "GET", path: "/v1/nics/-x", as: "op"}, 400, "-x"},
		"a path in the name":      {raw{method: "GET", path: "/v1/nics/..%2F..", as: "op"}, 404, "nothing at"},
		"a bad revision":          {raw{method: "PUT", path: "/v1/nics/x", as: "op", body: nic, header: map[string]string{"If-Match": "7"}}, 400, "If-Match"},
		"no such path":            {raw{method: "GET", path: "/v2/nics", as: "op"}, 404, "/v2/nics"},
		"a path to clean":         {raw{method: "GET", path: "/v1//nics", as: "op"}, 404, "//"},
		"no such method":          {raw{method: "PATCH", path: "/v1/nics/x", as: "op"}, 405, "PATCH"},
		"no such resource":        {raw{method: "GET", path: "/v1/nics/nix", as: "op"}, 404, "nix"},
		"a token of no form":      {raw{method: "POST", path: "/v1/enrol", body: `{"token": "x", "csr": ""}`}, 403, "token"},
		"a token nobody made":     {raw{method: "POST", path: "/v1/enrol", body: `{"token": "n1.00.00", "csr": ""}`}, 403, "token"},
		"a watch from the future": {raw{method: "GET", path: "/v1/watch?from=x", as: "op"}, 400, "from"},
		"too far back":            {raw{method: "GET", path: "/v1/watch?from=1", as: "op"}, 410, "list again"},
		"a policy not CEL":        {raw{method: "PUT", path: "/v1/policies/p", as: "op", body: `{"rules": [{"name": "r", "effect": "deny", "when": "1 +"}]}`}, 422, "p"},
	} {
		got := s.do(c.raw)
		p := decodeAs[wire.Problem](t, got.body)
		if got.status != c.status || p.Status != c.status || got.kind != "application/problem+json" || !strings.Contains(string(got.body), c.want) {
			t.Errorf("%s: %d %s %s, want %d and %q", name, got.status, got.kind, got.body, c.status, c.want)
		}
		who := "actor=nobody"
		if c.as != "" {
			who = "actor=user:" + c.as
		}
		path, _, _ := strings.Cut(c.path, "?")
		path = strings.ReplaceAll(path, "%2F", "/")
		line := fmt.Sprintf("method=%s path=%s status=%d", c.method, path, c.status)
		if !logHas(s.log.String(), "msg=refused", who, "from=127.0.0.1:", line) {
			t.Errorf("%s: not recorded: %s %s", name, who, line)
		}
	}
	if t.Failed() {
		return
	}
	ds, err := s.as("op").Decisions(t.Context(), "web", 10)
	if err != nil || len(ds) == 0 || ds[0].Allowed || ds[0].Actor != "user:alice" || ds[0].Policy == "" || !strings.Contains(string(ds[0].Input), "192.0.2.50") {
		t.Errorf("what the policy refused is not recorded: %+v, %v", ds, err)
	}
}

func auth(v string) map[string]string { return map[string]string{"Authorization": v} }
func kind(v string) map[string]string { return map[string]string{"Content-Type": v} }

// logHas reports whether one line has all of it.
func logHas(log string, all ...string) bool {
	for line := range strings.SplitSeq(log, "\n") {
		found := true
		for _, part := range all {
			found = found && strings.Contains(line, part)
		}
		if found {
			return true
		}
	}
	return false
}

// A node is nobody but itself, and only as long as its certificate is the one of
// its last enrolment.
func TestNodesAreApart(t *testing.T) {
	s := newSite(t)
	s.furnish()
	n1 := s.enrol("n1")
	if w, err := n1.Whoami(t.Context()); err != nil || w.Kind != "node" || w.Name != "n1" || w.Operator {
		t.Fatalf("%+v, %v", w, err)
	}
	if _, err := n1.Stream(t.Context(), "n2", 0, ""); status(err) != http.StatusForbidden {
		t.Errorf("another's stream: %v", err)
	}
	if err := n1.Report(t.Context(), "n2", []byte(`{"node":"n2","generation":1,"digest":"","version":"","kernel":""}`)); status(err) != http.StatusForbidden {
		t.Errorf("another's report: %v", err)
	}
	_, csr := s.newKey()
	if _, err := n1.Renew(t.Context(), "n2", csr); status(err) != http.StatusForbidden {
		t.Errorf("another's certificate: %v", err)
	}
	if _, err := n1.List(t.Context(), fleet.KindNIC, client.Query{}); status(err) != http.StatusForbidden {
		t.Errorf("all NICs: %v", err)
	}
	if _, err := n1.NodeToken(t.Context(), "n1"); status(err) != http.StatusForbidden {
		t.Errorf("a token: %v", err)
	}
	if _, err := n1.Renew(t.Context(), "n1", csr); err != nil {
		t.Errorf("its own certificate: %v", err)
	}
	if !logHas(s.log.String(), "actor=node:n1", "path=/v1/nodes/n2/stream", "status=403") {
		t.Error("what it wanted is not recorded")
	}
	if _, err := s.as("op").Delete(t.Context(), fleet.KindNode, "n1", client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := n1.Whoami(t.Context()); status(err) != http.StatusNotFound {
		t.Errorf("of a node that was removed: %v", err)
	}
	s.put(fleet.KindNode, "n1", "{}")
	if _, err := n1.Whoami(t.Context()); err == nil {
		t.Error("a node of the same name is taken for it")
	}
}

// status is what the controller answered with.
func status(err error) int {
	var refused *client.Error
	if errors.As(err, &refused) {
		return refused.Problem.Status
	}
	return 0
}

// A token is good once, for the one node, and its second use is recorded.
func TestReplayedToken(t *testing.T) {
	s := newSite(t)
	s.furnish()
	token, err := s.as("op").NodeToken(t.Context(), "n1")
	if err != nil {
		t.Fatal(err)
	}
	anybody := s.with(client.Options{URL: s.url, Fingerprint: s.ca.Fingerprint()})
	_, csr := s.newKey()
	if _, err := anybody.Enrol(t.Context(), strings.Replace(token.Token, "n1.", "n2.", 1), csr); status(err) != http.StatusForbidden {
		t.Errorf("for another node: %v", err)
	}
	if _, err := anybody.Enrol(t.Context(), token.Token, "no request"); status(err) != http.StatusUnprocessableEntity {
		t.Errorf("without a request: %v", err)
	}
	e, err := anybody.Enrol(t.Context(), token.Token, csr)
	if err != nil || e.CA != string(s.ca.PEM()) || len(e.Controllers) != 1 || len(e.DUID) != 53 {
		t.Fatalf("%+v, %v", e, err)
	}
	if _, err := anybody.Enrol(t.Context(), token.Token, csr); status(err) != http.StatusForbidden || strings.Contains(err.Error(), "used") {
		t.Errorf("again: %v", err)
	}
	if !logHas(s.log.String(), "msg=refused", "path=/v1/enrol", "status=403", "was used already at", "from 127.0.0.1") {
		t.Error("the replay is not recorded")
	}
	if strings.Contains(s.log.String(), strings.Split(token.Token, ".")[1]) {
		t.Error("the log has the secret")
	}
	wrong := s.with(client.Options{URL: s.url, Fingerprint: strings.Repeat("00", 32)})
	if _, err := wrong.Enrol(t.Context(), token.Token, csr); err == nil || !strings.Contains(err.Error(), "fingerprint") {
		t.Errorf("a controller of another site is believed: %v", err)
	}
}

// Who enrols again makes the certificates of before worthless.
func TestEnrolAgain(t *testing.T) {
	s := newSite(t)
	s.furnish()
	n := s.node("n1")
	before := n.client
	n.next()
	after := s.enrol("n1")
	if _, err := before.Whoami(t.Context()); status(err) != http.StatusForbidden {
		t.Errorf("the certificate of before: %v", err)
	}
	if _, err := after.Whoami(t.Context()); err != nil {
		t.Error(err)
	}
	// Its stream ends too, though nobody has begun another.
	if _, err := io.ReadAll(n.lines); err != nil {
		t.Error(err)
	}
}

// A watch ends when what it was begun with is good no more.
func TestRevokedWhileWatching(t *testing.T) {
	s := newSite(t)
	s.server.Hurry(20*time.Millisecond, time.Minute, time.Minute)
	s.furnish()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/v1/watch", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+people["alice"])
	resp, err := s.http.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	defer resp.Body.Close()
	if err := os.WriteFile(s.tokens, []byte("tokens: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Error(err)
	}
}

// Headers that are too large, requests that come slowly and garbage cost nothing
// but a connection.
func TestGarbage(t *testing.T) {
	s := newSite(t)
	address := strings.TrimPrefix(s.url, "https://")
	for name, c := range map[string]struct{ send, want string }{
		"large headers": {"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", "431"},
		"no HTTP":       {"\x00\x01\x02\r\n\r\n", "400"},
		"a bad length":  {"PUT /v1/nics/x HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", "400"},
	} {
		conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: s.ca.Pool(), MinVersion: tls.VersionTLS13})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(c.send)); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		_, _ = got.ReadFrom(conn) // until it is cut
		conn.Close()
		if !strings.HasPrefix(got.String(), "HTTP/1.1 "+c.want) {
			t.Errorf("%s: %q", name, got.String())
		}
	}
	// Nothing of what is not TLS 1.3 is answered.
	if conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: s.ca.Pool(), MaxVersion: tls.VersionTLS12}); err == nil {
		conn.Close()
		t.Error("TLS 1.2 is spoken")
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	_, _ = got.ReadFrom(conn)
	if strings.Contains(got.String(), "200") {
		t.Errorf("plain HTTP is answered: %q", got.String())
	}
	if _, err := s.as("").Ready(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// Who sends slowly, or does not take what it asked for, is cut off; who only has
// nothing to hear is not.
func TestSlowClients(t *testing.T) {
	s := newSite(t)
	s.server.Hurry(20*time.Millisecond, time.Second, 2*time.Second)
	s.furnish()
	dial := func(send string) *tls.Conn {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), &tls.Config{RootCAs: s.ca.Pool(), MinVersion: tls.VersionTLS13})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := conn.Write([]byte(send + "Authorization: Bearer " + people["op"] + "\r\nHost: x\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	var got bytes.Buffer
	_, _ = got.ReadFrom(dial("PUT /v1/nics/x HTTP/1.1\r\nContent-Length: 100\r\n")) // and never the body
	if !strings.HasPrefix(got.String(), "HTTP/1.1 400") {
		t.Errorf("a body that does not come: %q", got.String())
	}
	idle := dial("GET /v1/watch HTTP/1.1\r\n")
	deaf := dial("GET /v1/watch HTTP/1.1\r\n")
	if tcp, ok := deaf.NetConn().(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(1 << 10)
	}
	lines := bufio.NewReader(idle)
	for heard := 0; heard < 100; { // empty lines, for longer than a slow client has
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("an idle watch ended: %v", err)
		}
		if strings.TrimSpace(line) == "" {
			heard++
		}
	}
	many := strings.Repeat("'user:somebody-with-a-long-name', ", 20000)
	for i := range 100 { // some 60 MB, more than is on the way anywhere
		if logHas(s.log.String(), `msg="watch ended"`, deaf.LocalAddr().String()) {
			break
		}
		s.put(fleet.KindProject, fmt.Sprintf("big%d", i), "{roles: {viewer: ["+many+"]}}")
	}
	for !logHas(s.log.String(), `msg="watch ended"`, deaf.LocalAddr().String()) {
		if t.Context().Err() != nil {
			t.Fatal("a watch that nobody reads goes on")
		}
		<-time.After(10 * time.Millisecond)
	}
}
