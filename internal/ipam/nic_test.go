package ipam_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/nic"
)

func TestFirstFree(t *testing.T) {
	w := newSite(t)
	for i := range 3 {
		w.put(fmt.Sprintf("{kind: nic, name: v%d, project: blue, network: lan, node: n1}", i))
	}
	// .0 is the network, .1 the gateway, .3 excluded, .4 has a MAC and a name, .5
	// is the DNS server.
	if got := w.granted("v0"); !strings.HasSuffix(got, "[192.0.2.2/24] ") || !strings.HasPrefix(got, "02:62:65:") {
		t.Error(got)
	}
	w.want("v1", "52:54:00:00:00:04 [192.0.2.4/24] four")
	if got := w.granted("v2"); !strings.HasSuffix(got, "[192.0.2.6/24] ") {
		t.Error(got)
	}
	if u := w.state.Usage("blue"); u != (fleet.Usage{NICs: 3, Addresses4: 3}) {
		t.Error(u)
	}
}

// The MAC stays with its address, which others get only after the hold time;
// whoever had it may ask for it again.
func TestReleaseAndHold(t *testing.T) {
	w := newSite(t)
	const doc = "{kind: nic, name: %s, project: %s, network: lan}"
	w.put(fmt.Sprintf(doc, "a", "blue"))
	had := w.granted("a")
	w.apply(w.state.Delete(fleet.KindNIC, "a", w.options()))
	w.put(fmt.Sprintf(doc, "b", "red"))
	w.want("b", "52:54:00:00:00:04 [192.0.2.4/24] four")
	got := w.refused("{kind: nic, name: c, project: red, network: lan, addresses: [192.0.2.2]}")
	if want := "conflict address-held nic c: addresses[0] \"192.0.2.2\": held since its release, until 2026-01-02T04:04:"; !strings.HasPrefix(got, want) {
		t.Error(got)
	}
	w.put("{kind: nic, name: d, project: blue, network: lan, addresses: [192.0.2.2]}")
	w.want("d", had)
	w.apply(w.state.Delete(fleet.KindNIC, "d", w.options()))
	w.now = w.now.Add(2 * time.Hour)
	w.put(fmt.Sprintf(doc, "e", "red"))
	w.want("e", had)
	if u := w.state.Usage("blue"); u != (fleet.Usage{}) {
		t.Error(u)
	}
}

// Writing the same again changes nothing, and what a NIC has stays its own
// over updates of something else.
func TestIdempotent(t *testing.T) {
	w := newSite(t)
	const doc = "{kind: nic, name: a, project: blue, network: lan, node: n1, addresses: [public, six]%s}"
	w.put(fmt.Sprintf(doc, ""))
	had := w.granted("a")
	for _, more := range []string{"", ", hostname: a"} {
		for range 2 {
			c, err := w.state.Put(decoded(t, fmt.Sprintf(doc, more))[0], w.options())
			w.apply(c, err)
			if more == "" && c != nil {
				t.Errorf("again: %v", c.Puts)
			}
		}
	}
	w.want("a", had+"a")
	w.put("{kind: nic, name: a, project: blue, network: lan, node: n1, addresses: [six, public, 192.0.2.77]}")
	if got := w.granted("a"); got != strings.Fields(had)[0]+" [2001:db8::1/64 192.0.2.2/24 192.0.2.77/24] " {
		t.Error(got)
	}
}

