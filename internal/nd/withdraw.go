package nd

import (
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/nic"
)

// Withdrawn is what earlier bindings announced and the present one does not.
// The zero value is nothing. It does not change once made.
//
// Prefixes are taken back with both lifetimes 0. The preferred one deprecates
// the guest's addresses at once; the valid one a host believes only down to
// two hours (RFC 4862 5.5.3 e). The MTU and the captive portal have no
// lifetime and cannot be taken back.
//
// How often it is said is the caller's to decide; RFC 4861 6.2.5 has three
// times in mind. It does not grow without end: what is newest is kept.
type Withdrawn struct {
	list []said // ended, one of each router, the newest last
}

// What is kept of each kind for a router, which is more than an advertisement
// holds of most, and of how many routers.
const (
	maxEnded   = 64
	maxRouters = 8
)

// IsZero reports whether nothing is withdrawn.
func (w Withdrawn) IsZero() bool { return len(w.list) == 0 }

// of returns what is withdrawn of one router.
func (w Withdrawn) of(from netip.Addr) said {
	for _, s := range w.list {
		if s.from == from {
			s.mac = nic.MAC{} // told beside it
			return s
		}
	}
	return said{}
}

// Withdraw adds to old what before announced and now does not, and takes out
// what now announces again. A NIC that now is told nothing at all still gets
// the last words of its routers through Advertisements; but where the site
// advertises from now on, nothing is said in the gateway's name: its lifetimes
// are the site's, and berth's run out.
func Withdraw(before, now Router, old Withdrawn) Withdrawn {
	list := old.list
	if s, ok := before.says(); ok {
		list = absorb(list, s.ended())
	}
	present, _ := now.says()
	site := now.Binding != nil && now.Binding.RA.Mode == nic.RASite
	var w Withdrawn
	for _, s := range list[max(0, len(list)-maxRouters):] {
		if site && s.from != nic.BerthLinkLocal() {
			continue
		}
		if s = s.without(present); !s.empty() {
			w.list = append(w.list, s)
		}
	}
	return w
}

// ended is what takes back all of s that has a lifetime.
func (s said) ended() said {
	e := said{
		from: s.from, mac: s.mac, wasDefault: s.wasDefault,
		dns: s.dns, search: s.search, pref64: s.pref64,
	}
	for _, p := range s.prefixes {
		e.prefixes = append(e.prefixes, prefix{Prefix: p.Prefix, flags: p.flags})
	}
	for _, r := range s.routes {
		e.routes = append(e.routes, nic.RARoute{To: r.To})
	}
	return e
}

// empty reports whether there is nothing to take back.
func (s said) empty() bool {
	return !s.wasDefault && len(s.prefixes) == 0 && len(s.routes) == 0 &&
		len(s.dns) == 0 && len(s.search) == 0 && len(s.pref64) == 0
}

// absorb adds what a router has ended, before what it had ended earlier. The
// list is not changed.
func absorb(list []said, e said) []said {
	var out []said
	for _, was := range list {
		if was.from != e.from {
			out = append(out, was)
			continue
		}
		e.wasDefault = e.wasDefault || was.wasDefault
		e.prefixes = unionPrefixes(e.prefixes, was.prefixes)
		e.routes = union(e.routes, was.routes)
		e.dns = union(e.dns, was.dns)
		e.search = union(e.search, was.search)
		e.pref64 = union(e.pref64, was.pref64)
	}
	return append(out, e)
}

// without leaves out of an ended s what is announced after all. Hosts hold
// routes and the default router by who said it, the rest but once. Of a
// prefix the flags that it lost are left: an on-link entry ends with L, what
// was formed of it with A (RFC 4861 6.3.4, RFC 4862 5.5.3 a).
func (s said) without(present said) said {
	var left []prefix
	for _, p := range s.prefixes {
		if n := find(present.prefixes, p.Prefix); n >= 0 {
			p.flags &^= present.prefixes[n].flags
		}
		if p.flags != 0 {
			left = append(left, p)
		}
	}
	s.prefixes = left
	s.dns = minus(s.dns, present.dns)
	s.search = minus(s.search, present.search)
	s.pref64 = minus(s.pref64, present.pref64)
	if s.from == present.from {
		s.wasDefault = false // present's own header says how it is
		s.routes = minus(s.routes, present.ended().routes)
	}
	return s
}

func find(list []prefix, p netip.Prefix) int {
	return slices.IndexFunc(list, func(x prefix) bool { return x.Prefix == p })
}

// union is a, then what b has beyond it up to maxEnded; neither is changed.
func union[T comparable](a, b []T) []T {
	more := minus(b, a)
	return slices.Concat(a, more[:max(0, min(len(more), maxEnded-len(a)))])
}

// unionPrefixes is union with the flags of both.
func unionPrefixes(a, b []prefix) []prefix {
	a = slices.Clone(a)
	var more []prefix
	for _, p := range b {
		if n := find(a, p.Prefix); n >= 0 {
			a[n].flags |= p.flags
		} else {
			more = append(more, p)
		}
	}
	return union(a, more)
}

func minus[T comparable](a, b []T) []T {
	var out []T
	for _, v := range a {
		if !slices.Contains(b, v) {
			out = append(out, v)
		}
	}
	return out
}
