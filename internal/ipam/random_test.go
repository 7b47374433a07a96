package ipam_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/ipam"
)

// busy is a site that is small enough for everybody to be in everybody's way.
const busy = `
{kind: project, name: p0, quota: {nics: 8, addresses4: 8, vms: 4}}
---
{kind: project, name: p1}
---
{kind: network, name: lan, projects: ["*"], prefixes: [192.0.2.0/27, "2001:db8::/60"], hold: 1m, mac-prefix: "02:00:00:00:00", defaults: {gateway: 192.0.2.1}}
---
{kind: network, name: iso, projects: ["*"], isolated: true, prefixes: [192.0.2.0/27], mac-prefix: "02:00:00:00:00"}
---
{kind: pool, name: a, network: lan, default: true, ranges: [192.0.2.0-192.0.2.11], fixed: [{address: 192.0.2.3, mac: "52:54:00:00:00:01"}]}
---
{kind: pool, name: six, network: lan, ranges: ["2001:db8::-2001:db8::5"]}
---
{kind: pool, name: i, network: iso, default: true, ranges: [192.0.2.0/28]}
---
{kind: node, name: n0}
---
{kind: node, name: n1}
`

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// nicKeys are keys of a NIC that others may want too.
func nicKeys(r *rand.Rand) string {
	out := "network: " + pick(r, "lan", "lan", "iso")
	if r.IntN(4) > 0 {
		out += ", node: " + pick(r, "n0", "n1") + ", interface: " + pick(r, "t0", "t1", "t2", "t3", "t4", "t5")
	} else {
		out += ", interface: t9"
	}
	switch r.IntN(8) {
	case 0:
		out += fmt.Sprintf(", addresses: [192.0.2.%d]", r.IntN(30))
	case 1:
		out += ", addresses: [a, six]"
	case 2:
		out += fmt.Sprintf(`, addresses: [a, "2001:db8:0:%d::5"]`, r.IntN(3))
	case 3:
		out += fmt.Sprintf(`, binding: {slaac: ["2001:db8:0:%d::/64"]}`, r.IntN(3))
	}
	if r.IntN(5) == 0 {
		out += fmt.Sprintf(`, mac: "52:54:00:00:00:0%d"`, r.IntN(4))
	}
	return out
}

// operation is a decision at random.
func operation(t testing.TB, r *rand.Rand, s *ipam.State, opt ipam.Options) (*ipam.Change, error) {
	name := fmt.Sprintf("v%d", r.IntN(6))
	put := func(doc string) (*ipam.Change, error) {
		list, problems := fleet.Decode("", []byte(doc))
		if len(problems) > 0 {
			t.Fatal(problems, doc)
		}
		return s.Put(list[0], opt)
	}
	project := pick(r, "p0", "p1")
	switch r.IntN(32) {
	case 0, 1:
		return s.Delete(fleet.KindNIC, name, opt)
	case 2:
		return s.Migrate(name, pick(r, "n0", "n1"), opt)
	case 3:
		return s.Activate(onTheMove(s, name), opt)
	case 4:
		return s.Complete(onTheMove(s, name), opt)
	case 5:
		return s.Abort(onTheMove(s, name), opt)
	case 6, 7, 8:
		return put(fmt.Sprintf("{kind: request, name: r%d, project: %s, vms: [{name: m%d, nics: [{%s}, {%s}]}]}", r.IntN(2), project, r.IntN(2), nicKeys(r), nicKeys(r)))
	case 9:
		return s.Delete(fleet.KindRequest, fmt.Sprintf("r%d", r.IntN(2)), opt)
	case 10, 11:
		return put(fmt.Sprintf("{kind: failover, name: f%d, project: %s, network: lan, addresses: [%s], vrid: %d, members: [%s]}",
			r.IntN(2), project, pick(r, "a", "six", "192.0.2.7", "192.0.2.20"), 1+r.IntN(2), name))
	case 12:
		return s.Delete(fleet.KindFailover, fmt.Sprintf("f%d", r.IntN(2)), opt)
	case 13:
		return put(fmt.Sprintf("{kind: pool, name: a, network: lan, default: true, ranges: [192.0.2.%d-192.0.2.%d]}", r.IntN(4), 9+r.IntN(5)))
	case 14:
		return put(fmt.Sprintf(`{kind: network, name: lan, projects: ["*"], prefixes: [192.0.2.0/%d, "2001:db8::/60"], hold: %dm, mac-prefix: "02:00:00:00:00", defaults: {gateway: 192.0.2.%d, mtu: %d}}`,
			27+r.IntN(2), r.IntN(3), 1+r.IntN(12), 1300+r.IntN(3)))
	case 15:
		if r.IntN(2) == 0 {
			return s.Activate(onTheMove(s, name), opt)
		}
		return s.Delete(fleet.KindPool, pick(r, "a", "six", "i"), opt)
	case 16, 17, 18:
		return put(pick(r, strings.Split(busy, "---")...))
	case 19:
		return s.Migrate(name, pick(r, "n0", "n1"), opt)
	case 20, 21:
		what := pick(r, fleet.Head{Kind: fleet.KindNode, Name: "n0"}, fleet.Head{Kind: fleet.KindNode, Name: "n1"}, fleet.Head{Kind: fleet.KindNetwork, Name: "iso"}, fleet.Head{Kind: fleet.KindProject, Name: project}, fleet.Head{Kind: fleet.KindPool, Name: "i"})
		return s.Delete(what.Kind, what.Name, opt)
	}
	vm := ""
	if r.IntN(2) == 0 {
		vm = fmt.Sprintf(", vm: m%d", r.IntN(2))
	}
	return put(fmt.Sprintf("{kind: nic, name: %s, project: %s, %s%s}", name, project, nicKeys(r), vm))
}