func TestRefusals(t *testing.T) {
	w := newSite(t)
	w.put(`{kind: nic, name: a, project: blue, network: lan, node: n1, mac: "52:54:00:00:00:01", addresses: [192.0.2.2]}`)
	w.put(`
{kind: network, name: closed, projects: [red], prefixes: [198.51.100.0/24]}
---
{kind: pool, name: small, network: lan, ranges: [192.0.2.100], projects: [blue]}
---
{kind: pool, name: elsewhere, network: closed, ranges: [198.51.100.0/25]}
---
{kind: nic, name: only, project: blue, network: lan, addresses: [small]}
`)
	for _, tt := range []struct{ doc, want string }{
		{"project: green, network: lan", `not-found no-such nic x: project "green": there is no such project`},
		{"project: blue, network: wan", `not-found no-such nic x: network "wan": there is no such network`},
		{"project: blue, network: closed", `denied network-closed nic x: network "closed": not open to project blue: its projects are red`},
		{"project: blue, network: lan, node: n9", `not-found no-such nic x: node "n9": there is no such node`},
		{"project: blue, network: lan, node: n3", `conflict node-closed nic x: node "n3": the node is draining: it gets no new NICs`},
		{"project: blue, network: lan, node: n4", `conflict network-not-served nic x: node "n4": the node does not serve network lan: its networks are other`},
		{"project: blue, network: lan, node: n1, interface: a", `conflict interface-taken nic x: interface "a": is NIC a's on node n1`},
		{"project: blue, network: lan, addresses: [192.0.2.2]", `conflict address-taken nic x: addresses[0] "192.0.2.2": is NIC a's`},
		{"project: blue, network: lan, addresses: [192.0.2.1]", `conflict gateway nic x: addresses[0] "192.0.2.1": a gateway of network lan`},
		{"project: blue, network: lan, addresses: [192.0.2.255]", `invalid no-host-address nic x: addresses[0] "192.0.2.255": the broadcast address of 192.0.2.0/24`},
		{`project: blue, network: lan, addresses: ["2001:db8::"]`, `invalid no-host-address nic x: addresses[0] "2001:db8::": the subnet-router anycast address of 2001:db8::/64 (RFC 4291 section 2.6.1)`},
		{"project: blue, network: lan, addresses: [10.0.0.1]", `invalid outside-network nic x: addresses[0] "10.0.0.1": in none of the prefixes of network lan`},
		{"project: blue, network: lan, addresses: [public, none]", `not-found no-such nic x: addresses[1] "none": there is no such pool, and it is no address`},
		{"project: blue, network: lan, addresses: [elsewhere]", `invalid another-network nic x: addresses[0] "elsewhere": a pool of network closed, not of lan`},
		{"project: blue, network: lan, addresses: [small]", `exhausted pool-exhausted nic x: addresses[0] "small": no free address is left in the pool`},
		{"project: red, network: lan, addresses: [small]", `denied pool-closed nic x: addresses[0] "small": not open to project red: its projects are blue`},
		{"project: red, network: lan, addresses: [192.0.2.100]", `denied pool-closed nic x: addresses[0] "192.0.2.100": in pool small, which is not open to project red`},
		{`project: blue, network: lan, mac: "52:54:00:00:00:01"`, `conflict mac-taken nic x: mac "52:54:00:00:00:01": the MAC is NIC a's in network lan`},
		{"project: red, network: closed", `invalid no-default-pool nic x: addresses: network closed has no default pool for project red: name a pool or an address`},
		{"project: blue, network: lan, binding: {mtu: 20}", `invalid binding nic x: binding.mtu "20": at least 68 (RFC 791), or 0 to announce none`},
		{"project: blue, network: lan, binding: {guard: {mode: of}}", `invalid binding nic x: binding.guard.mode "of": must be enforce, audit or off`},
	} {
		if got := w.refused("{kind: nic, name: x, " + tt.doc + "}"); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.doc, got, tt.want)
		}
	}
	_, err := w.state.Delete(fleet.KindNIC, "nobody", w.options())
	if got := reasons(t, err); got != `not-found no-such nic nobody: there is no nic of this name` {
		t.Error(got)
	}
}

func TestQuota(t *testing.T) {
	w := newSite(t)
	w.put("{kind: project, name: blue, quota: {vms: 1, addresses4: 2}}")
	w.put("{kind: nic, name: a, project: blue, network: lan, vm: web}")
	w.put("{kind: nic, name: b, project: blue, network: lan, vm: web}")
	if u := w.state.Usage("blue"); u != (fleet.Usage{VMs: 1, NICs: 2, Addresses4: 2}) {
		t.Error(u)
	}
	got := w.refused("{kind: nic, name: c, project: blue, network: lan, vm: db}")
	want := "quota quota.vms nic c: project \"blue\": may have 1 vms; it has 1 and would have 2\n" +
		"quota quota.addresses4 nic c: project \"blue\": may have 2 addresses4; it has 2 and would have 3"
	if got != want {
		t.Errorf("got %s", got)
	}
	// Above a limit that was lowered nothing grows, and the rest can change.
	w.put("{kind: project, name: blue, quota: {nics: 1}}")
	w.put("{kind: nic, name: b, project: blue, network: lan, vm: web, hostname: b}")
}

