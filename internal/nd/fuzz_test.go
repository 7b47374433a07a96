package nd

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// fuzzRouters are the shapes a guest may meet, and what is taken back there.
func fuzzRouters() ([]Router, Withdrawn) {
	gone := Withdraw(router(gateway6("fe80::2"), slaac("2001:db8:b::/64")), router(), Withdrawn{})
	return []Router{
		router(),
		router(routed),
		router(routed, gateway6("2001:db8:1::1"), set(func(b *nic.Binding) { b.RA.Multicast, b.MTU = true, 1280 })),
		router(gateway6(""), slaac("2001:db8:a::/64"), mode(nic.DHCP6Off)),
		router(set(func(b *nic.Binding) { b.Suspended = true })),
		router(addresses("192.0.2.10/24")),
		router(routed, set(func(b *nic.Binding) { b.RA.Mode = nic.RASite })),
	}, gone
}

// FuzzAnswer: no message of a guest makes it panic or changes the message; an
// answer is well formed, goes to who asked or to all nodes, and is never about
// an address of the NIC's own.
func FuzzAnswer(f *testing.F) {
	add := func(s Solicitation) {
		for which := range 7 {
			f.Add(s.Message, s.Src.AsSlice(), s.Dst.AsSlice(), s.HopLimit, byte(which))
		}
	}
	add(rs(f))
	for _, target := range []string{gateway, berthLL, "2001:db8:1::10", "2001:db8:ffff::1", "2001:db8:100::1", guestLL, "ff02::1"} {
		add(ns(f, target))
		add(dad(f, target))
	}
	f.Fuzz(func(t *testing.T, m, src, dst []byte, hopLimit, which byte) {
		routers, gone := fuzzRouters()
		r := routers[int(which)%len(routers)]
		s := Solicitation{EthSrc: guestMAC(), HopLimit: hopLimit, Message: m}
		s.Src, _ = netip.AddrFromSlice(src)
		s.Dst, _ = netip.AddrFromSlice(dst)
		before := bytes.Clone(m)
		o := Answer(r, s, gone)
		if !bytes.Equal(before, m) {
			t.Fatal("the message was changed")
		}
		if (o.Reply == nil) != (o.Reason != reason.None) || (o.Reply == nil) != (o.Answer == "") {
			t.Fatalf("outcome %+v", o)
		}
		if o.Reply != nil {
			checkReply(t, r, s, o)
		}
	})
}

func checkReply(t *testing.T, r Router, s Solicitation, o Outcome) {
	t.Helper()
	toAll := o.Reply.Dst == ip("ff02::1") && o.Reply.DstMAC == everyMAC()
	if !toAll && (o.Reply.Dst != s.Src || o.Reply.DstMAC != s.EthSrc || s.Src.IsUnspecified()) {
		t.Fatalf("to %v at %v", o.Reply.Dst, o.Reply.DstMAC)
	}
	if s.HopLimit != 255 || s.Message[1] != 0 || o.Reply.SrcMAC.IsGroup() || o.Reply.SrcMAC.IsZero() {
		t.Fatalf("answered %+v to %+v", o, s)
	}
	if o.Answer == "RA" {
		if decode(t, o.Reply.Message); len(o.Reply.Message) > 1460 || !o.Reply.Src.IsLinkLocalUnicast() {
			t.Fatalf("advertisement of %d bytes from %v", len(o.Reply.Message), o.Reply.Src)
		}
		return
	}
	checkAdvertisement(t, r.Binding, o)
}

// checkAdvertisement reads a neighbour advertisement by RFC 4861 4.4.
func checkAdvertisement(t *testing.T, b *nic.Binding, o Outcome) {
	t.Helper()
	m := o.Reply.Message
	if len(m) != 32 || m[0] != 136 || m[1] != 0 || m[4]&0x1f != 0 || m[24] != 2 || m[25] != 1 {
		t.Fatalf("message %x", m)
	}
	target := netip.AddrFrom16([16]byte(m[8:24]))
	if target != o.Address || target != o.Reply.Src || nic.MAC(m[26:32]) != o.Reply.SrcMAC {
		t.Fatalf("about %v at %x from %v at %v", target, m[26:32], o.Reply.Src, o.Reply.SrcMAC)
	}
	if toAll := o.Reply.Dst.IsMulticast(); toAll == (m[4]&flagSolicited != 0) {
		t.Fatalf("flags %x to %v", m[4], o.Reply.Dst)
	}
	own := slices.Concat(b.Addresses, b.SLAAC, b.Delegated, b.Guard.AllowAddresses)
	for _, p := range own[:len(b.Addresses)] {
		if p.Addr() == target {
			t.Fatalf("answered for its own %v", target)
		}
	}
	for _, p := range own[len(b.Addresses):] {
		if p.Contains(target) {
			t.Fatalf("answered for %v of %v", target, p)
		}
	}
	conflict := o.Reply.Dst.IsMulticast() && target.IsLinkLocalUnicast()
	if target == b.MAC.EUI64() || !target.IsGlobalUnicast() && !slices.Contains(b.Answers6(), target) && !conflict {
		t.Fatalf("answered for %v", target)
	}
}

func BenchmarkAnswer(b *testing.B) {
	r, s := router(slaac("2001:db8:a::/64")), rs(b)
	b.ReportAllocs()
	for b.Loop() {
		if Answer(r, s, Withdrawn{}).Reply == nil {
			b.Fatal("no reply")
		}
	}
}
