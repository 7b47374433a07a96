package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/api/apitest"
)

const (
	doc7  = "nic: tap7\nmac: 52:54:00:aa:00:07\naddresses: [192.0.2.7/24]\n"
	doc8  = "nic: tap8\nmac: 52:54:00:aa:00:08\naddresses: [192.0.2.8/24]\n"
	file9 = "52:54:00:aa:00:09"
)

// started is a served node.
type started struct {
	socket string
	log    *strings.Builder
	stop   func() error
}

// start serves a node on a socket until the test ends.
func start(t *testing.T, node api.Node, tune ...func(*api.Server)) started {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "berthd.sock")
	l, err := api.Listen(socket, 0o660, "")
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	strip := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	s := api.NewServer(node, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: strip})))
	for _, f := range tune {
		f(s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	stop := func() error {
		cancel()
		err := <-ended
		ended <- err
		return err
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Serve ended with %v", err)
		}
	})
	return started{socket, &log, stop}
}

// httpClient is an ordinary one, as a script's would be.
func httpClient(t *testing.T, socket string) *http.Client {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func ask(t *testing.T, c *http.Client, method, path, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://berthd"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s\n%s", resp.StatusCode, resp.Header.Get("Content-Type"), got)
}

// TestRoutes asks every route once for each of its outcomes. The requests of
// one step happen in order on one node, so that a change is seen by the next.
func TestRoutes(t *testing.T) {
	node := apitest.New(16)
	node.DeclareFile("tap9", file9, "192.0.2.9/24")
	node.AddLink("tap7", 77)
	c := httpClient(t, start(t, node).socket)
	const (
		ok      = "200 application/json\n"
		tap8    = `{"nic":"tap8","state":"waiting","reason":"no-link","since":"2026-01-02T03:04:05Z","mac":"52:54:00:aa:00:08","addresses":["192.0.2.8/24"],"source":"socket","binding":{"nic":"tap8","mac":"52:54:00:aa:00:08","addresses":["192.0.2.8/24"]}}`
		tap9    = `{"nic":"tap9","state":"waiting","reason":"no-link","since":"2026-01-02T03:04:05Z","mac":"52:54:00:aa:00:09","addresses":["192.0.2.9/24"],"source":"dir","file":"/etc/berth/nics.d/tap9.yaml","line":1,"binding":{"nic":"tap9","mac":"52:54:00:aa:00:09","addresses":["192.0.2.9/24"]}}`
		closed7 = `{"nic":"tap7","state":"closed","reason":"closed","since":"2026-01-02T03:04:05Z","link":{"ifindex":77,"host_mac":"fe:54:00:aa:00:01","kind":"tun","operstate":"up","bridge":"br0"},"installed":{"attach":"tcx","mode":"closed","macs":[],"sources":[],"ipv6":false,"server_id":"","answering":false,"in_force":true}}`
	)
	steps := []struct{ method, path, body, want string }{
		{"GET", "/healthz", "", ok + `{"status":"ok"}`},
		{"GET", "/v1/status", "", ok + `{"version":"v0.1.0","started":"2026-01-02T03:04:05Z","generation":1,"kernel":"6.18.0","attach":"tcx","lock":"armed","sources":[{"name":"dir","path":"/etc/berth/nics.d","generation":3,"bindings":1,"read":"2026-01-02T03:04:05Z"}],"nics":{"closed":1,"waiting":1}}`},
		{"GET", "/v1/nics", "", ok + "[" + closed7 + "," + tap9 + "]"},
		{"GET", "/v1/nics?mac=52-54-00-AA-00-09", "", ok + "[" + tap9 + "]"},
		{"GET", "/v1/nics?address=192.0.2.9&mac=5254.00aa.0009", "", ok + "[" + tap9 + "]"},
		{"GET", "/v1/nics?address=192.0.2.99", "", ok + "[]"},
		{"GET", "/v1/nics/tap7", "", ok + closed7},
		{"GET", "/v1/plan", "", ok + `{"steps":[],"waits":["tap9: no-link"]}`},
		{"POST", "/v1/plan", doc7, ok + `{"steps":["guard tap7#77","answer tap7#77"],"waits":[]}`},
		{"PUT", "/v1/nics/tap8?dry-run=1", doc8, ok + `{"nic":"tap8","changed":true,"dry_run":true,"steps":["arm tap8"],"waits":["tap8: no-link"]}`},
		{"GET", "/v1/nics/tap8", "", problem(404, "Not Found", "tap8: not found")}, // nothing was changed
		{"PUT", "/v1/nics/tap8", doc8, ok + `{"nic":"tap8","changed":true,"steps":["arm tap8"],"waits":["tap8: no-link"],"now":` + tap8 + `}`},
		{"PUT", "/v1/nics/tap8", `{"nic":"tap8","mac":"52-54-00-AA-00-08","addresses":["192.0.2.8/24"]}`, ok + `{"nic":"tap8","changed":false,"now":` + tap8 + `}`},
		{"PUT", "/v1/nics/tap8?wait=20ms", doc8, timeout("tap8 is declared, but: tap8 is not in force after 20ms: waiting (no host interface of that name yet)", tap8)},
		{"POST", "/v1/nics/tap8/wait?timeout=20ms", "", timeout("tap8 is not in force after 20ms: waiting (no host interface of that name yet)", tap8)},
		{"POST", "/v1/nics/tap1/wait?timeout=20ms", "", problem(504, "Gateway Timeout", "tap1 is not in force after 20ms: it is not declared")},
		{"DELETE", "/v1/nics/tap8", "", ok + `{"nic":"tap8","changed":true}`},
		{"DELETE", "/v1/nics/tap8", "", ok + `{"nic":"tap8","changed":false}`},
		{"POST", "/v1/nics/tap7/trace", `{"frames":[{"bytes":"////////UlQAqgAHCAA=","to_guest":true}]}`, ok + `[{"to_guest":true,"frame":{"bytes":"////////UlQAqgAHCAA=","text":"52:54:00:aa:00:07 to ff:ff:ff:ff:ff:ff, type 0x0800"},"fate":"dropped","reason":"no-binding","why":"the NIC is closed: no binding is in force"}]`},
		{"POST", "/v1/nics/tap7/release", "", ok + `{"nic":"tap7","changed":true}`},
		{"GET", "/v1/events?since=3&nic=tap8", "", "200 application/jsonl\n" + `{"seq":4,"time":"2026-01-02T03:04:05Z","nic":"tap8","kind":"closed","text":"tap8 closed"}`},
		{"GET", "/v1/events?since=4&follow=0", "", "200 application/jsonl\n" + `{"seq":5,"time":"2026-01-02T03:04:05Z","nic":"tap7","kind":"released","text":"tap7 released"}`},
	}
	for _, step := range steps {
		got := ask(t, c, step.method, step.path, step.body)
		if diff := cmp.Diff(step.want+"\n", got); diff != "" {
			t.Fatalf("%s %s (-want +got):\n%s", step.method, step.path, diff)
		}
	}
}

// TestSelect finds a NIC by whatever is its own: an address of either family,
// also one that its guest made in a prefix.
func TestSelect(t *testing.T) {
	node := apitest.New(16)
	node.DeclareFile("tap9", file9, "192.0.2.9/24", "2001:db8:1::9/64")
	sock := start(t, node).socket
	const doc = `{"nic":"tap8","mac":"52:54:00:aa:00:08","slaac":["2001:db8:a::/64"],"delegated":["2001:db8:100::/56"]}`
	client := api.NewClient(sock)
	if _, err := client.Set(t.Context(), "tap8", []byte(doc), api.SetOptions{}); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"192.0.2.9": "tap9", "::ffff:192.0.2.9": "tap9", "2001:db8:1::9": "tap9", "2001:DB8:1:0::9": "tap9",
		"2001:db8:a::": "tap8", "2001:db8:a::5054:ff:feaa:8": "tap8", "2001:db8:100:ff::1": "tap8",
		"192.0.2.1": "", "2001:db8:1::1": "", "2001:db8:a:1::": "", "2001:db8:101::": "", "fe80::1": "",
	} {
		nics, err := client.Find(t.Context(), api.Selector{Address: netip.MustParseAddr(address)})
		var got []string
		for _, n := range nics {
			got = append(got, n.Name)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s is found at %q (%v), want %q", address, got, err, want)
		}
	}
}

