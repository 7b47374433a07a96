package dhcp4

import (
	"testing"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// stateCase is one message and everything that comes of it.
type stateCase struct {
	binding *nic.Binding // nil: web1's
	ask     packet
	from    string // IP source; "" for 0.0.0.0
	want    func(t *testing.T) Outcome
}

func runStates(t *testing.T, cases map[string]stateCase) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := c.binding
			if b == nil {
				b = web1()
			}
			q := asks(t, c.ask)
			if c.from != "" {
				q.Src = ip(c.from)
			}
			check(t, c.want(t), Answer(server(b), q))
		})
	}
}

// granted wants an OFFER or ACK of web1's address, unicast.
func granted(req, answer string, p packet) func(*testing.T) Outcome {
	return func(t *testing.T) Outcome {
		p.yiaddr = "192.0.2.10"
		return answered(req, answer, "192.0.2.10", replies(t, guestMAC(), "192.0.2.10", p))
	}
}

// nakked wants a NAK, broadcast.
func nakked(address string, p packet) func(*testing.T) Outcome {
	return func(t *testing.T) Outcome {
		o := answered("REQUEST", "NAK", address, replies(t, everyone(), "255.255.255.255", p))
		o.Reason = reason.DHCPWrongAddr
		return o
	}
}

func ignored(req, address string, why reason.Reason) func(*testing.T) Outcome {
	return func(*testing.T) Outcome { return silent(req, address, why) }
}

func TestDiscover(t *testing.T) {
	rapid := changed(func(b *nic.Binding) { b.DHCP4.RapidCommit = true })
	plain := packet{options: isOffer + serverID + lease1d + basicSet}
	runStates(t, map[string]stateCase{
		"offers the binding's address": {
			ask:  packet{options: "350101"},
			want: granted("DISCOVER", "OFFER", plain),
		},
		"whatever the client prefers": { // V4-09: options 50, 12, 60
			ask:  packet{options: "350101 3204c0000263 0c0474657374 3c047465737400"},
			want: granted("DISCOVER", "OFFER", plain),
		},
		"subnet selection and auto-configure change nothing": { // V4-28
			ask:  packet{options: "350101 7604cb007100 740101"},
			want: granted("DISCOVER", "OFFER", plain),
		},
		"ciaddr is not copied": { // RFC 2131 table 3
			ask:  packet{options: "350101", ciaddr: "192.0.2.99"},
			want: granted("DISCOVER", "OFFER", plain),
		},
		"rapid commit": {
			binding: rapid,
			ask:     packet{options: "350101 5000"},
			want:    granted("DISCOVER", "ACK", packet{options: isAck + serverID + lease1d + "5000" + basicSet}),
		},
		"rapid commit not asked for": {
			binding: rapid,
			ask:     packet{options: "350101"},
			want:    granted("DISCOVER", "OFFER", plain),
		},
		"rapid commit not enabled": {
			ask:  packet{options: "350101 5000"},
			want: granted("DISCOVER", "OFFER", plain),
		},
	})
}

func TestRequestSelecting(t *testing.T) {
	runStates(t, map[string]stateCase{
		"our offer": {
			ask:  packet{options: "350103 3604c0000201 3204c000020a"},
			want: granted("REQUEST", "ACK", packet{options: isAck + serverID + lease1d + basicSet}),
		},
		"another server's offer": {
			ask:  packet{options: "350103 3604c00002fe 3204c000020a"},
			want: ignored("REQUEST", "192.0.2.10", reason.DHCPOtherServer),
		},
		"another server's address": {
			ask:  packet{options: "350103 3604c00002fe 3204c0000263"},
			want: ignored("REQUEST", "192.0.2.99", reason.DHCPOtherServer),
		},
		"our offer, another address": {
			ask:  packet{options: "350103 3604c0000201 3204c0000263"},
			want: nakked("192.0.2.99", packet{options: isNak + serverID + refused}),
		},
		"our offer, no address": {
			ask:  packet{options: "350103 3604c0000201"},
			want: nakked("", packet{options: isNak + serverID + refused}),
		},
	})
}

