package manifest

import (
	"math"

	"github.com/berth-net/berth/internal/nic"
)

const (
	// defaultLease is one day: an agent that is down for hours costs no guest
	// its address.
	defaultLease = nic.Seconds(day)
	// defaultPreferred and defaultValid are AdvPreferredLifetime and
	// AdvValidLifetime of RFC 4861 section 6.2.1, for DHCPv6 and announced
	// prefixes alike, so that no guest sees two ages of one address.
	defaultPreferred = nic.Seconds(7 * day)
	defaultValid     = nic.Seconds(30 * day)
	// defaultInterval is RFC 4861's MaxRtrAdvInterval.
	defaultInterval = nic.Seconds(600)
	// maxRouterLifetime is what the 16 bits of the field hold.
	maxRouterLifetime = nic.Seconds(math.MaxUint16)
)

// defaults is the one place where the built-in defaults stand. Some follow
// what r says.
func defaults(r raw) raw {
	on, off := ptr(true), ptr(false)
	routed := given(r.Routed)
	neighbours := nic.NeighboursOff
	if routed {
		neighbours = nic.NeighboursAll
	}
	return raw{
		Suspended:      off,
		NoDefaultRoute: off,
		MTU:            ptr(int64(0)),
		IPv6:           ptr("auto"),
		LinkLocal:      wordOrList{"first-come"},
		Routed:         off,
		Routing:        &rawRouting{Table: ptr(int64(0)), Uplink: ptr("")},
		Neighbours:     ptr(neighbourLevels()[neighbours]),
		ServedBy:       ptr("berth"),
		DHCP4:          defaults4(given(r.DHCP4)),
		DHCP6:          defaults6(given(r.DHCP6)),
		RA:             defaultsRA(given(r.RA), given(r.DHCP6), routed),
		Guard: &rawGuard{
			Mode:      ptr("enforce"),
			Checks:    &rawChecks{MAC: on, ARP: on, ND: on, IP: on, L2: on},
			Router:    off,
			Advertise: off,
			Rate:      &rawRate{PerSecond: ptr(int64(50)), Burst: ptr(int64(100))},
		},
	}
}

// defaults4 follows the lease; RFC 2131 section 4.4.5 gives T1 and T2.
func defaults4(d rawDHCP4) *rawDHCP4 {
	off := ptr(false)
	lease := secondsOr(d.Lease, defaultLease)
	t1, t2 := nic.Seconds(0), nic.Seconds(0)
	if lease != nic.Infinite { // nothing to renew
		t1, t2 = lease/2, lease/8*7+lease%8*7/8
	}
	return &rawDHCP4{
		Off:                off,
		ServerID:           ptr("gateway"),
		Lease:              ptr(formatSeconds(lease)),
		MaxLease:           ptr(formatSeconds(lease)),
		T1:                 ptr(formatSeconds(t1)),
		T2:                 ptr(formatSeconds(t2)),
		OnlyRequested:      off,
		NoRouterWithRoutes: off,
		RapidCommit:        off,
		Relay:              off,
		AnyClient:          off,
	}
}

// defaults6 follows the lifetimes; RFC 8415 section 21.4 gives T1 and T2, and
// makes them infinite with the preferred lifetime.
func defaults6(d rawDHCP6) *rawDHCP6 {
	off := ptr(false)
	preferred, valid := lifetimes(d.Preferred, d.Valid, defaultPreferred, defaultValid)
	t1, t2 := nic.Infinite, nic.Infinite
	if preferred != nic.Infinite {
		t1, t2 = preferred/2, preferred/5*4+preferred%5*4/5
	}
	return &rawDHCP6{
		Mode:        ptr("both"),
		Preferred:   ptr(formatSeconds(preferred)),
		Valid:       ptr(formatSeconds(valid)),
		T1:          ptr(formatSeconds(t1)),
		T2:          ptr(formatSeconds(t2)),
		RapidCommit: off,
		Unicast:     off,
		Relay:       off,
		Preference:  ptr(int64(0)),
		ServerDUID:  ptr(own),
		Refuse:      off,
	}
}

// defaultsRA follows the interval (RFC 4861 section 6.2.1), the lifetimes of
// DHCPv6, and whether the host routes: then nobody else is on the link.
func defaultsRA(a rawRA, d rawDHCP6, routed bool) *rawRA {
	off := ptr(false)
	interval := secondsOr(a.Interval, defaultInterval)
	preferred, valid := lifetimes(d.Preferred, d.Valid, defaultPreferred, defaultValid)
	preferred, valid = lifetimes(a.Preferred, a.Valid, preferred, valid)
	return &rawRA{
		Mode:       ptr("serve"),
		Interval:   ptr(formatSeconds(interval)),
		Lifetime:   ptr(formatSeconds(min(interval, maxRouterLifetime/3) * 3)),
		Preference: ptr("medium"),
		HopLimit:   ptr(int64(64)), // the assigned default (RFC 4861 section 6.2.1)
		Preferred:  ptr(formatSeconds(preferred)),
		Valid:      ptr(formatSeconds(valid)),
		OffLink:    ptr(routed),
		Autonomous: off,
		Multicast:  off,
	}
}

// lifetimes returns a pair of which one may be given, so that the other one
// never contradicts it.
func lifetimes(preferred, valid *string, p, v nic.Seconds) (nic.Seconds, nic.Seconds) {
	p = secondsOr(preferred, min(p, secondsOr(valid, p)))
	return p, secondsOr(valid, max(v, p))
}

// secondsOr reads a time that others follow. A bad one is told when it is
// read as a key.
func secondsOr(s *string, otherwise nic.Seconds) nic.Seconds {
	if s == nil {
		return otherwise
	}
	n, err := parseSeconds(*s)
	if err != nil {
		return otherwise
	}
	return n
}

// given is the value, zero if the key is absent.
func given[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
