package ipam_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/nic"
)

// filled is a State of n NICs on nodes of 1000, one address each, in a /12.
func filled(t testing.TB, n int) *world {
	w := newWorld(t)
	w.put(`
{kind: project, name: p}
---
{kind: network, name: lan, projects: ["*"], prefixes: [10.0.0.0/12], mac-prefix: "02", defaults: {gateway: 10.0.0.1}}
---
{kind: pool, name: all, network: lan, default: true, ranges: [10.0.0.0/12]}
`)
	a := netip.MustParseAddr("10.0.0.2")
	feed := func(key string, value any) {
		var data []byte
		switch v := value.(type) {
		case fleet.Resource:
			data, _ = fleet.Encode(v)
		case fleet.Claim:
			data = fmt.Appendf(nil, `{"network":"lan","address":%q,"owner":%q,"project":"p","mac":%q,"since":"2026-01-02T03:04:05Z","node":"n","by":"user:alice"}`, v.Address, v.Owner, v.MAC)
		}
		w.must(w.state.Set(key, data, 9))
	}
	for i := range n {
		if i%1000 == 0 {
			w.put(fmt.Sprintf("{kind: node, name: n%d}", i/1000))
		}
		name, node := fmt.Sprintf("vm-%06d", i), fmt.Sprintf("n%d", i/1000)
		mac := nic.MAC{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}
		claim := fleet.Claim{Address: a.String(), Owner: "nic:" + name, MAC: &mac}
		feed(fleet.AddressKey("lan", a), claim)
		feed(fleet.MACKey("lan", mac), claim)
		feed(fleet.InterfaceKey(node, "tap"+name), claim)
		feed(fleet.ResourceKey(fleet.KindNIC, name), &fleet.NIC{
			Head:    fleet.Head{Kind: fleet.KindNIC, Name: name, Meta: &fleet.Meta{Created: w.now, Changed: w.now, By: "user:alice"}},
			Project: "p", Network: "lan", Node: node, Interface: "tap" + name, VM: name,
			Granted: &fleet.Granted{MAC: mac, Addresses: []netip.Prefix{netip.PrefixFrom(a, 12)}},
		})
		a = a.Next()
	}
	return w
}

// What a million NICs cost is told by `go test -bench Memory`.
func BenchmarkMemory(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := time.Now()
		w := filled(b, n)
		took := time.Since(start)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/NIC")
		b.ReportMetric(float64(took.Nanoseconds())/n, "ns/NIC-fed")
		runtime.KeepAlive(w)
	}
}

// One decision with a hundred thousand NICs before it, and one document.
func BenchmarkPut(b *testing.B) {
	w := filled(b, 100_000)
	res := decoded(b, "{kind: nic, name: new, project: p, network: lan, node: n7}")[0]
	b.Run("nic", func(b *testing.B) {
		for b.Loop() {
			if c, err := w.state.Put(res, w.options()); c == nil || err != nil {
				b.Fatal(c, err)
			}
		}
	})
	b.Run("document", func(b *testing.B) {
		for b.Loop() {
			if docs, err := w.state.Document("n7", "vm-007007"); len(docs) != 1 || err != nil {
				b.Fatal(docs, err)
			}
		}
	})
	b.Run("network", func(b *testing.B) {
		net := decoded(b, `{kind: network, name: lan, projects: ["*"], prefixes: [10.0.0.0/12], mac-prefix: "02", defaults: {gateway: 10.0.0.1, mtu: 1400}}`)[0]
		for b.Loop() {
			if c, err := w.state.Put(net, w.options()); c == nil || err != nil {
				b.Fatal(c, err)
			}
		}
	})
}

// The first free address of a pool of 2^64 is as near as that of a small one.
func TestWidePool(t *testing.T) {
	w := newSite(t)
	for i := range 200 {
		w.put(fmt.Sprintf("{kind: nic, name: v%d, project: red, network: lan, addresses: [six]}", i))
	}
	w.put(`{kind: nic, name: far, project: red, network: lan, addresses: ["2001:db8::7fff:ffff:ffff:ffff"]}`)
	w.put("{kind: nic, name: last, project: red, network: lan, addresses: [six]}")
	if got := w.state.NIC("last").Granted.Addresses[0].String(); got != "2001:db8::c9/64" {
		t.Error(got)
	}
}

// Both ways of making a document agree.
func TestDocumentBothWays(t *testing.T) {
	w := newSite(t)
	w.put("{kind: nic, name: a, project: blue, network: lan, node: n1, vm: web, hostname: a, addresses: [public, six]}")
	w.put("{kind: failover, name: vip, project: blue, network: lan, addresses: [192.0.2.50, six], vrid: 7, members: [a]}")
	short, err := w.state.Document("n1", "a")
	w.must(err)
	// A binding's key that says what the default is has it parsed.
	w.put("{kind: nic, name: a, project: blue, network: lan, node: n1, vm: web, hostname: a, addresses: [public, six], binding: {no-default-route: false}}")
	long, err := w.state.Document("n1", "a")
	w.must(err)
	if string(short[0].Body) != string(long[0].Body) || len(short[0].Body) == 0 {
		t.Errorf("\n%s\n%s", short[0].Body, long[0].Body)
	}
	if short[0].Revision >= long[0].Revision {
		t.Error("revision", short[0].Revision, long[0].Revision)
	}
}

// What a State says of a site is told by its own keys alone.
func TestDUID(t *testing.T) {
	w := newSite(t)
	w.put("{kind: nic, name: a, project: blue, network: lan, node: n1, addresses: [six]}")
	w.must(w.state.Set(fleet.DUIDKey, []byte("00:04:00:01:02:03"), 100))
	b := bindings(t, w.state, "n1")["a"]
	if fmt.Sprintf("%x", b.DHCP6.ServerDUID) != "000400010203" || w.state.DUID() != "00:04:00:01:02:03" {
		t.Errorf("%x", b.DHCP6.ServerDUID)
	}
}