func TestRequestInitReboot(t *testing.T) {
	runStates(t, map[string]stateCase{
		"own address": {
			ask:  packet{options: "350103 3204c000020a"},
			want: granted("REQUEST", "ACK", packet{options: isAck + serverID + lease1d + basicSet}),
		},
		"another address of the subnet": {
			ask:  packet{options: "350103 3204c0000263"},
			want: nakked("192.0.2.99", packet{options: isNak + serverID + refused}),
		},
		"another subnet": {
			ask:  packet{options: "350103 3204cb007107"},
			want: nakked("203.0.113.7", packet{options: isNak + serverID + refused}),
		},
		"neither option 50 nor ciaddr": { // V4-13
			ask:  packet{options: "350103"},
			want: nakked("", packet{options: isNak + serverID + refused}),
		},
	})
}

func TestRequestRenewing(t *testing.T) {
	renewed := packet{ciaddr: "192.0.2.10", options: isAck + serverID + lease1d + basicSet}
	broadcastFlag := renewed
	broadcastFlag.flags = 0x8000
	runStates(t, map[string]stateCase{
		"own address": {
			ask: packet{options: "350103", ciaddr: "192.0.2.10"}, from: "192.0.2.10",
			want: granted("REQUEST", "ACK", renewed),
		},
		"another address": {
			ask: packet{options: "350103", ciaddr: "192.0.2.99"}, from: "192.0.2.99",
			want: nakked("192.0.2.99", packet{options: isNak + serverID + refused}),
		},
		"equal option 50": { // RFC 7844
			ask: packet{options: "350103 3204c000020a", ciaddr: "192.0.2.10"}, from: "192.0.2.10",
			want: granted("REQUEST", "ACK", renewed),
		},
		"unequal option 50": {
			ask: packet{options: "350103 3204c0000263", ciaddr: "192.0.2.10"}, from: "192.0.2.10",
			want: nakked("192.0.2.99", packet{options: isNak + serverID + refused}),
		},
		"both wrong": {
			ask: packet{options: "350103 3204c000020a", ciaddr: "192.0.2.99"}, from: "192.0.2.99",
			want: nakked("192.0.2.99", packet{options: isNak + serverID + refused}),
		},
		"names the server of an earlier binding": {
			ask: packet{options: "350103 3604c00002fe", ciaddr: "192.0.2.10"}, from: "192.0.2.10",
			want: granted("REQUEST", "ACK", renewed),
		},
		"broadcast flag does not matter": { // RFC 2131 4.1: ciaddr first
			ask: packet{options: "350103", ciaddr: "192.0.2.10", flags: 0x8000}, from: "192.0.2.10",
			want: granted("REQUEST", "ACK", broadcastFlag),
		},
	})
}

// A renewal is taken at the NIC whatever server it is sent to (R55): its
// destination is not part of the decision, nor is broadcast (REBINDING).
func TestRenewalToAnyServerIsAnswered(t *testing.T) {
	for _, dst := range []string{"192.0.2.1", "192.0.2.254", "203.0.113.9", "255.255.255.255"} {
		q := asks(t, packet{options: "350103", ciaddr: "192.0.2.10"})
		q.Src, q.Dst = ip("192.0.2.10"), ip(dst)
		want := granted("REQUEST", "ACK", packet{ciaddr: "192.0.2.10", options: isAck + serverID + lease1d + basicSet})
		check(t, want(t), Answer(server(web1()), q))
	}
}

// V4-39: the binding changed under a live client. Its renewal is refused, and
// the DISCOVER that follows gets the new address.
func TestChangedBindingIsRefusedThenOffered(t *testing.T) {
	b := changed(func(b *nic.Binding) { b.Addresses = prefixes("192.0.2.20/24") })
	renew := asks(t, packet{options: "350103", ciaddr: "192.0.2.10"})
	check(t, nakked("192.0.2.10", packet{options: isNak + serverID + refused})(t), Answer(server(b), renew))

	want := answered("DISCOVER", "OFFER", "192.0.2.20", replies(t, guestMAC(), "192.0.2.20",
		packet{yiaddr: "192.0.2.20", options: isOffer + serverID + lease1d + basicSet}))
	check(t, want, Answer(server(b), asks(t, packet{options: "350101"})))
}

