package dhcp6

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// clientTypes are the messages clients send, serverID and IAs added as RFC
// 8415 wants them.
func clientTypes() map[messageType][]string {
	return map[messageType][]string{
		solicit:            {clientID, na(1)},
		request:            {clientID, serverID, na(1)},
		confirm:            {clientID, na(1, "2001:db8:1::10")},
		renew:              {clientID, serverID, na(1)},
		rebind:             {clientID, na(1)},
		release:            {clientID, serverID, na(1)},
		decline:            {clientID, serverID, na(1)},
		informationRequest: {clientID},
	}
}

// The rules of RFC 8415 section 16, each broken in turn.
func TestValidation(t *testing.T) {
	for kind, options := range clientTypes() {
		if o := Answer(server(web1()), asks(t, kind, options...)); o.Reply == nil {
			t.Errorf("%s is well and met with silence: %s", kind, o.Reason)
		}
		rest := options[1:]
		if kind != informationRequest {
			checkSilent(t, Answer(server(web1()), asks(t, kind, rest...)), kind, reason.DHCPNoClientID)
		}
		switch kind {
		case solicit, confirm, rebind:
			for _, id := range []string{serverID, otherID, opt(2)} {
				checkSilent(t, Answer(server(web1()), asks(t, kind, append(options, id)...)), kind, reason.DHCPNoServerID)
			}
		case request, renew, release, decline:
			checkSilent(t, Answer(server(web1()), asks(t, kind, clientID, na(1))), kind, reason.DHCPNoServerID)
			for _, id := range []string{otherID, opt(2), opt(2, ourDUID, "00")} {
				checkSilent(t, Answer(server(web1()), asks(t, kind, clientID, id, na(1))), kind, reason.DHCPOtherServer)
			}
		default:
			checkSilent(t, Answer(server(web1()), asks(t, kind, clientID, otherID)), kind, reason.DHCPOtherServer)
			for _, a := range []string{na(1), ta(1), pd(1)} {
				checkSilent(t, Answer(server(web1()), asks(t, kind, clientID, a)), kind, reason.DHCPMalformed)
			}
		}
	}
}

// A DUID is 3 to 130 octets, opaque, and comes back as it was.
func TestClientIdentifier(t *testing.T) {
	for _, n := range []int{3, 4, 7, 10, 130} {
		for _, kind := range []string{"0001", "0002", "0003", "0004", "0005", "ffff"} {
			id := opt(1, kind, strings.Repeat("a5", n-2))
			o := Answer(server(web1()), asks(t, solicit, id, na(1)))
			if o.Reply == nil {
				t.Fatalf("%d octets of type %s: %s", n, kind, o.Reason)
			}
			checkOutcome(t, server(web1()), asks(t, solicit, id, na(1)), o)
		}
	}
	for _, n := range []int{0, 1, 2, 131, 300} {
		id := opt(1, strings.Repeat("00", n))
		checkSilent(t, Answer(server(web1()), asks(t, solicit, id, na(1))), solicit, reason.DHCPNoClientID)
		checkSilent(t, Answer(server(web1()), asks(t, informationRequest, id)), informationRequest, reason.DHCPNoClientID)
	}
}

// What servers and relay agents send, and what nobody knows.
func TestNoClientMessageIsSilence(t *testing.T) {
	for kind := range 256 {
		kind := messageType(kind)
		if _, client := clientTypes()[kind]; client || kind == relayForw {
			continue
		}
		o := Answer(server(web1()), asks(t, kind, clientID, serverID))
		checkSilent(t, o, kind, reason.DHCPType)
		if kind > relayRepl && o.Request != "" {
			t.Errorf("type %d is called %q", kind, o.Request)
		}
	}
}

