package guard_test

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// served are NICs whose link others serve.
func served() []variant {
	return []variant{
		{name: "served by the site", change: func(b *nic.Binding) { b.ServedBy = nic.ServedBySite }, flips: siteServers()},
		{
			name: "served by the tenant", change: func(b *nic.Binding) { b.ServedBy = nic.ServedByTenant },
			flips: join(siteServers(), advertises(), tenantServers()),
		},
		{
			name: "suspended, served by the tenant", change: func(b *nic.Binding) { b.Suspended, b.ServedBy = true, nic.ServedByTenant },
			flips: all(drops(reason.IP4Spoof), "G38", "G22"),
			also: func(v *corpus.Vector, f []byte, w corpus.Want) guard.Action {
				if w.Action == guard.Pass && !v.ToGuest || isIP6(f) {
					return guard.Drop
				}
				return w.Action
			},
		},
	}
}

// siteServers is what becomes of requests and of the site's answers where they
// pass. What hides what it is, spoofs or goes to berth does not.
func siteServers() map[string][]corpus.Want {
	asks := all(passes(), "G01", "G02", "G03", "G04", "G05", "G06", "G07", "G08", "G09", "G10", "G11", "G12", "G13", "G14", "G15", "G16",
		"G17", "G18", "G19", "G20", "G21", "G22", "G23", "G24", "G37", "G38", "G40", "G42", "G43", "G44", "G47")
	asks6 := all(passes(), "G25", "G26", "G27", "G28", "G29", "G30", "G31", "G32", "G50", "G51", "G53", "G54", "G55")
	answers := all(passes(), "N01", "N02", "N03", "N06", "N11")
	return join(siteRouters(), asks, asks6, answers, map[string][]corpus.Want{
		"G36": drops(reason.IP4Spoof), "G41": drops(reason.IP4Spoof), // it would be heard beyond the NIC
		"G52": {passes()[0], drops(reason.ToBerth)[0]}, "G62": drops(reason.LLTaken),
		"N27": {passes()[0], drops(reason.DHCPForeign)[0], passes()[0]}, "N28": {passes()[0], drops(reason.DHCPForeign)[0]},
		"D28": {passes()[0], drops(reason.ToBerth)[0], passes()[0]}, "D41": drops(reason.NDTarget), // nobody asks berth
	})
}

// tenantServers is what becomes of a guest's own answers where they pass.
func tenantServers() map[string][]corpus.Want {
	hidden := all(drops(reason.DHCPDisguised), "F24", "F27", "F28", "F31")
	answers := all(passes(), "F01", "F02", "F03", "F04", "F06", "F07", "F08", "F13", "F14", "F15", "F16", "F19", "F20", "F21", "F23")
	return join(answers, hidden, map[string][]corpus.Want{
		"F05": drops(reason.IP4Spoof), "F09": drops(reason.DHCPDisguised, reason.FragmentBcast),
		"F10": drops(reason.DHCPDisguised, reason.FragmentTiny), "F12": drops(reason.FragmentBcast, reason.DHCPDisguised),
		"F17": {passes()[0], passes()[0], passes()[0], drops(reason.IP6Options)[0]},
		"F29": drops(reason.DHCPDisguised, reason.FragmentTiny), "F30": {passes()[0], drops(reason.IP6Spoof)[0]},
	})
}

// share is a binding's part in a virtual router of both families.
func share(b *nic.Binding) {
	b.Shared = []nic.Shared{{Group: "web", Addresses: []netip.Addr{corpus.Y6, corpus.Y4}, VRID: 5}}
}

// sharing are NICs that hold addresses together with others.
func sharing() []variant {
	only := func(keep netip.Addr) func(*nic.Binding) {
		return func(b *nic.Binding) {
			share(b)
			b.Shared[0].Addresses = []netip.Addr{keep}
		}
	}
	router := map[string][]corpus.Want{"D48": drops(reason.NDRouter)}
	addresses4, addresses6 := all(passes(), "B47", "C27", "C29"), join(all(passes(), "I53", "D46"), router)
	macs4, macs6 := all(passes(), "A13", "A15", "C26", "C28", "D37"), all(passes(), "A16", "D47")
	says4, says6 := all(passes(), "L15"), all(passes(), "L17")
	return []variant{
		{name: "a share of both families", change: share, flips: join(addresses4, addresses6, macs4, macs6, says4, says6)},
		{name: "a share of IPv4", change: only(corpus.Y4), flips: join(addresses4, macs4, says4)},
		{name: "a share of IPv6", change: only(corpus.Y6), flips: join(addresses6, macs6, says6)},
		{
			name: "a share without a virtual router", change: func(b *nic.Binding) { share(b); b.Shared[0].VRID = 0 },
			flips: join(addresses4, addresses6),
		},
	}
}

