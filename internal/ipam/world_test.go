package ipam_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/ipam"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/table"
)

type value struct {
	data []byte
	rev  int64
}

// world is a store that fits in a hand: transactions over keys with the
// revision that wrote them, and a State that follows it.
type world struct {
	t     testing.TB
	keys  map[string]value
	rev   int64
	state *ipam.State
	now   time.Time
	rand  *rand.Rand
}

func newWorld(t testing.TB) *world {
	return &world{
		t: t, keys: map[string]value{}, state: ipam.NewState(),
		now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), rand: rand.New(rand.NewPCG(1, 2)),
	}
}

func (w *world) options() ipam.Options {
	w.now = w.now.Add(time.Second)
	return ipam.Options{Now: w.now, Entropy: w.rand.Uint64, Actor: "user:alice"}
}

// holds reports whether all needs of a change are met.
func (w *world) holds(c *ipam.Change) bool {
	for _, n := range c.Needs {
		if n.End == "" {
			if w.keys[n.Key].rev != n.Revision {
				return false
			}
			continue
		}
		for key, v := range w.keys {
			if n.Key <= key && key < n.End && v.rev > n.Revision {
				return false
			}
		}
	}
	return true
}

// commit does a change as one transaction, if its needs are met. What it feeds
// is what a follower of the store sees.
func (w *world) commit(c *ipam.Change, followers ...*ipam.State) bool {
	w.t.Helper()
	if c == nil {
		return true
	}
	if !w.holds(c) {
		return false
	}
	w.rev++
	var gone []string
	for _, d := range c.Deletes {
		for key := range w.keys {
			if key == d || fleet.AllUnder(d) && strings.HasPrefix(key, d) {
				gone = append(gone, key)
			}
		}
	}
	for _, key := range gone {
		delete(w.keys, key)
	}
	for _, p := range c.Puts {
		w.keys[p.Key] = value{p.Value, w.rev}
	}
	for _, s := range followers {
		for _, key := range gone {
			w.must(s.Unset(key, w.rev))
		}
		for _, p := range c.Puts {
			w.must(s.Set(p.Key, p.Value, w.rev))
		}
	}
	return true
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// copied is a State of its own at the same revision, fed in order of keys as a
// reader of the whole store is.
func (w *world) copied() *ipam.State {
	s := ipam.NewState()
	for _, key := range slices.Sorted(maps.Keys(w.keys)) {
		w.must(s.Set(key, w.keys[key].data, w.keys[key].rev))
	}
	return s
}

func decoded(t testing.TB, text string) []fleet.Resource {
	t.Helper()
	list, problems := fleet.Decode("test", []byte(text))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return list
}

// put writes what must be accepted.
func (w *world) put(text string) {
	w.t.Helper()
	for _, r := range decoded(w.t, text) {
		w.apply(w.state.Put(r, w.options()))
	}
}

func (w *world) apply(c *ipam.Change, err error) *ipam.Change {
	w.t.Helper()
	w.must(err)
	if !w.commit(c, w.state) {
		w.t.Fatal("a change does not fit the revision it was decided at")
	}
	return c
}

// refused is what is said of a document that must not be accepted.
func (w *world) refused(text string) string {
	w.t.Helper()
	_, err := w.state.Put(decoded(w.t, text)[0], w.options())
	return reasons(w.t, err)
}

func reasons(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		t.Fatal("accepted")
	}
	list := ipam.Refusals(err)
	if len(list) == 0 {
		t.Fatalf("not a refusal: %v", err)
	}
	var out []string
	for _, r := range list {
		out = append(out, fmt.Sprintf("%s %s %s", r.Class, r.Rule, r))
	}
	return strings.Join(out, "\n")
}

func (w *world) granted(name string) string {
	w.t.Helper()
	n := w.state.NIC(name)
	if n == nil {
		return "none"
	}
	return fmt.Sprint(n.Granted.MAC, " ", n.Granted.Addresses, " ", n.Granted.Hostname)
}

func (w *world) want(name, want string) {
	w.t.Helper()
	if got := w.granted(name); got != want {
		w.t.Errorf("%s has %s, want %s", name, got, want)
	}
}

// bindings are what a node makes of what it is told; none stands in another's
// way.
func bindings(t testing.TB, s *ipam.State, node string) map[string]nic.Binding {
	t.Helper()
	docs, err := s.Documents(node)
	if err != nil {
		t.Fatal(err)
	}
	var all []nic.Binding
	for _, d := range docs {
		r := manifest.Resolved(d.Name, d.Body)
		if len(r.Problems) > 0 {
			t.Fatalf("%s: %v\n%s", d.Name, r.Problems, d.Body)
		}
		all = append(all, r.Bindings...)
	}
	snap := table.Merge(1, []table.Update{{Source: "controller", Bindings: all}}, func(*nic.Binding) int { return 0 })
	if len(snap.Refused) > 0 {
		t.Fatalf("node %s: in each other's way: %v", node, snap.Refused)
	}
	out := map[string]nic.Binding{}
	for _, b := range all {
		out[b.NIC] = b
	}
	return out
}

const site = `
{kind: project, name: blue, quota: {nics: 20, addresses4: 20}}
---
{kind: project, name: red}
---
kind: network
name: lan
projects: ["*"]
prefixes: [192.0.2.0/24, "2001:db8::/64"]
hold: 1h
defaults: {gateway: 192.0.2.1, gateway6: "fe80::1", dns: [192.0.2.5]}
---
kind: pool
name: public
network: lan
default: true
ranges: [192.0.2.0-192.0.2.15]
exclude: [192.0.2.3]
fixed: [{address: 192.0.2.4, hostname: four, mac: "52:54:00:00:00:04"}]
---
{kind: pool, name: six, network: lan, ranges: ["2001:db8::/65"]}
---
{kind: node, name: n1}
---
{kind: node, name: n2, networks: [lan]}
---
{kind: node, name: n3, state: draining}
---
{kind: node, name: n4, networks: [other]}
`

func newSite(t testing.TB) *world {
	w := newWorld(t)
	w.put(site)
	return w
}

func sorted(m map[string]value) []string { return slices.Sorted(maps.Keys(m)) }
