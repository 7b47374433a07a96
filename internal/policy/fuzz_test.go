package policy_test

import (
	"encoding/json"
	"testing"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/policy"
)

// Any text as expression and as message either is an error or decides.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		"true", `"netops" in identity.groups`, "nics.all(n, size(n.addresses) == 0)", "a.b.c", "'", "[1,2].sum() > 2",
		`time.getHours("Europe/Berlin") < 8`, `cidr("192.0.2.0/24").containsIP(nics[0].addresses[0])`, "policy.NIC{name: 'x'}.mac == ''",
		`nics.map(n, n.binding["a"]).exists(b, b)`, "project.matches('(a*)*b')", "cel.bind(x, [1], x[3] == 1)", "usage.networks[?'lan'].?used.orValue(1) > 0",
	} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, when, message string) {
		s, err := policy.Compile([]fleet.Policy{one("p", deny("r", when, message))})
		if err != nil {
			return
		}
		v := s.Decide(input())
		if v.Failed && v.Allowed {
			t.Errorf("%s: failed, and allows: %+v", when, v)
		}
	})
}

// Any input is decided on.
func FuzzDecide(f *testing.F) {
	raw, err := json.Marshal(input())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"request":{"vms":[{"bandwidth":9223372036854775807,"nics":[{"addresses":["x"],"binding":{"":null}}]}]}}`))
	f.Add([]byte(`{"identity":{"attributes":{"vms":"many"}},"time":"9999-12-31T23:59:59Z"}`))
	s := compile(f,
		one("a", deny("addresses", `nics.exists(n, n.addresses.exists(a, !cidr("192.0.2.0/24").containsIP(a)))`, "'no ' + nics[0].addresses[0]")),
		one("b", deny("quota", `int(identity.attributes["vms"]) < usage.project.vms + size(request.vms)`, "")),
		one("c", deny("sum", "request.vms.map(v, v.bandwidth * 8).sum() > 10 * Gbit", "")),
		one("d", deny("hours", `time.getHours("Europe/Berlin") < 8`, ""), deny("full", `usage.networks[nics[0].network].used > 9`, "")),
		one("e", deny("keys", `nics.exists(n, n.binding.exists(k, n.binding[k] == true))`, "")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var in policy.Input
		if json.Unmarshal(raw, &in) != nil {
			return
		}
		v := s.Decide(in)
		if v != s.Decide(in) || v.Failed && v.Allowed || !v.Allowed && v.Rule == "" {
			t.Errorf("%+v", v)
		}
	})
}