func problem(status int, title, detail string, errs ...string) string {
	list := ""
	if len(errs) > 0 {
		list = `,"errors":["` + strings.Join(errs, `","`) + `"]`
	}
	return fmt.Sprintf(`%d application/problem+json`+"\n"+`{"type":"about:blank","title":%q,"status":%d,"detail":%q%s}`, status, title, status, detail, list)
}

func timeout(detail, nic string) string {
	return strings.TrimSuffix(problem(504, "Gateway Timeout", detail), "}") + `,"nic":` + nic + "}"
}

func TestRefusals(t *testing.T) {
	node := apitest.New(16)
	node.DeclareFile("tap9", file9, "192.0.2.9/24")
	c := httpClient(t, start(t, node).socket)
	const bad = "Bad Request"
	long := strings.Repeat("x", 16)
	tests := []struct{ method, path, body, want string }{
		{"GET", "/", "", problem(404, "Not Found", "there is nothing at /")},
		{"GET", "/v2/nics", "", problem(404, "Not Found", "there is nothing at /v2/nics")},
		{"POST", "/v1/status", "", problem(405, "Method Not Allowed", "POST is not possible here, only GET")},
		{"PATCH", "/v1/nics/tap9", "", problem(405, "Method Not Allowed", "PATCH is not possible here, only GET, PUT, DELETE")},
		{"GET", "/v1/nics?macs=1", "", problem(400, bad, `unknown query parameter "macs"`)},
		{"GET", "/v1/nics?mac=52:54", "", problem(400, bad, `mac: "52:54" is not a MAC address: want six octets like 52:54:00:aa:00:01`)},
		{"GET", "/v1/nics?address=1.2.3", "", problem(400, bad, `address: "1.2.3" is not an IP address`)},
		{"GET", "/v1/nics?address=1.2.3.4&address=1.2.3.5", "", problem(400, bad, `query parameter "address" is given 2 times`)},
		{"GET", "/v1/nics?mac=%zz", "", problem(400, bad, `query "mac=%zz": invalid URL escape "%zz"`)},
		{"GET", "/v1/nics/" + long, "", problem(400, bad, `"`+long+`" has 16 bytes, an interface name has 1 to 15`)},
		{"GET", "/v1/nics/a%2fb", "", problem(400, bad, `"a/b" has a character that no interface name may have`)},
		{"GET", "/v1/nics/a%20b", "", problem(400, bad, `"a b" has a character that no interface name may have`)},
		{"GET", "/v1/nics/a%1bb", "", problem(400, bad, `"a\x1bb" has a character that no interface name may have`)},
		{"GET", "/v1/nics/%ff", "", problem(400, bad, `"\xff" is not UTF-8`)},
		{"GET", "/v1/nics/tap1", "", problem(404, "Not Found", "tap1: not found")},
		{"PUT", "/v1/nics/tap7", "", problem(400, bad, "the request has no document")},
		{"PUT", "/v1/nics/tap7?dry-run=yes", doc7, problem(400, bad, `dry-run: "yes" is neither 1 nor 0`)},
		{"PUT", "/v1/nics/tap7?wait=-1s", doc7, problem(400, bad, `wait: "-1s" is not a duration above 0 and up to 10m0s, such as 10s`)},
		{"PUT", "/v1/nics/tap7?wait=11m", doc7, problem(400, bad, `wait: "11m" is not a duration above 0 and up to 10m0s, such as 10s`)},
		{"PUT", "/v1/nics/tap7?wait=1s&dry-run=1", doc7, problem(400, bad, "dry-run changes nothing to wait for")},
		{"PUT", "/v1/nics/tap7", doc8, problem(422, "Unprocessable Entity", "tap7: the document is refused", `1:1: nic \"tap8\": want \"tap7\"`)},
		{"PUT", "/v1/nics/tap9", strings.Replace(doc7, "tap7", "tap9", 1), problem(409, "Conflict", "tap9 is declared in /etc/berth/nics.d/tap9.yaml:1: conflict")},
		{"PUT", "/v1/nics/tap7", "nic: tap7\nmac: " + file9, problem(409, "Conflict", "mac "+file9+" is held by tap9: conflict")},
		{"PUT", "/v1/nics/tap7", doc7 + strings.Repeat("#", api.MaxBody), problem(413, "Request Entity Too Large", "the document has more than 1048576 bytes")},
		{"DELETE", "/v1/nics/tap9", "", problem(409, "Conflict", "tap9 is declared in /etc/berth/nics.d/tap9.yaml:1, remove it there: conflict")},
		{"POST", "/v1/nics/tap1/release", "", problem(404, "Not Found", "tap1: not found")},
		{"POST", "/v1/nics/tap9/wait", "", problem(400, bad, "timeout is missing, such as timeout=10s")},
		{"POST", "/v1/nics/tap9/trace", "", problem(400, bad, "the request has no document")},
		{"POST", "/v1/nics/tap9/trace", `{"frames":[]}`, problem(400, bad, "0 frames, want 1 to 1000")},
		{"POST", "/v1/nics/tap9/trace", `{"frames":[` + strings.Repeat("{},", 1000) + "{}]}", problem(400, bad, "1001 frames, want 1 to 1000")},
		{"POST", "/v1/nics/tap9/trace", `{"frames":[{"hex":"00"}]}`, problem(400, bad, `the frames: json: unknown field "hex"`)},
		{"POST", "/v1/nics/tap9/trace", `{"frames":[{"bytes":"!"}]}`, problem(400, bad, "the frames: illegal base64 data at input byte 0")},
		{"POST", "/v1/nics/tap9/trace", `{"frames":[{}]}`, problem(404, "Not Found", "not found: NIC tap9 has no guard that could be asked: no host interface of that name yet")},
		{"POST", "/v1/nics/tap1/trace", `{"frames":[{}]}`, problem(404, "Not Found", "tap1: not found")},
		{"POST", "/v1/plan", " \n", problem(400, bad, "the request has no document")},
		{"GET", "/v1/events?since=-1", "", problem(400, bad, `since: "-1" is not the number of an event`)},
		{"GET", "/v1/events?nic=", "", problem(400, bad, `nic: "" has 0 bytes, an interface name has 1 to 15`)},
		{"GET", "/v1/events?follow=x", "", problem(400, bad, `follow: "x" is neither 1 nor 0`)},
	}
	for _, tt := range tests {
		got := ask(t, c, tt.method, tt.path, tt.body)
		if diff := cmp.Diff(tt.want+"\n", got); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", tt.method, tt.path, diff)
		}
	}
	nics, err := node.NICs(t.Context())
	if err != nil || len(nics) != 1 || nics[0].Name != "tap9" {
		t.Errorf("after nothing but refusals the node has %v, %v; want tap9 alone", nics, err)
	}
}