// visited are NICs that not everybody may reach.
func visited() []variant {
	onlyFrom := func(macs ...nic.MAC) func(*corpus.Vector, []byte, corpus.Want) guard.Action {
		return func(v *corpus.Vector, f []byte, w corpus.Want) guard.Action {
			if v.ToGuest && !slices.Contains(macs, nic.MAC(f[6:12])) {
				return guard.Drop
			}
			return w.Action
		}
	}
	near := nic.MAC{0x52, 0x54, 0, 0xff, 0, 2}
	return []variant{
		{
			name: "peers: the gateway's maker", change: func(b *nic.Binding) {
				b.Guard.Peers = []nic.MACRange{{MAC: nic.MAC{0x52, 0x54, 0, 0xff}, Bits: 32}, {MAC: corpus.G, Bits: 48}}
			},
			also: onlyFrom(corpus.G, corpus.S, near),
		},
		{
			name: "peers: another VM, and the gateway that is known", change: func(b *nic.Binding) {
				b.GatewayMAC, b.Guard.Peers = corpus.G, []nic.MACRange{{MAC: corpus.B, Bits: 48}}
			},
			also: onlyFrom(corpus.G, corpus.B),
		},
		{
			name: "peers: all but the last bit of the gateway's", change: func(b *nic.Binding) {
				b.Guard.Peers = []nic.MACRange{{MAC: nic.MAC{0x52, 0x54, 0, 0xff, 0, 2}, Bits: 47}}
			},
			also: onlyFrom(corpus.S, near),
		},
		{name: "peers: all", change: func(b *nic.Binding) { b.Guard.Peers = []nic.MACRange{{}} }},
	}
}

// Rules of equal meaning are equal: however shares and peers are written.
func TestSharesAndPeersAreCanonical(t *testing.T) {
	b, other := corpus.Binding(), corpus.Binding()
	share(b)
	b.Guard.AllowMACs, b.GatewayMAC = []nic.MAC{corpus.V}, corpus.G
	b.Guard.Peers = []nic.MACRange{{MAC: nic.MAC{0x52, 0x54}, Bits: 16}, {MAC: corpus.B, Bits: 48}, {MAC: nic.MAC{}, Bits: 8}}
	other.Shared = []nic.Shared{
		{Group: "b", Addresses: []netip.Addr{corpus.Y6, corpus.Y4}, VRID: 5},
		{Group: "a", Addresses: []netip.Addr{corpus.Y4}, VRID: 5},
	}
	other.Guard.Peers = []nic.MACRange{{MAC: nic.MAC{}, Bits: 8}, {MAC: nic.MAC{0x52, 0x54}, Bits: 16}}
	r, s := guard.Compile(b), guard.Compile(other)
	if !reflect.DeepEqual(r, s) || r.Digest() != s.Digest() {
		t.Errorf("%+v\n%+v", r, s)
	}
	if want := []nic.MAC{corpus.M, corpus.V, corpus.V6}; !slices.Equal(r.MACs, want) {
		t.Errorf("MACs %v, want %v", r.MACs, want)
	}
	if want := []netip.Addr{corpus.Y4, corpus.Y6}; !slices.Equal(r.Shared, want) {
		t.Errorf("shared %v, want %v", r.Shared, want)
	}
}