// Every length that can lie.
func TestMalformed(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":             {},
		"header alone, short": {1, 0, 0},
	} {
		if o := Answer(server(web1()), from(b)); o.Reply != nil || o.Reason != reason.DHCPMalformed {
			t.Errorf("%s: %+v", name, o)
		}
	}
	for name, options := range map[string]string{
		"half an option header":        "000100",
		"option longer than the rest":  "0003000c 01020304 0000000000000000" + "00010200" + "00030001" + "525400aa0001",
		"last option one too long":     clientID + "00080003 0000",
		"stray byte after the list":    clientID + na(1) + "ff",
		"IA_NA without T2":             clientID + opt(3, "00000001", "00000000"),
		"IA_TA without IAID":           clientID + opt(4, "000001"),
		"IA_PD without T2":             clientID + opt(25, "00000001", "00000000"),
		"overrun in an IA":             clientID + opt(3, "00000001 0000000000000000", "00050018"),
		"half a header in an IA":       clientID + opt(3, "00000001 0000000000000000", "0005"),
		"IAADDR too short":             clientID + opt(3, "00000001 0000000000000000", opt(5, strings.Repeat("00", 23))),
		"overrun in an IAADDR":         clientID + opt(3, "00000001 0000000000000000", opt(5, strings.Repeat("00", 24), "000d0002 00")),
		"IAADDR too short in an IA_TA": clientID + opt(4, "00000001", opt(5, strings.Repeat("00", 16))),
		"IAPREFIX too short":           clientID + opt(25, "00000001 0000000000000000", opt(26, strings.Repeat("00", 24))),
		"prefix of 129 bits":           clientID + opt(25, "00000001 0000000000000000", opt(26, "0000000000000000 81", strings.Repeat("00", 16))),
		"overrun in an IAPREFIX":       clientID + opt(25, "00000001 0000000000000000", opt(26, strings.Repeat("00", 25), "000d")),
		"odd option 6":                 clientID + opt(6, "001700"),
		"elapsed time of 1":            clientID + opt(8, "00"),
		"elapsed time of 4":            clientID + opt(8, "00000000"),
		"rapid commit with data":       clientID + opt(14, "00"),
		"reconfigure accept with data": clientID + opt(20, "00"),
		"empty FQDN":                   clientID + opt(39),
		"empty architecture":           clientID + opt(61),
		"odd architecture":             clientID + opt(61, "000700"),
		"client id twice":              clientID + clientID,
		"server id twice":              clientID + otherID + otherID,
		"option 6 twice":               clientID + oro(23) + oro(24),
		"elapsed time twice":           clientID + elapsed + elapsed,
		"rapid commit twice":           clientID + rapid + rapid,
		"FQDN twice":                   clientID + opt(39, "00") + opt(39, "00"),
		"overrun in the IA that is one too many": clientID + strings.Repeat(na(1), maxIAs) +
			opt(3, "00000001 0000000000000000", "00"),
	} {
		t.Run(name, func(t *testing.T) {
			checkSilent(t, Answer(server(web1()), asks(t, solicit, options)), solicit, reason.DHCPMalformed)
		})
	}
}

// What a guest writes without end is answered within bounds.
func TestBounds(t *testing.T) {
	q := asks(t, solicit, clientID, strings.Repeat(na(1), maxIAs+5))
	o := Answer(server(web1()), q)
	checkOutcome(t, server(web1()), q, o)
	if n := len(iaids(top(t, o.Reply.Message))); n != maxIAs {
		t.Errorf("%d IAs answered, want %d", n, maxIAs)
	}
	list := strings.Repeat(opt(5, "20010db8000900000000000000000001 0000000000000000"), 2000)
	for _, kind := range []messageType{renew, release} {
		q = asks(t, kind, clientID, serverID, opt(3, "00000001 0000000000000000", list))
		o = Answer(server(web1()), q)
		checkOutcome(t, server(web1()), q, o)
		if o.Reply == nil || len(o.Addresses) > maxListed {
			t.Errorf("%s of 2000 addresses: %s about %d", kind, o.Reason, len(o.Addresses))
		}
	}
	// Room for what is taken back is only what everything else leaves.
	q = asks(t, renew, clientID, serverID, opt(3, "00000001 0000000000000000", list), pd(1, "2001:db8:900::/56"))
	o = Answer(server(web1()), q)
	if n := len(o.Reply.Message); n > 1452 || n < 1452-28 {
		t.Errorf("reply of %d octets does not fill 1452", n)
	}
	if find(top(t, o.Reply.Message), 23) == nil {
		t.Error("DNS was left out for the sake of addresses that the client must forget")
	}
}

