package manifest

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/nic"
)

func (b *builder) linkLocal(l wordOrList) nic.LinkLocal {
	if w, ok := l.word(); ok {
		kind := slices.Index(linkLocalKinds(), w)
		if kind < 0 {
			b.bad("link-local", w, errors.New("must be "+either(linkLocalKinds())+", or a list of addresses"))
		}
		return nic.LinkLocal{Kind: nic.LinkLocalKind(max(kind, 0))}
	}
	return nic.LinkLocal{Kind: nic.FixedLinkLocal, Fixed: each(b, "link-local", l, parseAddr6)}
}

func (b *builder) dhcp6(d rawDHCP6) nic.DHCP6 {
	return nic.DHCP6{
		Mode:        nic.DHCP6Mode(b.choice("dhcp6.mode", d.Mode, dhcp6Modes())),
		Preferred:   b.seconds("dhcp6.preferred", d.Preferred),
		Valid:       b.seconds("dhcp6.valid", d.Valid),
		T1:          b.seconds("dhcp6.t1", d.T1),
		T2:          b.seconds("dhcp6.t2", d.T2),
		RapidCommit: *d.RapidCommit,
		Unicast:     *d.Unicast,
		Relay:       *d.Relay,
		Preference:  uint8(b.number("dhcp6.preference", d.Preference, 0xff)),
		Refresh:     b.seconds("dhcp6.refresh", d.Refresh),
		SolMaxRT:    b.seconds("dhcp6.sol-max-rt", d.SolMaxRT),
		InfMaxRT:    b.seconds("dhcp6.inf-max-rt", d.InfMaxRT),
		ServerDUID:  b.serverDUID(*d.ServerDUID),
		DUID:        b.duid("dhcp6.duid", d.DUID),
		Refuse:      *d.Refuse,
		IAs:         b.ias(d.IA),
		Temporary:   each(b, "dhcp6.temporary", d.Temporary, parseAddr6),
		Options:     b.options6(d.Options),
		BootURL:     text(d.BootURL),
		BootArgs:    list0(d.BootArgs),
		BootArch:    b.bootArch6(d.BootArch),
	}
}

// own is the server's DUID that the node has made or is configured with.
const own = "own"

func (b *builder) serverDUID(s string) []byte {
	if s == own {
		return nil
	}
	return b.duid("dhcp6.server-duid", &s)
}

func (b *builder) duid(key string, s *string) []byte {
	if s == nil {
		return nil
	}
	data, err := optionHex(*s)
	if err != nil || len(data) == 0 {
		b.bad(key, *s, errors.New("not hexadecimal bytes such as 00:01:00:01:2a:3b"))
		return nil
	}
	return data
}

func (b *builder) ias(list []rawIA) []nic.IA {
	var out []nic.IA
	for i, ia := range list {
		path := fmt.Sprintf("dhcp6.ia[%d]", i)
		if ia.IAID == nil {
			b.bad(path+".iaid", "", errors.New("missing: an identity association needs its IAID"))
			continue
		}
		out = append(out, nic.IA{
			IAID:      uint32(b.number(path+".iaid", ia.IAID, 0xffffffff)),
			Addresses: each(b, path+".addresses", ia.Addresses, parseAddr6),
			Prefixes:  each(b, path+".prefixes", ia.Prefixes, parsePrefix6),
		})
	}
	return out
}

func (b *builder) bootArch6(m map[string]string) map[uint16]string {
	var out map[uint16]string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		path := "dhcp6.boot-arch[" + key + "]"
		arch, ok := b.arch(path, key)
		if !ok {
			continue
		}
		if _, dup := out[arch]; dup {
			b.bad(path, "", fmt.Errorf("architecture %d is given twice", arch))
		}
		if out == nil {
			out = map[uint16]string{}
		}
		out[arch] = m[key]
	}
	return out
}

func (b *builder) ra(a rawRA) nic.RA {
	return nic.RA{
		Mode:       nic.RAMode(b.choice("ra.mode", a.Mode, raModes())),
		Interval:   b.seconds("ra.interval", a.Interval),
		Lifetime:   b.seconds("ra.lifetime", a.Lifetime),
		Preference: nic.Preference(b.choice("ra.preference", a.Preference, preferences())),
		HopLimit:   uint8(b.number("ra.hop-limit", a.HopLimit, 0xff)),
		Preferred:  b.seconds("ra.preferred", a.Preferred),
		Valid:      b.seconds("ra.valid", a.Valid),
		OffLink:    *a.OffLink,
		Autonomous: *a.Autonomous,
		Multicast:  *a.Multicast,
		Routes:     b.raRoutes(a.Routes),
		PREF64:     b.pref64(a.PREF64),
	}
}

func (b *builder) raRoutes(list []rawRARoute) []nic.RARoute {
	var out []nic.RARoute
	for i, r := range list {
		path := fmt.Sprintf("ra.routes[%d]", i)
		if r.To == nil {
			b.bad(path+".to", "", errors.New("missing: a route needs a destination"))
			continue
		}
		to, err := parsePrefix6(*r.To)
		if err != nil {
			b.bad(path+".to", *r.To, err)
		}
		out = append(out, nic.RARoute{
			To:         to,
			Preference: nic.Preference(b.choice(path+".preference", r.Preference, preferences())),
			Lifetime:   b.seconds(path+".lifetime", r.Lifetime),
		})
	}
	return out
}

func (b *builder) pref64(s *string) netip.Prefix {
	if s == nil || *s == none {
		return netip.Prefix{}
	}
	p, err := parsePrefix6(*s)
	if err != nil {
		b.bad("ra.pref64", *s, errors.New("not an IPv6 prefix such as 64:ff9b::/96"))
	}
	return p
}
