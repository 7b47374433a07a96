package story_test

import (
	"strings"
	"testing"
)

// TestNodesAreApart: with its certificate a node gets its own set, and nothing
// of another's, whatever it asks.
func TestNodesAreApart(t *testing.T) {
	t.Parallel()
	e := newEstate(t, 1)
	n1, n2 := e.addNode("n1"), e.addNode("n2")
	e.addVM("own", n1, "")
	e.addVM("others", n2, "")
	for _, c := range []struct {
		what, method, path, body, code string
	}{
		{"its own set", "GET", "nodes/n1/stream", "", "200"},
		{"another's set", "GET", "nodes/n2/stream", "", "403"},
		{"another's report", "POST", "nodes/n2/report", `{"node": "n2"}`, "403"},
		{"a report in another's name", "POST", "nodes/n1/report", `{"node": "n2"}`, "422"},
		{"another's certificate", "POST", "nodes/n2/renew", `{"csr": "x"}`, "403"},
		{"another's NIC", "GET", "nics/others", "", "403"},
		{"a change of another's NIC", "DELETE", "nics/others", "", "403"},
		{"a change of its own NIC", "DELETE", "nics/own", "", "403"},
		{"another's status", "GET", "nodes/n2/status", "", "403"},
		{"a token for itself", "POST", "nodes/n1/token", "", "403"},
	} {
		code, body := n1.curl(c.method, c.path, c.body)
		if code != c.code {
			t.Errorf("%s: %s, want %s: %s", c.what, code, c.code, body)
		}
		if strings.Contains(body, `"others"`) && strings.Contains(body, "192.0.2.") {
			t.Errorf("%s tells of another's NIC: %s", c.what, body)
		}
	}
	_, set := n1.curl("GET", "nodes/n1/stream", "")
	if !strings.Contains(set, `"name":"own"`) {
		t.Errorf("its own NIC is not in its set: %s", set)
	}
	if e.granted("others").Node != "n2" {
		t.Error("others was changed")
	}
}

// curl asks the controller with the node's own certificate, and returns status
// and body; of a stream what comes within a second.
func (m *member) curl(method, path, body string) (code, text string) {
	m.t.Helper()
	creds := m.dir + "/state/controller/"
	argv := []string{
		needTool(m.t, "curl"), "-sS", "-X", method, "--max-time", "1", "-w", "\n%{http_code}",
		"--cacert", creds + "ca.crt", "--cert", creds + "node.crt", "--key", creds + "node.key",
	}
	if body != "" {
		argv = append(argv, "-H", "Content-Type: application/json", "-d", body)
	}
	out, err := m.ns.Try(append(argv, "https://"+m.e.replicas[0].address+":7443/v1/"+path)...)
	if err != nil && !strings.HasSuffix(path, "/stream") {
		m.t.Fatalf("curl %s: %v: %s", path, err, out)
	}
	at := strings.LastIndexByte(out, '\n')
	return out[at+1:], out[:max(at, 0)]
}
