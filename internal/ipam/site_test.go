package ipam_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/ipam"
)

const cluster = `
kind: request
name: web
project: blue
vms:
  - name: front
    nics:
      - {network: lan, node: n1}
      - {name: front-six, network: lan, node: n1, addresses: [six]}
  - name: back
    nics: [{network: lan, node: n2, addresses: [%s]}]
`

// A request is granted whole or not at all, and goes whole.
func TestRequest(t *testing.T) {
	w := newSite(t)
	w.put("{kind: nic, name: other, project: red, network: lan, addresses: [192.0.2.9]}")
	if got, want := w.refused(fmt.Sprintf(cluster, "192.0.2.9")), `conflict address-taken request web: vms[1].nics[0].addresses[0] "192.0.2.9": is NIC other's`; got != want {
		t.Error(got)
	}
	w.put(fmt.Sprintf(cluster, "192.0.2.10"))
	if got := w.granted("front-0") + w.granted("front-six") + w.granted("back-0"); strings.Count(got, "192.0.2.2/24") != 1 || strings.Count(got, "2001:db8::1/64") != 1 || strings.Count(got, "192.0.2.10/24") != 1 {
		t.Error(got)
	}
	if u := w.state.Usage("blue"); u != (fleet.Usage{VMs: 2, NICs: 3, Addresses4: 2, Addresses6: 1}) {
		t.Error(u)
	}
	if b := bindings(t, w.state, "n1")["front-0"]; b.Group != "blue/front" || b.Tags["berth.nic"] != "front-0" || b.Tags["berth.project"] != "blue" {
		t.Errorf("%+v", b)
	}
	_, err := w.state.Delete(fleet.KindNIC, "front-0", w.options())
	if got, want := reasons(t, err), `conflict in-use nic front-0: came with request web: delete that, or take the NIC out of it`; got != want {
		t.Error(got)
	}
	front := w.granted("front-0")
	w.put("{kind: request, name: web, project: blue, vms: [{name: front, nics: [{network: lan, node: n1}]}, {name: db, nics: [{network: lan, addresses: [192.0.2.10]}]}]}")
	w.want("front-0", front)
	w.want("back-0", "none")
	if got := w.granted("db-0"); !strings.Contains(got, "192.0.2.10/24") {
		t.Error("what one leaves another gets:", got)
	}
	w.apply(w.state.Delete(fleet.KindRequest, "web", w.options()))
	if u := w.state.Usage("blue"); u != (fleet.Usage{}) || w.state.Len(fleet.KindNIC) != 1 {
		t.Error(u)
	}
}

func TestFailover(t *testing.T) {
	w := newSite(t)
	w.put(fmt.Sprintf(cluster, "public"))
	w.put("{kind: failover, name: vip, project: blue, network: lan, addresses: [192.0.2.50, six], vrid: 7, members: [front-0, back-0]}")
	for node, name := range map[string]string{"n1": "front-0", "n2": "back-0"} {
		b := bindings(t, w.state, node)[name]
		if got := fmt.Sprint(b.Shared); got != "[{vip [192.0.2.50 2001:db8::2] 7}]" {
			t.Error(got)
		}
	}
	if u := w.state.Usage("blue"); u.Addresses4 != 3 || u.Addresses6 != 2 {
		t.Error(u)
	}
	for doc, want := range map[string]string{
		"{kind: failover, name: b, project: blue, network: lan, addresses: [public], vrid: 7}":           `conflict vrid-taken failover b: vrid: its MAC 00:00:5e:00:01:07 is fail-over vip's in network lan`,
		"{kind: failover, name: b, project: blue, network: lan, addresses: [public], members: [no]}":     `not-found no-such failover b: members[0] "no": project blue has no such NIC`,
		"{kind: failover, name: b, project: red, network: lan, addresses: [public], members: [front-0]}": `not-found no-such failover b: members[0] "front-0": project red has no such NIC`,
		"{kind: nic, name: x, project: blue, network: lan, addresses: [192.0.2.50]}":                     `conflict address-taken nic x: addresses[0] "192.0.2.50": is fail-over vip's`,
		`{kind: nic, name: x, project: blue, network: lan, mac: "00:00:5e:00:01:07"}`:                    `conflict mac-taken nic x: mac "00:00:5e:00:01:07": the MAC is fail-over vip's in network lan`,
		"{kind: request, name: web, project: blue, vms: [{name: front, nics: [{network: lan}]}]}":        `conflict in-use request web: NIC back-0 is a member of fail-over vip: take it out first`,
	} {
		if got := w.refused(doc); got != want {
			t.Errorf("%s:\n got %s\nwant %s", doc, got, want)
		}
	}
	w.apply(w.state.Delete(fleet.KindFailover, "vip", w.options()))
	w.put("{kind: failover, name: again, project: blue, network: lan, addresses: [192.0.2.50], vrid: 7, members: [front-0]}")
}