// onTheMove is the first NIC that is being migrated, else the one named.
func onTheMove(s *ipam.State, name string) string {
	for i := range 6 {
		if n := s.NIC(fmt.Sprintf("v%d", i)); n != nil && n.Migration != nil {
			return n.Name
		}
	}
	return name
}

// check holds a site to everything that must never be otherwise.
func check(t testing.TB, s *ipam.State) {
	t.Helper()
	usage := map[string]*fleet.Usage{}
	of := func(project string) *fleet.Usage {
		if usage[project] == nil {
			usage[project] = &fleet.Usage{}
		}
		return usage[project]
	}
	addresses, macs, ports, vms := map[string]string{}, map[string]string{}, map[string]string{}, map[string]bool{}
	take := func(m map[string]string, what, who string) {
		t.Helper()
		if had, twice := m[what]; twice {
			t.Fatalf("%s is granted twice: to %s and %s", what, had, who)
		}
		m[what] = who
	}
	for res := range s.All(fleet.KindNIC) {
		n := res.(*fleet.NIC)
		if s.Get(fleet.KindNetwork, n.Network) == nil || s.Get(fleet.KindProject, n.Project) == nil || n.Node != "" && s.Get(fleet.KindNode, n.Node) == nil {
			t.Fatalf("NIC %s is left without its network, project or node", n.Name)
		}
		if n.Request != "" && s.Get(fleet.KindRequest, n.Request) == nil {
			t.Fatalf("NIC %s is left without its request", n.Name)
		}
		u := of(n.Project)
		u.NICs++
		if n.VM != "" && !vms[n.Project+"/"+n.VM] {
			vms[n.Project+"/"+n.VM] = true
			u.VMs++
		}
		if n.Node != "" {
			take(ports, n.Node+" "+n.Interface, n.Name)
			if !slices.Contains(s.NICs(n.Node), n.Name) {
				t.Fatalf("node %s does not know of NIC %s", n.Node, n.Name)
			}
		}
		take(macs, n.Network+" "+n.Granted.MAC.String(), n.Name)
		for _, p := range n.Granted.Addresses {
			take(addresses, n.Network+" "+p.Addr().String(), n.Name)
			if c, ok := s.Claim(n.Network, p.Addr()); !ok || c.Owner != "nic:"+n.Name || *c.MAC != n.Granted.MAC || c.Project != n.Project {
				t.Fatalf("claim of %s: %+v, but it is %s's", p, c, n.Name)
			}
			if p.Addr().Is4() {
				u.Addresses4++
			} else {
				u.Addresses6++
			}
		}
	}
	for res := range s.All(fleet.KindFailover) {
		f := res.(*fleet.Failover)
		for _, m := range f.Members {
			if s.NIC(m) == nil {
				t.Fatalf("fail-over %s has a member that is not there: %s", f.Name, m)
			}
		}
		for _, a := range f.Granted {
			take(addresses, f.Network+" "+a.String(), f.Name)
			if a.Is4() {
				of(f.Project).Addresses4++
			} else {
				of(f.Project).Addresses6++
			}
		}
	}
	for res := range s.All(fleet.KindRequest) {
		for _, vm := range res.(*fleet.Request).VMs {
			for _, n := range vm.NICs {
				if s.NIC(n.Name) == nil {
					t.Fatalf("request %s is there in part", res.Header().Name)
				}
			}
		}
	}
	for res := range s.All(fleet.KindProject) {
		name, q := res.Header().Name, res.(*fleet.Project).Quota
		if got, want := s.Usage(name), *of(name); got != want {
			t.Fatalf("usage of %s is %+v, but it has %+v", name, got, want)
		}
		if u := of(name); q.NICs != nil && u.NICs > *q.NICs || q.Addresses4 != nil && u.Addresses4 > *q.Addresses4 || q.VMs != nil && u.VMs > *q.VMs {
			t.Fatalf("%s is over its quota: %+v", name, *u)
		}
	}
	for _, node := range []string{"n0", "n1"} {
		bindings(t, s, node)
	}
}

