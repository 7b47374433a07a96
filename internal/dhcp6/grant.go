package dhcp6

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// grant is the answer to one identity association.
type grant struct {
	ia
	given  []netip.Prefix // with the binding's lifetimes
	stale  []netip.Prefix // with lifetimes 0: what the client must forget
	status statusCode     // success is not written
}

// grants answers every IA in the order asked. The first IA with a claim gets
// what it claims; which that is does not depend on what the client
// lists or calls itself.
func (x *exchange) grants() []grant {
	mine := holdings(x.Binding)
	taken := map[claim]bool{}
	out := make([]grant, len(x.m.ias))
	for i, a := range x.m.ias {
		c := claimOf(x.Binding, a)
		g := grant{ia: a}
		if !taken[c] {
			g.given = c.leases(x.Binding)
			taken[c] = true
		}
		if len(g.given) == 0 {
			g.status = x.nothingFor(a)
		}
		if x.forgets(g) {
			g.stale = slices.DeleteFunc(slices.Clone(a.listed), func(p netip.Prefix) bool { return mine[p] })
		}
		out[i] = g
	}
	return out
}

// nothingFor says why an IA gets nothing (RFC 8415 18.3.2, 18.3.4, 18.3.9).
func (x *exchange) nothingFor(a ia) statusCode {
	away := func(p netip.Prefix) bool { return !onLink(x.Binding, p.Addr()) }
	if a.code != optIAPD && x.m.kind == request && slices.ContainsFunc(a.listed, away) {
		return notOnLink
	}
	return unavailable(a)
}

func unavailable(a ia) statusCode {
	if a.code == optIAPD {
		return noPrefixAvail
	}
	return noAddrsAvail
}

// forgets reports whether the client is told which of the addresses it lists
// are not the NIC's (18.3.4, 18.3.5). What a SOLICIT lists are hints (18.3.1);
// an IA in answer to a REQUEST lists nothing beside a status (18.3.2).
//
// For a REQUEST RFC 8415 has NotOnLink instead where an address is of another
// link. Here the right address is known and goes with the same reply, which
// saves the client a round.
func (x *exchange) forgets(g grant) bool {
	switch x.m.kind {
	case renew, rebind:
		return true
	case request:
		return len(g.given) > 0
	default:
		return false
	}
}

// shortfall is the reason that goes with a reply that gives none of what was
// asked for.
func shortfall(list []grant) reason.Reason {
	why := reason.None
	for _, g := range list {
		switch {
		case len(g.given) > 0:
			return reason.None
		case g.status == notOnLink:
			why = reason.DHCPNotOnLink
		case why == reason.None:
			why = reason.DHCPNoIPv6
		}
	}
	return why
}

func given(list []grant) []netip.Prefix {
	var out []netip.Prefix
	for _, g := range list {
		out = append(out, g.given...)
	}
	return out
}

// statuses answers IAs with a status alone.
func statuses(list []ia, of func(ia) statusCode) []grant {
	var out []grant
	for _, a := range list {
		out = append(out, grant{ia: a, status: of(a)})
	}
	return out
}

// option writes the identity association. One without leases has T1 and T2 0,
// which leaves them to the others of the message.
func (g grant) option(d *nic.DHCP6) option {
	b := binary.BigEndian.AppendUint32(nil, g.iaid)
	if g.code != optIATA {
		t1, t2 := d.T1, d.T2
		if len(g.given) == 0 {
			t1, t2 = 0, 0
		}
		b = appendSeconds(b, t1, t2)
	}
	for _, p := range g.given {
		b = g.lease(p, d.Preferred, d.Valid).appendTo(b)
	}
	for _, p := range g.stale {
		b = g.lease(p, 0, 0).appendTo(b)
	}
	if g.status != success {
		b = g.status.option().appendTo(b)
	}
	return option{g.code, b}
}

func (g grant) lease(p netip.Prefix, preferred, valid nic.Seconds) option {
	a := p.Addr().As16()
	if g.code != optIAPD {
		return option{optIAAddr, appendSeconds(a[:], preferred, valid)}
	}
	b := append(appendSeconds(nil, preferred, valid), byte(p.Bits()))
	return option{optIAPrefix, append(b, a[:]...)}
}

// leaseSize is the room one lease takes.
func (g grant) leaseSize() int {
	if g.code == optIAPD {
		return optionHeader + prefixFixed
	}
	return optionHeader + addrHeader
}

func appendSeconds(b []byte, list ...nic.Seconds) []byte {
	for _, s := range list {
		b = binary.BigEndian.AppendUint32(b, uint32(s))
	}
	return b
}

// staleSize is the room taken by what clients are to forget.
func staleSize(list []grant) int {
	n := 0
	for _, g := range list {
		n += len(g.stale) * g.leaseSize()
	}
	return n
}

// cutStale leaves of it what room there is: it comes after everything else,
// because the guard stops such an address anyway, and the client may list as
// many as it likes.
func cutStale(list []grant, room int) {
	for i := range list {
		g := &list[i]
		n := min(len(g.stale), room/g.leaseSize())
		g.stale = g.stale[:n]
		room -= n * g.leaseSize()
	}
}