// States of the binding.
func TestBindingIsNotServed(t *testing.T) {
	for why, change := range map[reason.Reason]func(*nic.Binding){
		reason.DHCPSuspended: func(b *nic.Binding) { b.Suspended = true },
		reason.DHCPOff:       func(b *nic.Binding) { b.DHCP6.Mode = nic.DHCP6Off },
		reason.DHCPNoIPv6:    func(b *nic.Binding) { b.IPv6 = nic.IPv6LinkLocal },
	} {
		for kind, options := range clientTypes() {
			checkSilent(t, Answer(server(changed(change)), asks(t, kind, options...)), kind, why)
		}
	}
	only4 := changed(func(b *nic.Binding) { b.Addresses, b.Delegated = prefixes("192.0.2.10/24"), nil })
	checkSilent(t, Answer(server(only4), asks(t, solicit, clientID, na(1))), solicit, reason.DHCPNoIPv6)
	if o := Answer(Server{}, asks(t, solicit, clientID)); o.Reply != nil || o.Reason != reason.NoBinding {
		t.Errorf("without a binding: %+v", o)
	}
}

func TestModes(t *testing.T) {
	for kind, options := range clientTypes() {
		for mode, served := range map[nic.DHCP6Mode]bool{
			nic.DHCP6Both:      true,
			nic.DHCP6Stateful:  kind != informationRequest,
			nic.DHCP6Stateless: kind == informationRequest,
		} {
			b := changed(func(b *nic.Binding) { b.DHCP6.Mode = mode })
			o := Answer(server(b), asks(t, kind, options...))
			if served != (o.Reply != nil) || !served && o.Reason != reason.DHCPMode {
				t.Errorf("mode %d: %s is met with %q, %s", mode, kind, o.Answer, o.Reason)
			}
		}
	}
}

// The reply goes to where the query came from, whatever that address is made
// of; to nothing that is no address.
func TestSource(t *testing.T) {
	for _, src := range []string{"fe80::1", "fe80::a1b2:c3d4:e5f6:789", "2001:db8:1::10"} {
		q := asks(t, solicit, clientID, na(1))
		q.Src = ip(src)
		o := Answer(server(web1()), q)
		if o.Reply == nil || o.Reply.Dst != q.Src || o.Reply.Src != nic.BerthLinkLocal() || o.Reply.DstPort != 546 {
			t.Errorf("from %s: %+v", src, o)
		}
	}
	for _, src := range []netip.Addr{{}, ip("::"), ip("ff02::1"), ip("192.0.2.10")} {
		q := asks(t, solicit, clientID, na(1))
		q.Src = src
		checkSilent(t, Answer(server(web1()), q), solicit, reason.DHCPMalformed)
	}
}

// All_DHCP_Servers and every other group are no place for a client.
func TestOtherGroups(t *testing.T) {
	for _, dst := range []string{"ff05::1:3", "ff02::1", "ff02::1:3", "ff05::1:2"} {
		for kind, options := range clientTypes() {
			q := asks(t, kind, options...)
			q.Dst = ip(dst)
			checkSilent(t, Answer(server(changed(unicasting)), q), kind, reason.DHCPRelayed)
		}
	}
}

// Unicast that was not offered: UseMulticast where RFC 8415 18.4 has it.
func TestUnicastRefused(t *testing.T) {
	var list []scenario
	for _, kind := range []messageType{request, renew, release, decline} {
		q := asks(t, kind, clientTypes()[kind]...)
		q.Dst = nic.BerthLinkLocal()
		list = append(list, scenario{kind.String(), web1(), q})
	}
	golden(t, list)
	for _, kind := range []messageType{solicit, confirm, rebind, informationRequest} {
		q := asks(t, kind, clientTypes()[kind]...)
		q.Dst = nic.BerthLinkLocal()
		for _, b := range []*nic.Binding{web1(), changed(unicasting)} {
			checkSilent(t, Answer(server(b), q), kind, reason.DHCPUnicast)
		}
	}
	// A message that is not for this server is not worth an answer either.
	q := asks(t, request, clientID, otherID, na(1))
	q.Dst = ip("2001:db8:1::1")
	checkSilent(t, Answer(server(web1()), q), request, reason.DHCPOtherServer)
}

// Unicast that is offered by option 12.
func TestUnicastOffered(t *testing.T) {
	b := changed(unicasting)
	there := asks(t, renew, clientTypes()[renew]...)
	there.Dst = nic.BerthLinkLocal()
	golden(t, []scenario{
		{"offered", b, asks(t, solicit, clientID, na(1))},
		{"taken up", b, there},
		{"of no use for configuration", b, asks(t, informationRequest, clientID)},
		{"of no use for a status", b, asks(t, release, clientID, serverID, na(1, "2001:db8:1::10"))},
	})
}