func TestMACs(t *testing.T) {
	w := newSite(t)
	w.put("{kind: network, name: few, projects: ['*'], prefixes: [10.0.0.0/22], mac-prefix: '02:00:00:00:00'}")
	w.put("{kind: pool, name: few, network: few, default: true, ranges: [10.0.0.0/22]}")
	seen := map[nic.MAC]bool{}
	for i := range 256 {
		w.put(fmt.Sprintf("{kind: nic, name: f%d, project: red, network: few}", i))
		seen[w.state.NIC(fmt.Sprintf("f%d", i)).Granted.MAC] = true
	}
	if len(seen) != 256 {
		t.Errorf("%d MACs of 256 NICs", len(seen))
	}
	got := w.refused("{kind: nic, name: more, project: red, network: few}")
	if want := `exhausted mac-exhausted nic more: mac "02:00:00:00:00": no free MAC found that begins with the mac-prefix of network few`; got != want {
		t.Error(got)
	}
}

// Two NICs of one machine must be told apart by their MACs on a node, also
// where their networks are two.
func TestTwins(t *testing.T) {
	w := newSite(t)
	w.put("{kind: network, name: other, projects: ['*'], prefixes: [10.0.0.0/24]}")
	w.put(`{kind: nic, name: a, project: blue, network: lan, node: n1, vm: web, mac: "52:54:00:00:00:01"}`)
	got := w.refused(`{kind: nic, name: b, project: blue, network: other, node: n1, vm: web, addresses: [10.0.0.5], mac: "52:54:00:00:00:01"}`)
	if want := `conflict mac-taken nic b: mac "52:54:00:00:00:01": the MAC is NIC a's of the same machine`; got != want {
		t.Error(got)
	}
	w.put(`{kind: nic, name: b, project: blue, network: other, node: n1, vm: db, addresses: [10.0.0.5], mac: "52:54:00:00:00:01"}`)
	bindings(t, w.state, "n1")
}

func TestPrefixes(t *testing.T) {
	w := newSite(t)
	w.put(`{kind: network, name: wide, projects: ['*'], prefixes: ["2001:db8:8::/48"]}`)
	w.put(`{kind: nic, name: a, project: red, network: wide, binding: {slaac: ["2001:db8:8:1::/64"], delegated: ["2001:db8:8:100::/56"]}}`)
	w.put(`{kind: nic, name: b, project: red, network: wide, addresses: ["2001:db8:8::5"]}`)
	for doc, want := range map[string]string{
		`addresses: ["2001:db8:8:1::9"]`:            `conflict prefix-taken nic x: addresses[0] "2001:db8:8:1::9": in a prefix that is NIC a's`,
		`binding: {slaac: ["2001:db8:8:1::/64"]}`:   `conflict prefix-taken nic x: binding "2001:db8:8:1::/64": 2001:db8:8:1::/64 in it is NIC a's`,
		`binding: {slaac: ["2001:db8:8:110::/64"]}`: `conflict prefix-taken nic x: binding "2001:db8:8:110::/64": 2001:db8:8:100::/56 in it is NIC a's`,
		`binding: {slaac: ["2001:db8:8::/64"]}`:     `conflict prefix-taken nic x: binding "2001:db8:8::/64": 2001:db8:8::5 in it is NIC b's`,
		`binding: {delegated: ["2001:db8:9::/64"]}`: `invalid outside-network nic x: binding "2001:db8:9::/64": in none of the prefixes of network wide`,
		`binding: {slaac: ["2001:db8:8:2::/65"]}`:   `invalid binding nic x: binding.slaac[0] "2001:db8:8:2::/65": autoconfiguration needs a /64 (RFC 4862 section 5.5.3)`,
	} {
		if got := w.refused("{kind: nic, name: x, project: red, network: wide, " + doc + "}"); got != want {
			t.Errorf("%s:\n got %s\nwant %s", doc, got, want)
		}
	}
	w.apply(w.state.Delete(fleet.KindNIC, "a", w.options()))
	w.put(`{kind: nic, name: c, project: red, network: wide, addresses: ["2001:db8:8:1::9"]}`)
}
