package dhcp6

import (
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

func TestRelayIsRefusedByDefault(t *testing.T) {
	q := from(relayed(t, 0, "", message16(t, solicit, clientID, na(1))))
	checkSilent(t, Answer(server(web1()), q), relayForw, reason.DHCPRelayed)
}

// Each relay agent gets back its addresses, its hop-count, its Interface-ID
// and what it asks for with option 43; the client's answer is inside.
func TestRelay(t *testing.T) {
	b := changed(relays, unicasting)
	inner := message16(t, solicit, clientID, na(1))
	id := opt(18, text("eth0"))
	remote, subscriber := opt(37, "00000009", text("r")), opt(38, text("s"))
	far := from(relayed(t, 0, id, inner))
	far.Src, far.Dst = ip("2001:db8:1::1"), ip("ff05::1:3")
	near := from(relayed(t, 0, id, message16(t, renew, clientTypes()[renew]...)))
	near.Dst = nic.BerthLinkLocal()
	golden(t, []scenario{
		{"one", b, from(relayed(t, 0, "", inner))},
		{"with an Interface-ID, to All_DHCP_Servers", b, far},
		{"by unicast, which is the relay's choice", b, near},
		{"with an echo request", b, from(relayed(t, 0, remote+subscriber+opt(43, "0026 0009 002b 0099")+id, inner))},
		{"nested", b, from(relayed(t, 1, id+remote, relayed(t, 0, opt(18, text("inner")), inner)))},
		{"refused inside", b, from(relayed(t, 0, "", message16(t, confirm, clientID, na(1, "2001:db8:2::1"))))},
	})
}

func TestRelayDepth(t *testing.T) {
	b := changed(relays)
	m := message16(t, informationRequest, clientID)
	for hops := range byte(8) {
		m = relayed(t, hops, "", m)
	}
	o := Answer(server(b), from(m))
	if o.Reply == nil {
		t.Fatalf("8 relay agents: %s", o.Reason)
	}
	checkOutcome(t, server(b), from(m), o)
	checkSilent(t, Answer(server(b), from(relayed(t, 8, "", m))), relayForw, reason.DHCPMalformed)
	checkSilent(t, Answer(server(b), from(relayed(t, 9, "", message16(t, informationRequest, clientID)))), relayForw, reason.DHCPMalformed)
}

func TestRelayMalformed(t *testing.T) {
	b := changed(relays)
	inner := message16(t, solicit, clientID, na(1))
	whole := relayed(t, 0, "", inner)
	for name, m := range map[string][]byte{
		"header alone, short":   whole[:33],
		"no relay message":      whole[:34],
		"overrun":               whole[:len(whole)-1],
		"relay message twice":   append(relayed(t, 0, "", inner), unhex(t, "00090000")...),
		"Interface-ID twice":    relayed(t, 0, opt(18, "01")+opt(18, "02"), inner),
		"odd echo request":      relayed(t, 0, opt(43, "000100"), inner),
		"short header nested":   relayed(t, 1, "", whole[:20]),
		"overrun before option": relayed(t, 0, "0012ffff", inner),
	} {
		o := Answer(server(b), from(m))
		if o.Reply != nil || o.Reason != reason.DHCPMalformed || o.Request != "RELAY-FORW" {
			t.Errorf("%s: %+v", name, o)
		}
	}
	for want, m := range map[reason.Reason][]byte{
		reason.DHCPMalformed:  relayed(t, 0, "", nil),
		reason.DHCPType:       relayed(t, 0, "", message16(t, reply, clientID)),
		reason.DHCPNoClientID: relayed(t, 0, "", message16(t, solicit)),
	} {
		if o := Answer(server(b), from(m)); o.Reply != nil || o.Reason != want {
			t.Errorf("inside: %+v, want %s", o, want)
		}
	}
}

// What relay agents want echoed takes room from configuration, and too much
// of it is not answered.
func TestRelayTakesRoom(t *testing.T) {
	b := changed(relays)
	inner := message16(t, solicit, clientID, na(1))
	for n, dns := range map[int]bool{1100: true, 1290: false} {
		q := from(relayed(t, 0, opt(18, strings.Repeat("ab", n)), inner))
		o := Answer(server(b), q)
		checkOutcome(t, server(b), q, o)
		if got := find(top(t, strip(t, o.Reply.Message)), 23) != nil; got != dns {
			t.Errorf("Interface-ID of %d octets: DNS sent: %t", n, got)
		}
	}
	q := from(relayed(t, 0, opt(18, strings.Repeat("ab", 1300)), inner))
	checkSilent(t, Answer(server(b), q), solicit, reason.DHCPTooLarge)
}