// Everything of it is in the digest.
func TestDigestOfServedSharedAndPeers(t *testing.T) {
	seen := map[uint64]string{}
	for name, change := range map[string]func(*nic.Binding){
		"plain":              func(*nic.Binding) {},
		"site":               func(b *nic.Binding) { b.ServedBy = nic.ServedBySite },
		"tenant":             func(b *nic.Binding) { b.ServedBy = nic.ServedByTenant },
		"site's routers":     func(b *nic.Binding) { b.RA.Mode = nic.RASite },
		"share":              share,
		"share without VRID": func(b *nic.Binding) { share(b); b.Shared[0].VRID = 0 },
		"granted": func(b *nic.Binding) {
			b.Guard.AllowAddresses = append(b.Guard.AllowAddresses, host(corpus.Y4), host(corpus.Y6))
		},
		"peer":       func(b *nic.Binding) { b.Guard.Peers = []nic.MACRange{{MAC: corpus.G, Bits: 48}} },
		"wider peer": func(b *nic.Binding) { b.Guard.Peers = []nic.MACRange{{MAC: nic.MAC{0x52}, Bits: 8}} },
	} {
		b := corpus.Binding()
		change(b)
		r := guard.Compile(b)
		if other, ok := seen[r.Digest()]; ok {
			t.Errorf("%s has the digest of %s", name, other)
		}
		seen[r.Digest()] = name
	}
}

func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// A suspended NIC has no shares, and its virtual MACs go with them.
func TestSuspendedSharesNothing(t *testing.T) {
	b := corpus.Binding()
	share(b)
	b.Suspended = true
	if r := guard.Compile(b); len(r.MACs) != 1 || r.Shared != nil || r.VRIDs4 != nil || r.VRIDs6 != nil {
		t.Errorf("%+v", r)
	}
}

// Who is not a peer is counted where the guard only counts, and heard where
// Ethernet sources are not checked.
func TestPeersAuditedAndOff(t *testing.T) {
	b := corpus.Binding()
	b.Guard.Peers = []nic.MACRange{{MAC: corpus.G, Bits: 48}}
	v := vector(t, "N35")
	judged := func() guard.Verdict {
		r := guard.Compile(b)
		return judge(&r, &v, v.Frames[2])
	}
	if got := judged(); got != dropped(reason.PeerForeign) {
		t.Errorf("enforced: %+v", got)
	}
	b.Guard.Mode = nic.Audit
	if got := judged(); got != (guard.Verdict{Audited: reason.PeerForeign}) {
		t.Errorf("audited: %+v", got)
	}
	b.Guard.Mode, b.Guard.Checks.MAC = nic.Enforce, false
	if got := judged(); got != (guard.Verdict{}) {
		t.Errorf("unchecked: %+v", got)
	}
}

func TestAnnounced(t *testing.T) {
	tagged := func(f []byte) []byte { return slices.Concat(f[:12], []byte{0x81, 0, 0, 42}, f[12:]) }
	for name, c := range map[string]struct {
		frame []byte
		want  netip.Addr
	}{
		"ARP announcement":    {corpus.Announce4(corpus.Y4, corpus.V), corpus.Y4},
		"ARP request":         {corpus.AskARP(corpus.Y4, corpus.B4), corpus.Y4},
		"ARP probe":           {corpus.AskARP(corpus.Any4, corpus.Y4), corpus.Any4},
		"ARP reply":           {vector(t, "C28").Frames[0], corpus.Y4},
		"ARP of another kind": {vector(t, "C18").Frames[0], netip.Addr{}},
		"ARP malformed":       {vector(t, "C12").Frames[0], netip.Addr{}},
		"ARP cut off":         {vector(t, "C20").Frames[0], netip.Addr{}},
		"ARP tagged":          {tagged(corpus.Announce4(corpus.Y4, corpus.V)), netip.Addr{}},
		"NA":                  {corpus.Claim6(corpus.LL, corpus.Y6), corpus.Y6},
		"NA from it":          {corpus.Announce6(corpus.Y6, corpus.V6), corpus.Y6},
		"NA in a fragment":    {vector(t, "D10").Frames[0], netip.Addr{}},
		"NA tagged":           {tagged(corpus.Announce6(corpus.Y6, corpus.V6)), netip.Addr{}},
		"NA cut off":          {vector(t, "D25").Frames[0], netip.Addr{}},
		"NS":                  {corpus.Ask6(corpus.Y6, corpus.B6), netip.Addr{}},
		"UDP":                 {corpus.From6(corpus.Y6), netip.Addr{}},
		"nothing":             {nil, netip.Addr{}},
	} {
		if got := guard.Announced(guard.Frame{Data: c.frame}); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