// What a migration tells both nodes at each step.
func TestMigration(t *testing.T) {
	w := newSite(t)
	w.put("{kind: nic, name: a, project: blue, network: lan, node: n1}")
	said := func() string {
		var out []string
		for _, node := range []string{"n1", "n2"} {
			text := node + ":none"
			if b, ok := bindings(t, w.state, node)["a"]; ok {
				text = fmt.Sprintf("%s:suspended=%t", node, b.Suspended)
			}
			out = append(out, text)
		}
		return strings.Join(out, " ")
	}
	step := func(c *ipam.Change, err error) func(string) {
		return func(want string) {
			t.Helper()
			w.apply(c, err)
			if got := said(); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
	}
	before := w.granted("a")
	step(w.state.Migrate("a", "n2", w.options()))("n1:suspended=false n2:suspended=true")
	if c, err := w.state.Migrate("a", "n2", w.options()); c != nil || err != nil {
		t.Error("not idempotent", c, err)
	}
	if got := w.refused("{kind: nic, name: b, interface: a, project: blue, network: lan, node: n2}"); !strings.Contains(got, "is NIC a's on node n2") {
		t.Error(got)
	}
	step(w.state.Abort("a", w.options()))("n1:suspended=false n2:none")
	step(w.state.Migrate("a", "n2", w.options()))("n1:suspended=false n2:suspended=true")
	step(w.state.Activate("a", w.options()))("n1:suspended=true n2:suspended=false")
	w.put("{kind: nic, name: a, project: blue, network: lan, node: n2, hostname: new}")
	step(w.state.Abort("a", w.options()))("n1:suspended=false n2:none")
	step(w.state.Migrate("a", "n2", w.options()))("n1:suspended=false n2:suspended=true")
	_, err := w.state.Complete("a", w.options())
	if got := reasons(t, err); got != `conflict not-activated nic a: migration.phase "prepared": activate it on n2 first` {
		t.Error(got)
	}
	step(w.state.Activate("a", w.options()))("n1:suspended=true n2:suspended=false")
	step(w.state.Complete("a", w.options()))("n1:none n2:suspended=false")
	w.want("a", before+"new")
	_, err = w.state.Migrate("a", "n3", w.options())
	if got := reasons(t, err); !strings.Contains(got, "draining") {
		t.Error(got)
	}
}

// Another node without a migration is only for what nobody delivers.
func TestMove(t *testing.T) {
	w := newSite(t)
	w.put("{kind: nic, name: a, project: blue, network: lan, node: n1}")
	there := decoded(t, "{kind: nic, name: a, project: blue, network: lan, node: n2}")[0]
	_, err := w.state.Put(there, w.options())
	if got := reasons(t, err); got != `conflict in-force-elsewhere nic a: node "n2": the NIC is in force on node n1: migrate it` {
		t.Error(got)
	}
	opt := w.options()
	opt.InForce = func(string, string) bool { return false }
	w.apply(w.state.Put(there, opt))
	if len(bindings(t, w.state, "n1")) != 0 || len(bindings(t, w.state, "n2")) != 1 {
		t.Error("not moved")
	}
}

// What is in use is not taken away, and who uses it is told.
func TestInUse(t *testing.T) {
	w := newSite(t)
	w.put(fmt.Sprintf(cluster, "public"))
	for doc, want := range map[string]string{
		"{kind: pool, name: public, network: lan, ranges: [192.0.2.3-192.0.2.9]}":                                                `conflict in-use pool public: ranges: in use: 192.0.2.2 of NIC front-0`,
		"{kind: pool, name: second, network: lan, ranges: [192.0.2.15-192.0.2.20]}":                                              `conflict pool-overlaps pool second: ranges[0] "192.0.2.15-192.0.2.20": overlaps 192.0.2.0-192.0.2.15 of pool public`,
		"{kind: pool, name: second, network: lan, ranges: [192.0.3.0/24]}":                                                       `invalid outside-network pool second: ranges[0] "192.0.3.0-192.0.3.255": not wholly in one of the prefixes of network lan`,
		"{kind: network, name: lan, projects: ['*'], prefixes: [192.0.2.0/24]}":                                                  "conflict in-use network lan: prefixes: pool six has 2001:db8::-2001:db8::7fff:ffff:ffff:ffff, which would be in no prefix\nconflict in-use network lan: prefixes: would lie in no prefix: 2001:db8::1 of NIC front-six",
		`{kind: network, name: lan, projects: ['*'], prefixes: [192.0.2.0/24, "2001:db8::/64"], defaults: {gateway: 192.0.2.2}}`: `conflict in-use network lan: defaults.gateway "192.0.2.2": NIC front-0: the NIC's own address`,
		"{kind: network, name: twin, prefixes: [192.0.2.128/25]}":                                                                `conflict prefix-overlaps network twin: prefixes[0] "192.0.2.128/25": overlaps 192.0.2.0/24 of network lan; isolated networks may`,
		"{kind: network, name: bad, prefixes: [10.0.0.0/24], defaults: {mtu: 1, gatewy: 10.0.0.1}}":                              "invalid format network bad: defaults.gatewy: unknown key; did you mean gateway?\ninvalid format network bad: defaults.mtu \"1\": at least 68 (RFC 791), or 0 to announce none",
		"{kind: node, name: n2, networks: [other]}":                                                                              `conflict in-use node n2: networks: NIC back-0 on this node is in network lan`,
	} {
		got := w.refused(doc)
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", doc, got, want)
		}
	}
	for what, want := range map[fleet.Head]string{
		{Kind: fleet.KindNetwork, Name: "lan"}:  "conflict in-use network lan: pool public is of this network\nconflict in-use network lan: pool six is of this network\nconflict in-use network lan: is used by NIC back-0, NIC front-0, NIC front-six",
		{Kind: fleet.KindPool, Name: "six"}:     "conflict in-use pool six: in use: 2001:db8::1 of NIC front-six",
		{Kind: fleet.KindNode, Name: "n1"}:      "conflict in-use node n1: has NICs: front-0, front-six",
		{Kind: fleet.KindProject, Name: "blue"}: "conflict in-use project blue: has nic back-0, nic front-0, nic front-six, and 1 more",
	} {
		_, err := w.state.Delete(what.Kind, what.Name, w.options())
		if got := reasons(t, err); got != want {
			t.Errorf("%v:\n got %s\nwant %s", what, got, want)
		}
	}
	w.apply(w.state.Delete(fleet.KindRequest, "web", w.options()))
	for _, what := range []fleet.Head{{Kind: fleet.KindPool, Name: "six"}, {Kind: fleet.KindPool, Name: "public"}, {Kind: fleet.KindNetwork, Name: "lan"}, {Kind: fleet.KindNode, Name: "n1"}, {Kind: fleet.KindProject, Name: "blue"}} {
		w.apply(w.state.Delete(what.Kind, what.Name, w.options()))
	}
	for key := range w.keys {
		if strings.Contains(key, "/lan/") && key[0] != 'w' {
			t.Error("left:", key)
		}
	}
}

