package corpus

import (
	"fmt"
	"strings"
)

// Fate is what must become of a generated frame of the guest, whatever the
// reason given for it.
type Fate uint8

// The fates.
const (
	Passes  Fate = iota
	Checked      // dropped where the checks are on
	Held         // dropped in every mode
)

// Generated is one frame of a product.
type Generated struct {
	Name  string
	Frame []byte
	Fate  Fate
}

// link is one kind of header that a chain is made of.
type link struct {
	name   string
	header header6
}

func links() []link {
	const experimental = 253 // RFC 4727: no extension header, and nobody can look behind it
	return []link{
		{"HBH", options6(hopByHop)},
		{"Dst", options6(destOpts)},
		{"Rt0", routed(0, allNodes)},
		{"Rt4", routed(4, allNodes)},
		{"Frag", part(0, false)},
		{"AH", authenticated()},
		{"MH", plain(mobility)},
		{"HIP", plain(hip)},
		{"Shim6", plain(shim6)},
		{"253", plain(experimental)},
	}
}

// upper is what a chain ends in.
type upper struct {
	name   string
	packet packet6
}

func uppers() []upper {
	const o = flagOverride
	group := packet6{src: LL, dst: allNodes, proto: icmp6}
	with := func(payload []byte) packet6 { p := group; p.payload = payload; return p }
	dad := packet6{src: Any6, dst: solicitedNode(M6), proto: icmp6, payload: solicit(M6)}
	reply := packet6{src: LL, dst: BLL, proto: udpProto, payload: udp(547, 546, serverMessage(7))}
	return []upper{
		{"RA", with(router(1800, M))},
		{"NA of another", with(advert(o, B6, lla(2, M)))},
		{"DAD of another", packet6{src: Any6, dst: solicitedNode(B6), proto: icmp6, payload: solicit(B6)}},
		{"redirect", with(redirect(LL, B6))},
		{"DHCPv6 reply", reply},
		{"MLD query", with(icmp6Type(130, 0, make([]byte, 20)...))},
		{"echo", with(icmp6Type(128, 0, 0, 1, 0, 1))},
		{"own NA", with(advert(o, M6, lla(2, M)))},
		{"own DAD", dad},
	}
}

// maxChain is how many headers a generated chain has at most.
const maxChain = 3

// Chains is the product of every chain of up to three headers with every end,
// each with the fate that a reader of the RFCs gives it.
func Chains() []Generated {
	var all []Generated
	for _, chain := range chains(maxChain) {
		for _, u := range uppers() {
			p := u.packet
			var names []string
			for _, l := range chain {
				p.headers = append(p.headers, l.header)
				names = append(names, l.name)
			}
			all = append(all, Generated{
				Name: strings.Join(append(names, u.name), " "), Frame: p.frame(), Fate: reference(names, u.name),
			})
		}
	}
	return all
}

// chains returns the empty chain and all others of up to n links.
func chains(n int) [][]link {
	out := [][]link{nil}
	for last := out; n > 0; n-- {
		var next [][]link
		for _, c := range last {
			for _, l := range links() {
				next = append(next, append(c[:len(c):len(c)], l))
			}
		}
		out, last = append(out, next...), next
	}
	return out
}

// reference is a model of what may leave a guest that was written from the
// RFCs and knows nothing of the guard.
func reference(chain []string, end string) Fate {
	fate, fragmented, opaque := Passes, false, false
	for i, h := range chain {
		switch {
		case opaque:
			continue
		case h == "HBH" && i > 0: // RFC 8200 4.1: nowhere but first
			return Held
		case h == "Frag" && fragmented: // RFC 8200 4.5: once; a packet whose type is hidden is refused, RFC 7112
			return Held
		case h == "Frag":
			fragmented = true
		case h == "Rt0" || h == "Rt4": // RFC 5095, and no host of the site routes by segments, RFC 8754
			fate = Checked
		case h == "253":
			opaque = true
		}
	}
	worst := func(f Fate) Fate { return max(fate, f) }
	switch end {
	case "RA", "DHCPv6 reply": // RFC 7113, RFC 7610: found behind any chain
		if !opaque {
			return Held
		}
	case "NA of another", "redirect", "MLD query":
		if !opaque {
			return worst(Checked)
		}
	case "own NA": // RFC 6980: not in fragments, not even atomic ones
		if fragmented && !opaque {
			return worst(Checked)
		}
	case "own DAD", "DAD of another": // RFC 4862 5.4.2: the unspecified source is for discovery alone
		if fragmented || opaque || end == "DAD of another" {
			return worst(Checked)
		}
	}
	return fate
}

// Encapsulations is the product of up to two VLAN tags with and without SNAP
// around an attack of each family and the guest's own traffic.
func Encapsulations() []Generated {
	var tags []tag
	for _, tpid := range []uint16{0x8100, 0x88a8, 0x9100} {
		for _, vid := range []uint16{0, 1, 42, 4095} {
			tags = append(tags, tag{tpid, vid})
		}
	}
	stacks := [][]tag{nil}
	for _, outer := range tags {
		stacks = append(stacks, []tag{outer})
		for _, inner := range tags {
			stacks = append(stacks, []tag{outer, inner})
		}
	}
	var all []Generated
	for _, s := range stacks {
		for _, f := range insides() {
			all = append(all, encapsulate(s, f, false), encapsulate(s, f, true))
		}
	}
	return all
}

func insides() []Generated {
	return []Generated{
		{"ARP poison", arp(B, arpMsg{op: 2, sha: M, tha: B, spa: G4, tpa: B4}), Checked},
		{"IPv4 spoof", from(G4), Checked},
		{"NA of another", nd(M6, allNodes, advert(flagOverride, B6, lla(2, M))), Checked},
		{"RA", nd(LL, allNodes, router(1800, M)), Held},
		{"DHCPv4 offer", server(2, nil), Held},
		{"DHCPv6 reply", serve6(nil), Held},
		{"own IPv4", udp4(nil), Passes},
		{"own IPv6", udp6(M6, nil), Passes},
	}
}

// encapsulate wraps a frame: no wrapper makes it better (VU#855201), and no
// guest sends one.
func encapsulate(tags []tag, g Generated, snap bool) Generated {
	if snap {
		g.Name, g.Frame = "SNAP "+g.Name, llcsnap(g.Frame, 0)
	}
	g.Name, g.Frame = fmt.Sprintf("%x %s", tags, g.Name), enc(g.Frame, tags...)
	if snap || tags != nil {
		g.Fate = max(g.Fate, Checked)
	}
	return g
}