// Whatever is done in whatever order: nothing is granted twice, and a node is
// told nothing that it would refuse, or that is in something else's way.
func TestRandomOperations(t *testing.T) {
	done, refused := map[string]int{}, 0
	for seed := range uint64(16) {
		w := newWorld(t)
		w.rand = rand.New(rand.NewPCG(seed, 7))
		w.put(busy)
		for range 250 {
			c, err := operation(t, w.rand, w.state, w.options())
			if err != nil {
				reasons(t, err)
				refused++
				continue
			}
			if w.apply(c, nil); c != nil {
				done[c.Revision.Action]++
			}
			check(t, w.state)
		}
		fresh := w.copied()
		check(t, fresh)
		for _, node := range []string{"n0", "n1"} {
			a, _ := w.state.Documents(node)
			b, _ := fresh.Documents(node)
			if fmt.Sprint(a) != fmt.Sprint(b) {
				t.Fatalf("seed %d: a State that followed says other than one that was read anew", seed)
			}
		}
	}
	if refused < 300 || done["put"] < 300 || done["delete"] < 50 || done["migrate"] < 5 || done["activate"] < 2 || done["complete"] < 1 || done["abort"] < 2 {
		t.Errorf("%d refused, %v done: that judges little", refused, done)
	}
}

// Two decide at the same revision, and both commit: the second must fail, or
// be still right.
func TestTwoDecide(t *testing.T) {
	both, one := 0, 0
	for seed := range uint64(80) {
		w := newWorld(t)
		w.rand = rand.New(rand.NewPCG(seed, 8))
		w.put(busy)
		for range 100 {
			opt := w.options()
			a, err := operation(t, w.rand, w.state, opt)
			b, err2 := operation(t, w.rand, w.state, w.options())
			if err != nil || err2 != nil || a == nil || b == nil {
				if err == nil {
					w.apply(a, nil)
				}
				continue
			}
			before := printed(w)
			w.apply(a, nil)
			if w.commit(b, w.state) {
				both++
			} else {
				one++
			}
			func() {
				defer func() {
					if t.Failed() {
						t.Logf("seed %d at\n%s\nboth of:\n%s\n%s", seed, before, said(a), said(b))
					}
				}()
				check(t, w.state)
			}()
		}
	}
	if both < 200 || one < 200 {
		t.Errorf("%d times both, %d times one: that judges little", both, one)
	}
}