// An edit of a pool or a network holds at once.
func TestEditsHoldAtOnce(t *testing.T) {
	w := newSite(t)
	w.put("{kind: nic, name: a, project: blue, network: lan, node: n1}")
	w.put(`{kind: network, name: lan, projects: ['*'], prefixes: [192.0.2.0/23, "2001:db8::/64"], defaults: {gateway: 192.0.2.1, mtu: 1400}}`)
	if b := bindings(t, w.state, "n1")["a"]; b.MTU != 1400 || b.Addresses[0].String() != "192.0.2.2/23" {
		t.Errorf("%+v", b)
	}
	w.put("{kind: pool, name: public, network: lan, default: true, ranges: [192.0.3.7, 192.0.2.0/28]}")
	w.put("{kind: nic, name: b, project: blue, network: lan, node: n1}")
	if got := w.granted("b"); !strings.Contains(got, "192.0.3.7/23") {
		t.Error(got)
	}
}

func TestRevisionHeld(t *testing.T) {
	w := newSite(t)
	w.put("{kind: nic, name: a, project: blue, network: lan}")
	opt := w.options()
	opt.Revision = 1
	_, err := w.state.Delete(fleet.KindNIC, "a", opt)
	if got := reasons(t, err); !strings.HasPrefix(got, `conflict changed-since nic a: meta.revision "1": has been changed since`) {
		t.Error(got)
	}
}