// TestNodeFails: whatever the route, a failing agent is a 500 with its reason.
func TestNodeFails(t *testing.T) {
	node := apitest.New(16)
	c := httpClient(t, start(t, node).socket)
	node.Break(errors.New("maps are gone"))
	want := problem(500, "Internal Server Error", "maps are gone") + "\n"
	for _, r := range [][3]string{
		{"GET", "/healthz"},
		{"GET", "/v1/status"},
		{"GET", "/v1/nics"},
		{"GET", "/v1/nics/tap7"},
		{"GET", "/v1/plan"},
		{"PUT", "/v1/nics/tap7", doc7},
		{"POST", "/v1/plan", doc7},
		{"DELETE", "/v1/nics/tap7"},
	} {
		if diff := cmp.Diff(want, ask(t, c, r[0], r[1], r[2])); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", r[0], r[1], diff)
		}
	}
}

// TestAudit: a change is logged with the peer that the kernel vouches for, and
// the node gets it too; a dry run is no change.
func TestAudit(t *testing.T) {
	node := apitest.New(16)
	s := start(t, node)
	c := api.NewClient(s.socket)
	_, err1 := c.Set(t.Context(), "tap7", []byte(doc7), api.SetOptions{DryRun: true})
	_, err2 := c.Set(t.Context(), "tap7", []byte(doc7), api.SetOptions{})
	_, err3 := c.Delete(t.Context(), "tap7")
	_, err4 := c.Release(t.Context(), "tap7")
	if err1 != nil || err2 != nil || err3 != nil || !errors.Is(err4, api.ErrNotFound) {
		t.Fatalf("set, set, delete, release: %v, %v, %v, %v", err1, err2, err3, err4)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	actor := fmt.Sprintf("uid=%d pid=%d", os.Getuid(), os.Getpid())
	want := fmt.Sprintf(`level=INFO msg="socket request" verb=set nic=tap7 changed=true actor=%[1]q
level=INFO msg="socket request" verb=delete nic=tap7 changed=true actor=%[1]q
level=INFO msg="socket request" verb=release nic=tap7 changed=false actor=%[1]q err="tap7: not found"
`, actor)
	if diff := cmp.Diff(want, s.log.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{actor, actor}, node.Actors()); diff != "" {
		t.Errorf("actors the node saw (-want +got):\n%s", diff)
	}
}

// TestWaitEndsWithTheLink: the waiter is woken, not timed out.
func TestWaitEndsWithTheLink(t *testing.T) {
	node := apitest.New(16)
	c := api.NewClient(start(t, node).socket)
	got := make(chan error, 2)
	for range 2 {
		go func() {
			n, err := c.Wait(t.Context(), "tap7", time.Minute)
			if err == nil && n.State != api.InForce {
				err = fmt.Errorf("state %s", n.State)
			}
			got <- err
		}()
	}
	if _, err := c.Set(t.Context(), "tap7", []byte(doc7), api.SetOptions{}); err != nil {
		t.Fatal(err)
	}
	node.AddLink("tap7", 77)
	for range 2 {
		if err := <-got; err != nil {
			t.Error(err)
		}
	}
	if ch, err := c.SetAndWait(t.Context(), "tap7", []byte(doc7), time.Minute); err != nil || ch.Changed || ch.Now.State != api.InForce {
		t.Errorf("set again and wait: %+v, %v; want unchanged and in force", ch, err)
	}
}

// TestStopEndsWaits: a server that stops doesn't wait for its waiters.
func TestStopEndsWaits(t *testing.T) {
	node := apitest.New(16)
	s := start(t, node)
	c := api.NewClient(s.socket)
	next := follow(t, c, api.EventQuery{Follow: true})
	node.AddLink("tap1", 1)
	if e := next(); e.NIC != "tap1" {
		t.Fatalf("first event %+v", e)
	}
	waited := make(chan error, 1)
	go func() {
		_, err := c.Wait(t.Context(), "tap7", time.Minute)
		waited <- err
	}()
	time.Sleep(50 * time.Millisecond) //nolint:forbidigo // the wait may have begun; the test holds either way
	begun := time.Now()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("stopping took %s", took)
	}
	if err := <-waited; err == nil || errors.Is(err, api.ErrTimeout) {
		t.Errorf("the waiter got %v, want an error that is no timeout", err)
	}
	if _, err := os.Lstat(s.socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestDocsListEveryRoute(t *testing.T) {
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	sections := map[string]string{}
	for _, s := range strings.Split(string(text), "\n### ")[1:] {
		head, body, _ := strings.Cut(s, "\n")
		route := strings.Trim(head, "`")
		documented = append(documented, route)
		sections[route] = body
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(api.Routes())), slices.Sorted(slices.Values(documented))); diff != "" {
		t.Errorf("routes of docs/api.md (-served +documented):\n%s", diff)
	}
	for route, params := range api.Params() {
		for _, p := range params {
			if !strings.Contains(sections[route], "`"+p+"=") {
				t.Errorf("docs/api.md: %s does not mention the parameter %s", route, p)
			}
		}
	}
}
