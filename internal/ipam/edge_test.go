package ipam_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/ipam"
)

// What pools give, in order, where prefixes are as short or long as can be, or
// end where their family does.
func TestEdgesOfPools(t *testing.T) {
	for name, tt := range map[string]struct{ prefixes, ranges, want string }{
		"two of a /31":           {"192.0.2.0/31", "192.0.2.0/31", "192.0.2.0/31 192.0.2.1/31 exhausted"},
		"one of a /32":           {"192.0.2.7/32", "192.0.2.7", "192.0.2.7/32 exhausted"},
		"the hosts of a /30":     {"192.0.2.0/30", "192.0.2.0/30", "192.0.2.1/30 192.0.2.2/30 exhausted"},
		"two of a /127":          {"2001:db8::/127", "2001:db8::/127", "2001:db8::/127 2001:db8::1/127 exhausted"},
		"one of a /128":          {"2001:db8::9/128", "2001:db8::9/128", "2001:db8::9/128 exhausted"},
		"but the anycast":        {"2001:db8::/126", "2001:db8::/126", "2001:db8::1/126 2001:db8::2/126 2001:db8::3/126 exhausted"},
		"the end of a /64":       {"2001:db8::/64", "2001:db8::ffff:ffff:ffff:fffe-2001:db8::ffff:ffff:ffff:ffff", "2001:db8::ffff:ffff:ffff:fffe/64 2001:db8::ffff:ffff:ffff:ffff/64 exhausted"},
		"across a /65":           {"2001:db8::/64", "2001:db8::7fff:ffff:ffff:ffff-2001:db8::8000:0:0:0", "2001:db8::7fff:ffff:ffff:ffff/64 2001:db8:0:0:8000::/64 exhausted"},
		"two prefixes":           {"192.0.2.0/30, 198.51.100.0/30", "192.0.2.2, 198.51.100.1", "192.0.2.2/30 198.51.100.1/30 exhausted"},
		"ranges in their order":  {"192.0.2.0/28", "192.0.2.9, 192.0.2.2", "192.0.2.9/28 192.0.2.2/28 exhausted"},
		"both families":          {"192.0.2.0/30, 2001:db8::/126", "192.0.2.1, 2001:db8::1", "192.0.2.1/30 2001:db8::1/126 exhausted"},
		"excluded at both ends":  {"192.0.2.0/28", "192.0.2.2-192.0.2.5 but 192.0.2.0-192.0.2.3, 192.0.2.5-192.0.2.9", "192.0.2.4/28 exhausted"},
		"excluded all":           {"192.0.2.0/28", "192.0.2.2-192.0.2.5 but 192.0.2.0/28", "exhausted"},
		"the highest of IPv4":    {"255.255.255.0/24", "255.255.255.254-255.255.255.255", "exhausted"},
		"the highest of IPv6":    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127", "exhausted"},
		"the highest of unicast": {"fdff:ffff:ffff:ffff::/64", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/64 exhausted"},
	} {
		w := newWorld(t)
		ranges, exclude, _ := strings.Cut(tt.ranges, " but ")
		w.put("{kind: project, name: p}")
		w.put(fmt.Sprintf("{kind: network, name: lan, projects: [p], prefixes: [%s]}", quoted(tt.prefixes)))
		w.put(fmt.Sprintf("{kind: pool, name: a, network: lan, default: true, ranges: [%s], exclude: [%s]}", quoted(ranges), quoted(exclude)))
		if got := w.draws(); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// quoted has YAML take each of a list for text.
func quoted(list string) string {
	if list == "" {
		return ""
	}
	return `"` + strings.ReplaceAll(list, ", ", `", "`) + `"`
}

// draws takes NICs until there is none left.
func (w *world) draws() string {
	w.t.Helper()
	var got []string
	for i := range 10 {
		name := fmt.Sprintf("v%d", i)
		c, err := w.state.Put(decoded(w.t, "{kind: nic, project: p, network: lan, name: "+name+"}")[0], w.options())
		if err != nil {
			for _, r := range ipam.Refusals(err) {
				got = append(got, string(r.Class))
			}
			break
		}
		w.apply(c, nil)
		got = append(got, w.state.NIC(name).Granted.Addresses[0].String())
	}
	return strings.Join(got, " ")
}

// Two in one request cannot want the same, whatever it is.
func TestSameInOneRequest(t *testing.T) {
	w := newSite(t)
	for nics, want := range map[string]string{
		"{network: lan, addresses: [192.0.2.60]}, {network: lan, addresses: [192.0.2.60]}":   `conflict address-taken request r: vms[0].nics[1].addresses[0] "192.0.2.60": is NIC m-0's`,
		`{network: lan, mac: "52:54:00:00:00:09"}, {network: lan, mac: "52:54:00:00:00:09"}`: `conflict mac-taken request r: vms[0].nics[1].mac "52:54:00:00:00:09": the MAC is NIC m-0's in network lan`,
		"{network: lan, node: n1, interface: t}, {network: lan, node: n1, interface: t}":     `conflict interface-taken request r: vms[0].nics[1].interface "t": is NIC m-0's on node n1`,
		"{network: lan, addresses: [public, 192.0.2.2]}":                                     `conflict address-taken request r: vms[0].nics[0].addresses[1] "192.0.2.2": is the NIC's already`,
		"{network: lan, addresses: [192.0.2.2]}, {network: lan, addresses: [192.0.2.3]}":     `conflict excluded request r: vms[0].nics[1].addresses[0] "192.0.2.3": excluded from pool public`,
	} {
		if got := w.refused("{kind: request, name: r, project: blue, vms: [{name: m, nics: [" + nics + "]}]}"); got != want {
			t.Errorf("%s:\n got %s\nwant %s", nics, got, want)
		}
	}
	w.put("{kind: request, name: r, project: blue, vms: [{name: m, nics: [{network: lan, addresses: [public, six, public]}]}]}")
	if got := fmt.Sprint(w.state.NIC("m-0").Granted.Addresses); got != "[192.0.2.2/24 2001:db8::1/64 192.0.2.4/24]" {
		t.Error(got)
	}
}

// What one NIC of a request leaves another gets, also from a pool that has
// nothing else.
func TestLeftToAnother(t *testing.T) {
	w := newWorld(t)
	w.put(`
{kind: project, name: p}
---
{kind: network, name: lan, projects: [p], prefixes: [192.0.2.0/24]}
---
{kind: pool, name: a, network: lan, default: true, ranges: [192.0.2.2-192.0.2.3]}
---
{kind: request, name: r, project: p, vms: [{name: x, nics: [{network: lan}, {network: lan}]}]}
`)
	w.put("{kind: request, name: r, project: p, vms: [{name: y, nics: [{network: lan}, {network: lan}]}]}")
	if got := fmt.Sprint(w.state.NIC("y-0").Granted.Addresses, w.state.NIC("y-1").Granted.Addresses); got != "[192.0.2.2/24] [192.0.2.3/24]" {
		t.Error(got)
	}
	w.put("{kind: network, name: lan, projects: [p], prefixes: [192.0.2.0/24], hold: 1h}")
	got := w.refused("{kind: request, name: r, project: p, vms: [{name: z, nics: [{network: lan}]}]}")
	if !strings.HasPrefix(got, "exhausted pool-exhausted request r: vms[0].nics[0].addresses: ") && !strings.HasPrefix(got, `exhausted pool-exhausted request r: vms[0].nics[0].addresses "a": `) {
		t.Error(got)
	}
}

// A held address can be had from the very moment that its time is over.
func TestHoldEnds(t *testing.T) {
	w := newWorld(t)
	w.put(`
{kind: project, name: p}
---
{kind: project, name: q}
---
{kind: network, name: lan, projects: ["*"], prefixes: [192.0.2.0/24], hold: 1h}
---
{kind: pool, name: a, network: lan, default: true, ranges: [192.0.2.2]}
---
{kind: nic, name: x, project: p, network: lan}
`)
	had := w.granted("x")
	w.apply(w.state.Delete(fleet.KindNIC, "x", w.options()))
	c, _ := w.state.Claim("lan", netip.MustParseAddr("192.0.2.2"))
	doc := decoded(t, "{kind: nic, name: y, project: q, network: lan}")[0]
	opt := w.options()
	opt.Now = c.Until.Add(-1)
	if _, err := w.state.Put(doc, opt); err == nil {
		t.Error("given away while it is held")
	}
	opt.Now = c.Until
	w.apply(w.state.Put(doc, opt))
	w.want("y", had)
}

// A network's gateway is nobody's, however it is written.
func TestGatewayIsNobodys(t *testing.T) {
	w := newSite(t)
	w.put(`{kind: network, name: six, projects: ["*"], prefixes: ["2001:db8:6::/64"], defaults: {gateway6: "2001:DB8:6:0:0:0:0:1"}}`)
	got := w.refused(`{kind: failover, name: f, project: blue, network: six, addresses: ["2001:db8:6::1"]}`)
	if want := `conflict gateway failover f: addresses[0] "2001:db8:6::1": a gateway of network six`; got != want {
		t.Error(got)
	}
	w.put(`{kind: failover, name: f, project: blue, network: six, addresses: ["2001:db8:6::2"]}`)
	got = w.refused(`{kind: network, name: six, projects: ["*"], prefixes: ["2001:db8:6::/64"], defaults: {gateway6: "2001:db8:6::2"}}`)
	if want := `conflict in-use network six: defaults.gateway6 "2001:db8:6::2": is fail-over f's`; got != want {
		t.Error(got)
	}
}

// A wider prefix changes what a node is told at once, and what is shown of a
// NIC when it is written again.
func TestPrefixGetsWider(t *testing.T) {
	w := newSite(t)
	const doc = "{kind: nic, name: a, project: blue, network: lan, node: n1}"
	w.put(doc)
	w.put(`{kind: network, name: lan, projects: ["*"], prefixes: [192.0.2.0/23, "2001:db8::/64"], hold: 1h}`)
	if got := fmt.Sprint(bindings(t, w.state, "n1")["a"].Addresses); got != "[192.0.2.2/23]" {
		t.Error(got)
	}
	w.put(doc)
	if got := w.granted("a"); !strings.HasSuffix(got, "[192.0.2.2/23] ") {
		t.Error(got)
	}
	c, err := w.state.Put(decoded(t, doc)[0], w.options())
	if c != nil || err != nil {
		t.Error("not idempotent", c, err)
	}
}

// Whatever goes while a NIC is being migrated leaves nothing behind, in either
// phase.
func TestGoneWhileMigrating(t *testing.T) {
	for _, activated := range []bool{false, true} {
		w := newSite(t)
		before := sorted(w.keys)
		w.put("{kind: request, name: r, project: blue, vms: [{name: m, nics: [{network: lan, node: n1, addresses: [192.0.2.70], mac: '52:54:00:00:00:09'}]}]}")
		w.apply(w.state.Migrate("m-0", "n2", w.options()))
		if activated {
			w.apply(w.state.Activate("m-0", w.options()))
		}
		for _, node := range []string{"n1", "n2"} {
			_, err := w.state.Delete(fleet.KindNode, node, w.options())
			if got := reasons(t, err); got != "conflict in-use node "+node+": has NICs: m-0" {
				t.Error(got)
			}
		}
		_, err := w.state.Delete(fleet.KindProject, "blue", w.options())
		if got := reasons(t, err); got != "conflict in-use project blue: has nic m-0, request r" {
			t.Error(got)
		}
		w.apply(w.state.Delete(fleet.KindRequest, "r", w.options()))
		var left []string
		for _, key := range sorted(w.keys) {
			if !slices.Contains(before, key) && key[0] != 'w' {
				left = append(left, key+" "+string(w.keys[key].data))
			}
		}
		if got := strings.Join(left, "\n"); len(left) != 2 || !strings.Contains(got, `a/lan/`) || !strings.Contains(got, `u/blue {"vms":0,"nics":0,"addresses4":0,"addresses6":0}`) {
			t.Errorf("activated %t: left %s", activated, got)
		}
		w.apply(w.state.Delete(fleet.KindNode, "n1", w.options()))
		w.apply(w.state.Delete(fleet.KindProject, "blue", w.options()))
	}
}

// A member that migrates takes what its group shares along, and the group's
// addresses are nobody else's meanwhile.
func TestMemberMigrates(t *testing.T) {
	w := newSite(t)
	w.put("{kind: nic, name: a, project: blue, network: lan, node: n1}")
	w.put("{kind: failover, name: vip, project: blue, network: lan, addresses: [192.0.2.50], vrid: 7, members: [a]}")
	w.apply(w.state.Migrate("a", "n2", w.options()))
	for _, node := range []string{"n1", "n2"} {
		if got := fmt.Sprint(bindings(t, w.state, node)["a"].Shared); got != "[{vip [192.0.2.50] 7}]" {
			t.Error(node, got)
		}
	}
	w.apply(w.state.Activate("a", w.options()))
	w.put("{kind: failover, name: vip, project: blue, network: lan, addresses: [192.0.2.50, 192.0.2.51], vrid: 7, members: [a]}")
	w.apply(w.state.Complete("a", w.options()))
	if got := fmt.Sprint(bindings(t, w.state, "n2")["a"].Shared); got != "[{vip [192.0.2.50 192.0.2.51] 7}]" {
		t.Error(got)
	}
	if len(bindings(t, w.state, "n1")) != 0 {
		t.Error("the source still has it")
	}
}