// Pairs of decisions that cannot both be right: whichever is made first, the
// other one does not fit any more.
func TestPairs(t *testing.T) {
	const (
		six    = `{kind: nic, name: x, project: p1, network: lan, addresses: ["2001:db8:0:1::5"]}`
		slaac  = `{kind: nic, name: y, project: p0, network: lan, binding: {slaac: ["2001:db8:0:1::/64"]}}`
		member = `{kind: failover, name: f, project: p0, network: lan, addresses: [192.0.2.20], members: [old]}`
		routed = `{kind: nic, name: old, project: p0, network: lan, node: n0, binding: {routed: true, gateway: none}}`
	)
	for _, tt := range []struct{ name, one, other string }{
		{"an address", "{kind: nic, name: x, project: p0, network: lan, addresses: [192.0.2.9]}", "{kind: nic, name: y, project: p1, network: lan, addresses: [192.0.2.9]}"},
		{"an interface", "{kind: nic, name: x, project: p0, network: lan, node: n0, interface: t}", "{kind: nic, name: y, project: p1, network: iso, node: n0, interface: t}"},
		{"a MAC", `{kind: nic, name: x, project: p0, network: lan, mac: "52:54:00:00:00:09", addresses: [192.0.2.8]}`, `{kind: nic, name: y, project: p1, network: lan, mac: "52:54:00:00:00:09", addresses: [192.0.2.9]}`},
		{"a prefix around an address", six, slaac},
		{"a member that is routed", member, routed},
		{"a gateway that is a NIC's", `{kind: network, name: lan, projects: ["*"], prefixes: [192.0.2.0/27, "2001:db8::/60"], defaults: {gateway: 192.0.2.9}}`, "{kind: nic, name: x, project: p1, network: lan, addresses: [192.0.2.9]}"},
		{"a pool without what is in use", "{kind: pool, name: a, network: lan, ranges: [192.0.2.0/29]}", "{kind: nic, name: x, project: p1, network: lan, addresses: [192.0.2.9]}"},
		{"two pools", "{kind: pool, name: b, network: lan, ranges: [192.0.2.16-192.0.2.20]}", "{kind: pool, name: c, network: lan, ranges: [192.0.2.20-192.0.2.24]}"},
		{"two networks", "{kind: network, name: b, prefixes: [10.0.0.0/8]}", "{kind: network, name: c, prefixes: [10.1.0.0/16]}"},
		{"a VRID", "{kind: failover, name: f, project: p0, network: lan, addresses: [192.0.2.20], vrid: 3}", "{kind: failover, name: g, project: p1, network: lan, addresses: [192.0.2.21], vrid: 3}"},
		{"a quota", "{kind: project, name: p0, quota: {nics: 1}}", "{kind: nic, name: x, project: p0, network: lan}"},
		{"a node that does not serve it", "{kind: node, name: n1, networks: [iso]}", "{kind: nic, name: x, project: p1, network: lan, node: n1}"},
		{"policies of before", "{kind: policy, name: p}", "{kind: nic, name: x, project: p1, network: lan}"},
	} {
		for i, order := range [][2]string{{tt.one, tt.other}, {tt.other, tt.one}} {
			if i > 0 && slices.Contains([]string{"a quota", "policies of before"}, tt.name) {
				continue // what was there before a rule stays
			}
			w := newWorld(t)
			w.put(busy)
			w.put("{kind: nic, name: old, project: p0, network: lan, node: n0}")
			first, err := w.state.Put(decoded(t, order[0])[0], w.options())
			w.must(err)
			second, err := w.state.Put(decoded(t, order[1])[0], w.options())
			w.must(err)
			w.apply(first, nil)
			if w.commit(second, w.state) {
				t.Errorf("%s: both\n%s\n%s", tt.name, said(first), said(second))
			}
			check(t, w.state)
		}
	}
}

func printed(w *world) string {
	var out []string
	for _, k := range sorted(w.keys) {
		if strings.Contains("raimuxy", k[:1]) {
			out = append(out, fmt.Sprintf("%s@%d %s", k, w.keys[k].rev, w.keys[k].data))
		}
	}
	return strings.Join(out, "\n")
}

func said(c *ipam.Change) string {
	var out []string
	for _, n := range c.Needs {
		out = append(out, fmt.Sprintf("  need %s%s @%d", n.Key, n.End, n.Revision))
	}
	for _, e := range c.Revision.Changes {
		out = append(out, fmt.Sprintf("  %s %s %s\n    %s\n    %s", c.Revision.Action, e.Kind, e.Name, e.Before, e.After))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}