// The delivered address is the one given and the one accepted; the NIC's
// other addresses are configured by the guest, never leased.
func TestDeliveredAddressIsTheOneGiven(t *testing.T) {
	b := changed(func(b *nic.Binding) {
		b.Addresses = prefixes("192.0.2.9/24", "192.0.2.10/24")
		b.DHCP4.Address = b.Addresses[1]
	})
	runStates(t, map[string]stateCase{
		"offered": {
			binding: b, ask: packet{options: "350101"},
			want: granted("DISCOVER", "OFFER", packet{options: isOffer + serverID + lease1d + basicSet}),
		},
		"own but not delivered": {
			binding: b, ask: packet{options: "350103", ciaddr: "192.0.2.9"},
			want: nakked("192.0.2.9", packet{options: isNak + serverID + refused}),
		},
	})
}

func TestInform(t *testing.T) {
	config := isAck + serverID + mask24 + gateway + dns + hostname + domain + broadcast
	told := func(to string, p packet) func(*testing.T) Outcome {
		return func(t *testing.T) Outcome {
			return answered("INFORM", "ACK", to, replies(t, guestMAC(), to, p))
		}
	}
	more := changed(func(b *nic.Binding) {
		b.Addresses = prefixes("192.0.2.10/24", "198.51.100.77/32")
		b.Guard.AllowAddresses = prefixes("203.0.113.0/29")
		b.DHCP4.V6OnlyWait = 300
	})
	runStates(t, map[string]stateCase{
		"to ciaddr": {
			ask: packet{options: "350108", ciaddr: "192.0.2.10"}, from: "192.0.2.10",
			want: told("192.0.2.10", packet{ciaddr: "192.0.2.10", options: config}),
		},
		"no times even if asked for": { // RFC 2131 4.3.5
			binding: more,
			ask:     packet{options: "350108 3704333a3b6c", ciaddr: "192.0.2.10"}, from: "192.0.2.10",
			want: told("192.0.2.10", packet{ciaddr: "192.0.2.10", options: config}),
		},
		"broadcast flag does not matter": {
			ask: packet{options: "350108", ciaddr: "192.0.2.10", flags: 0x8000}, from: "192.0.2.10",
			want: told("192.0.2.10", packet{ciaddr: "192.0.2.10", flags: 0x8000, options: config}),
		},
		"no ciaddr: the source": { // V4-17
			ask: packet{options: "350108"}, from: "192.0.2.10",
			want: told("192.0.2.10", packet{options: config}),
		},
		"second address": {
			binding: more,
			ask:     packet{options: "350108", ciaddr: "198.51.100.77"}, from: "198.51.100.77",
			want: told("198.51.100.77", packet{ciaddr: "198.51.100.77", options: config}),
		},
		"allowed address": {
			binding: more,
			ask:     packet{options: "350108", ciaddr: "203.0.113.6"}, from: "203.0.113.6",
			want: told("203.0.113.6", packet{ciaddr: "203.0.113.6", options: config}),
		},
		"beyond the allowed": {
			binding: more,
			ask:     packet{options: "350108", ciaddr: "203.0.113.8"}, from: "203.0.113.8",
			want: ignored("INFORM", "203.0.113.8", reason.DHCPSource),
		},
		"another's address": { // G36
			ask: packet{options: "350108", ciaddr: "192.0.2.99"}, from: "192.0.2.99",
			want: ignored("INFORM", "192.0.2.99", reason.DHCPSource),
		},
		"no address at all": {
			ask:  packet{options: "350108"},
			want: ignored("INFORM", "", reason.DHCPSource),
		},
	})
}

// Allowing everything does not make a group or the broadcast an address.
func TestInformNeverToAGroup(t *testing.T) {
	b := changed(func(b *nic.Binding) { b.Guard.AllowAddresses = prefixes("0.0.0.0/0") })
	for _, a := range []string{"255.255.255.255", "224.0.0.1"} {
		got := Answer(server(b), asks(t, packet{options: "350108", ciaddr: a}))
		check(t, silent("INFORM", a, reason.DHCPSource), got)
	}
}
