package arp

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

func guestMAC() nic.MAC   { return nic.MAC{0x52, 0x54, 0, 0xaa, 0, 1} }
func gatewayMAC() nic.MAC { return nic.MAC{0x52, 0x54, 0, 0xff, 0, 1} }

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func prefixes(list ...string) []netip.Prefix {
	var p []netip.Prefix
	for _, s := range list {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

// responder answers web1: a NIC on a bridge whose gateway's MAC is known.
func responder(changes ...func(*Responder)) Responder {
	r := Responder{
		Binding: &nic.Binding{
			NIC: "tap7", MAC: guestMAC(),
			Addresses:  prefixes("192.0.2.10/24", "198.51.100.3/31", "2001:db8::10/64"),
			Gateway:    ip("192.0.2.1"),
			GatewayMAC: gatewayMAC(),
			Neighbours: nic.NeighboursGateway,
		},
		ServerID:   ip("192.0.2.2"),
		GatewayMAC: gatewayMAC(),
	}
	for _, change := range changes {
		change(&r)
	}
	return r
}

// routed is a NIC whose host answers for everything.
func routed(r *Responder) {
	r.Binding.Routed, r.Binding.Neighbours = true, nic.NeighboursAll
	r.Binding.Guard.AllowAddresses = prefixes("203.0.113.0/28")
	r.Binding.Broadcast = ip("192.0.2.127")
}

func level(n nic.Neighbours) func(*Responder) {
	return func(r *Responder) { r.Binding.Neighbours = n }
}

func serverID(s string) func(*Responder) {
	return func(r *Responder) { r.ServerID = ip(s) }
}

func request(target string) Request {
	return Request{EthSrc: guestMAC(), Op: 1, SenderMAC: guestMAC(), SenderIP: ip("192.0.2.10"), TargetIP: ip(target)}
}

func probe(target string) Request {
	q := request(target)
	q.SenderIP = netip.IPv4Unspecified()
	return q
}

func sameAddr() cmp.Option {
	return cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
}

func answered(q Request, mac nic.MAC) Outcome {
	return Outcome{Request: "ARP", Answer: "ARP", Address: q.TargetIP, Reply: &Reply{
		SrcMAC: mac, DstMAC: guestMAC(), SenderMAC: mac, SenderIP: q.TargetIP, TargetIP: q.SenderIP,
	}}
}

func unanswered(q Request) Outcome {
	return Outcome{Request: "ARP", Address: q.TargetIP, Reason: reason.NDUnanswered}
}

// Whom a NIC gets an answer for, and whether a probe is told of a conflict.
func TestAnswer(t *testing.T) {
	berth := nic.BerthMAC()
	for name, c := range map[string]struct {
		change func(*Responder)
		target string
		mac    nic.MAC
		probed bool
	}{
		"gateway":                        {level(nic.NeighboursGateway), "192.0.2.1", gatewayMAC(), true},
		"server identifier":              {level(nic.NeighboursServer), "192.0.2.2", berth, true},
		"server identifier, and gateway": {level(nic.NeighboursGateway), "192.0.2.2", berth, true},
		"the gateway is the server":      {serverID("192.0.2.1"), "192.0.2.1", gatewayMAC(), true},
		"a made-up server":               {func(r *Responder) { level(nic.NeighboursOff)(r); r.ServerID = ip("169.254.0.1") }, "169.254.0.1", berth, true},
		"routed: gateway":                {routed, "192.0.2.1", gatewayMAC(), true},
		"routed: server identifier":      {routed, "192.0.2.2", berth, true},
		"routed: a neighbour":            {routed, "192.0.2.11", gatewayMAC(), false},
		"routed: far away":               {routed, "8.8.8.8", gatewayMAC(), false},
		"routed: link-local metadata":    {routed, "169.254.169.254", gatewayMAC(), false},
		"routed: the other of its /31":   {routed, "198.51.100.2", gatewayMAC(), false},
	} {
		t.Run(name, func(t *testing.T) {
			r := responder(c.change)
			q, p := request(c.target), probe(c.target)
			if d := cmp.Diff(answered(q, c.mac), Answer(r, q), sameAddr()); d != "" {
				t.Errorf("outcome (-want +got):\n%s", d)
			}
			want := unanswered(p)
			if c.probed {
				want = answered(p, c.mac)
			}
			if d := cmp.Diff(want, Answer(r, p), sameAddr()); d != "" {
				t.Errorf("outcome of a probe (-want +got):\n%s", d)
			}
		})
	}
}

func TestUnanswered(t *testing.T) {
	unknown := func(r *Responder) { r.GatewayMAC = nic.MAC{} }
	for name, c := range map[string]struct {
		change func(*Responder)
		target string
	}{
		"a neighbour on the bridge":        {level(nic.NeighboursGateway), "192.0.2.11"},
		"all, but not routed":              {level(nic.NeighboursAll), "192.0.2.11"},
		"gateway, off":                     {level(nic.NeighboursOff), "192.0.2.1"},
		"gateway, server only":             {level(nic.NeighboursServer), "192.0.2.1"},
		"gateway is the server, server":    {func(r *Responder) { level(nic.NeighboursServer)(r); r.ServerID = ip("192.0.2.1") }, "192.0.2.1"},
		"server, off":                      {level(nic.NeighboursOff), "192.0.2.2"},
		"gateway, MAC not known":           {unknown, "192.0.2.1"},
		"suspended":                        {func(r *Responder) { r.Binding.Suspended = true }, "192.0.2.1"},
		"its own, called the gateway":      {func(r *Responder) { r.Binding.Gateway = ip("192.0.2.10") }, "192.0.2.10"},
		"its own, called the server":       {serverID("198.51.100.3"), "198.51.100.3"},
		"routed: MAC not known":            {func(r *Responder) { routed(r); unknown(r) }, "8.8.8.8"},
		"routed: suspended":                {func(r *Responder) { routed(r); r.Binding.Suspended = true }, "8.8.8.8"},
		"routed: its own":                  {routed, "198.51.100.3"},
		"routed: of an allowed prefix":     {routed, "203.0.113.9"},
		"routed: unspecified":              {routed, "0.0.0.0"},
		"routed: loopback":                 {routed, "127.0.0.1"},
		"routed: a group":                  {routed, "224.0.0.1"},
		"routed: everyone":                 {routed, "255.255.255.255"},
		"routed: its subnet's broadcast":   {routed, "192.0.2.255"},
		"routed: its declared broadcast":   {routed, "192.0.2.127"},
		"routed: the top of the addresses": {func(r *Responder) { routed(r); r.Binding.Addresses = prefixes("255.255.255.1/24") }, "255.255.255.255"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, q := range []Request{request(c.target), probe(c.target)} {
				if d := cmp.Diff(unanswered(q), Answer(responder(c.change), q), sameAddr()); d != "" {
					t.Errorf("outcome from %v (-want +got):\n%s", q.SenderIP, d)
				}
			}
		})
	}
}

// A guest that asks for the address it speaks from announces it (RFC 5227
// 2.3). Of the gateway's that is a conflict it must see; of another it is
// nobody's business.
func TestAnnouncement(t *testing.T) {
	claim := func(a string) Request {
		q := request(a)
		q.SenderIP = ip(a)
		return q
	}
	q := claim("192.0.2.1")
	if d := cmp.Diff(answered(q, gatewayMAC()), Answer(responder(routed), q), sameAddr()); d != "" {
		t.Errorf("gateway (-want +got):\n%s", d)
	}
	q = claim("192.0.2.99")
	if d := cmp.Diff(unanswered(q), Answer(responder(routed), q), sameAddr()); d != "" {
		t.Errorf("another (-want +got):\n%s", d)
	}
}

func TestValidity(t *testing.T) {
	for name, change := range map[string]func(*Request){
		"reply":                 func(q *Request) { q.Op = 2 },
		"reverse request":       func(q *Request) { q.Op = 3 },
		"operation 0":           func(q *Request) { q.Op = 0 },
		"no sender MAC":         func(q *Request) { q.SenderMAC = nic.MAC{} },
		"sender MAC of a group": func(q *Request) { q.SenderMAC = nic.MAC{0x01, 0, 0x5e, 0, 0, 1} },
		"no target":             func(q *Request) { q.TargetIP = netip.Addr{} },
		"no sender":             func(q *Request) { q.SenderIP = netip.Addr{} },
		"target of IPv6":        func(q *Request) { q.TargetIP = ip("fe80::1") },
	} {
		q := request("192.0.2.1")
		change(&q)
		if d := cmp.Diff(Outcome{Reason: reason.NDInvalid}, Answer(responder(), q), sameAddr()); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	if o := Answer(Responder{}, request("192.0.2.1")); o.Reason != reason.NoBinding || o.Reply != nil {
		t.Errorf("no binding: %+v", o)
	}
}

// FuzzAnswer: whatever is asked, an answer is about the target, goes to the
// sender, and is never about an address of the NIC's own or about no host.
func FuzzAnswer(f *testing.F) {
	for _, target := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.10", "192.0.2.255", "8.8.8.8", "203.0.113.1", "0.0.0.0"} {
		for _, q := range []Request{request(target), probe(target)} {
			f.Add(q.Op, q.SenderMAC[:], q.SenderIP.AsSlice(), q.TargetIP.AsSlice(), true)
			f.Add(q.Op, q.SenderMAC[:], q.SenderIP.AsSlice(), q.TargetIP.AsSlice(), false)
		}
	}
	f.Fuzz(func(t *testing.T, op uint16, mac, sender, target []byte, everything bool) {
		r := responder()
		if everything {
			routed(&r)
		}
		q := Request{EthSrc: guestMAC(), Op: op}
		copy(q.SenderMAC[:], mac)
		q.SenderIP, _ = netip.AddrFromSlice(sender)
		q.TargetIP, _ = netip.AddrFromSlice(target)
		o := Answer(r, q)
		if (o.Reply == nil) != (o.Reason != reason.None) || (o.Reply == nil) != (o.Answer == "") {
			t.Fatalf("outcome %+v", o)
		}
		if o.Reply == nil {
			return
		}
		a := o.Reply.SenderIP
		if op != 1 || a != q.TargetIP || o.Reply.TargetIP != q.SenderIP || o.Reply.DstMAC != q.SenderMAC {
			t.Fatalf("%+v was answered with %+v", q, o.Reply)
		}
		for _, p := range r.Binding.Addresses {
			if p.Addr() == a {
				t.Fatalf("answered for its own %v", a)
			}
		}
		gateways := a == r.ServerID || a == r.Binding.Gateway
		if !gateways && (!everything || q.SenderIP.IsUnspecified() || a.IsUnspecified() || a.IsMulticast()) {
			t.Fatalf("answered %v for %v", q.SenderIP, a)
		}
	})
}
