package claims_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/etcd"
	"github.com/berth-net/berth/internal/fleet"
)

// auditor follows the store and looks at every single revision: each NIC has
// the claims that it was granted, each claim is of a NIC that has it, and of
// each request either all NICs are there or none.
type auditor struct {
	nics     map[string]*fleet.NIC
	requests map[string]int // NICs that it is about
	claims   map[string]fleet.Claim
	partial  bool
	fulls    int
	seen     int // revisions
	wrong    []string
}

func newAuditor() *auditor { return &auditor{} }

func (a *auditor) take(b etcd.Batch) error {
	if b.Full {
		a.nics, a.requests, a.claims = map[string]*fleet.NIC{}, map[string]int{}, map[string]fleet.Claim{}
		a.fulls++
	}
	touched := map[string]bool{}
	for _, e := range b.Events {
		if err := a.set(e, touched); err != nil {
			return fmt.Errorf("%s: %w", e.Key, err)
		}
	}
	if b.More || b.Full || a.partial {
		a.partial = b.More
		return nil
	}
	a.seen++
	for _, about := range slices.Sorted(maps.Keys(touched)) {
		for _, wrong := range a.check(about) {
			a.wrong = append(a.wrong, fmt.Sprintf("revision %d: %s", b.Revision, wrong))
		}
	}
	return nil
}

// set takes one key, and notes what it is about: "address KEY", "nic NAME",
// "request NAME".
func (a *auditor) set(e etcd.Event, touched map[string]bool) error {
	switch name, kind := e.Key[strings.LastIndex(e.Key, "/")+1:], e.Key[:strings.LastIndex(e.Key, "/")]; {
	case strings.HasPrefix(e.Key, "a/"):
		touched["address "+e.Key] = true
		return keep(a.claims, e.Key, e, func(c fleet.Claim) fleet.Claim { return c })
	case kind == "r/nic":
		touched["nic "+name] = true
		if old := a.nics[name]; old != nil {
			touched["request "+old.Request] = true
		}
		err := keep(a.nics, name, e, func(n fleet.NIC) *fleet.NIC { return &n })
		if now := a.nics[name]; now != nil {
			touched["request "+now.Request] = true
		}
		return err
	case kind == "r/request":
		touched["request "+name] = true
		return keep(a.requests, name, e, func(r fleet.Request) int {
			n := 0
			for _, vm := range r.VMs {
				n += len(vm.NICs)
			}
			return n
		})
	default:
		return nil
	}
}

func keep[R, V any](m map[string]V, key string, e etcd.Event, as func(R) V) error {
	if e.Deleted {
		delete(m, key)
		return nil
	}
	var r R
	if err := json.Unmarshal(e.Value, &r); err != nil {
		return err
	}
	m[key] = as(r)
	return nil
}

func (a *auditor) check(about string) (wrong []string) {
	what, name, _ := strings.Cut(about, " ")
	switch what {
	case "address":
		if c := a.claims[name]; c.Owner != "" && !a.holds(strings.TrimPrefix(c.Owner, "nic:"), c.Address) {
			wrong = append(wrong, fmt.Sprintf("%s is claimed by %s, which has not got it", c.Address, c.Owner))
		}
	case "nic":
		n := a.nics[name]
		if n == nil || n.Granted == nil {
			break
		}
		for _, p := range n.Granted.Addresses {
			if c := a.claims[fleet.AddressKey(n.Network, p.Addr())]; c.Owner != "nic:"+name {
				wrong = append(wrong, fmt.Sprintf("NIC %s has %s, which is claimed by %q", name, p, c.Owner))
			}
		}
	case "request":
		if have, want := a.count(name), a.requests[name]; name != "" && have != want {
			wrong = append(wrong, fmt.Sprintf("request %s has %d NICs of %d", name, have, want))
		}
	}
	return wrong
}

func (a *auditor) holds(nic, address string) bool {
	n := a.nics[nic]
	return n != nil && n.Granted != nil && slices.ContainsFunc(n.Granted.Addresses, func(p netip.Prefix) bool { return p.Addr().String() == address })
}

func (a *auditor) count(request string) int {
	n := 0
	for _, nic := range a.nics {
		if nic.Request == request {
			n++
		}
	}
	return n
}

// whole looks at everything there is.
func (a *auditor) whole() []string {
	var wrong []string
	for k := range a.claims {
		wrong = append(wrong, a.check("address "+k)...)
	}
	for k, n := range a.nics {
		wrong = append(wrong, a.check("nic "+k)...)
		if _, ok := a.requests[n.Request]; n.Request != "" && !ok {
			wrong = append(wrong, fmt.Sprintf("NIC %s is of request %s, which is not there", k, n.Request))
		}
	}
	for k := range a.requests {
		wrong = append(wrong, a.check("request "+k)...)
	}
	return wrong
}