func TestTenures(t *testing.T) {
	w := newSite(t)
	w.put("{kind: nic, name: a, project: blue, network: lan, node: n1}")
	w.apply(w.state.Delete(fleet.KindNIC, "a", w.options()))
	w.put("{kind: nic, name: b, project: blue, network: lan, addresses: [192.0.2.2]}")
	var got []string
	for _, key := range sorted(w.keys) {
		if strings.HasPrefix(key, "w/lan/") {
			got = append(got, string(w.keys[key].data))
		}
	}
	if len(got) != 2 || !strings.Contains(got[0], `"owner":"nic:a"`) || !strings.Contains(got[0], `"node":"n1"`) || !strings.Contains(got[0], `"to":`) || !strings.Contains(got[0], `"actor":"user:alice"`) ||
		!strings.Contains(got[1], `"owner":"nic:b"`) || strings.Contains(got[1], `"to":`) {
		t.Error(got)
	}
}

// A NIC that moves has its address on another node from its activation on, and
// not before.
func TestTenuresOfAMigration(t *testing.T) {
	w := newSite(t)
	w.put("{kind: nic, name: a, project: blue, network: lan, node: n1}")
	var got []string
	for _, step := range []func() (*ipam.Change, error){
		func() (*ipam.Change, error) { return w.state.Migrate("a", "n2", w.options()) },
		func() (*ipam.Change, error) { return w.state.Activate("a", w.options()) },
		func() (*ipam.Change, error) { return w.state.Complete("a", w.options()) },
	} {
		w.apply(step())
		var nodes []string
		for _, key := range sorted(w.keys) {
			var tenure fleet.Tenure
			if !strings.HasPrefix(key, "w/lan/") {
				continue
			}
			if err := json.Unmarshal(w.keys[key].data, &tenure); err != nil {
				t.Fatal(err)
			}
			nodes = append(nodes, fmt.Sprintf("%s:%t", tenure.Node, tenure.To == nil))
		}
		got = append(got, strings.Join(nodes, " "))
	}
	if want := []string{"n1:true", "n1:false n2:true", "n1:false n2:true"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestUsage(t *testing.T) {
	w := newSite(t)
	for i := range 3 {
		w.put(fmt.Sprintf("{kind: nic, name: v%d, project: blue, network: lan, addresses: [public, six]}", i))
	}
	w.apply(w.state.Delete(fleet.KindNIC, "v1", w.options()))
	got := fmt.Sprintf("%+v", w.state.UsageOf("lan", w.now))
	if want := "{Used:4 Shared:0 Pools:[{Pool:public Used:2 Held:1 Total:15} {Pool:six Used:2 Held:1 Total:9223372036854775807}]}"; got != want {
		t.Error(got)
	}
	if used, total := w.state.NetworkUsage("lan"); used != 4 || total != 9223372036854775807 {
		t.Error(used, total)
	}
}
