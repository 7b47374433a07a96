package dhcp4

import (
	"testing"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// Where an OFFER or ACK goes (RFC 2131 4.1, V4-04, R53).
func TestDestination(t *testing.T) {
	reply := packet{yiaddr: "192.0.2.10", options: isOffer + serverID + lease1d + basicSet}
	for name, c := range map[string]struct {
		ask packet
		mac nic.MAC
		to  string
	}{
		"flag clear":                  {packet{}, guestMAC(), "192.0.2.10"},
		"flag set":                    {packet{flags: 0x8000}, everyone(), "255.255.255.255"},
		"reserved bits are not it":    {packet{flags: 0x7fff}, guestMAC(), "192.0.2.10"},
		"all bits":                    {packet{flags: 0xffff}, everyone(), "255.255.255.255"},
		"foreign ciaddr":              {packet{ciaddr: "198.51.100.9"}, guestMAC(), "192.0.2.10"},
		"foreign ciaddr and the flag": {packet{ciaddr: "198.51.100.9", flags: 0x8000}, everyone(), "255.255.255.255"},
		"own ciaddr and the flag":     {packet{ciaddr: "192.0.2.10", flags: 0x8000}, guestMAC(), "192.0.2.10"},
	} {
		t.Run(name, func(t *testing.T) {
			c.ask.options = "350101"
			want := reply
			want.flags = c.ask.flags
			check(t, answered("DISCOVER", "OFFER", "192.0.2.10", replies(t, c.mac, c.to, want)),
				Answer(server(web1()), asks(t, c.ask)))
		})
	}
}

// hops and secs of the client come back as 0, the 16 bytes of chaddr and the
// flags as they were (V4-02).
func TestHeaderIsCopied(t *testing.T) {
	q := asks(t, packet{options: "350101", hops: 3, flags: 0x1234})
	copy(q.Message[34:44], "padding!!!")
	copy(q.Message[44:], "client's own sname")
	copy(q.Message[108:], "client's own file")
	copy(q.Message[16:24], []byte{192, 0, 2, 66, 192, 0, 2, 67}) // yiaddr, siaddr
	got := Answer(server(web1()), q)
	want := replies(t, guestMAC(), "192.0.2.10", packet{
		flags: 0x1234, yiaddr: "192.0.2.10", options: isOffer + serverID + lease1d + basicSet,
	})
	copy(want.Message[34:44], "padding!!!")
	check(t, answered("DISCOVER", "OFFER", "192.0.2.10", want), got)
}

const agentInfo = "5206" + "010465746831" // option 82, circuit "eth1"

// relayedBy makes the query of a relay agent at another MAC and address.
func relayedBy(t *testing.T, p packet) Query {
	t.Helper()
	p.giaddr = "192.0.2.250"
	q := asks(t, p)
	q.EthSrc, q.Src, q.Dst = otherMAC(), ip("192.0.2.250"), ip("192.0.2.1")
	return q
}

func toRelay(t *testing.T, p packet) *Reply {
	t.Helper()
	p.giaddr = "192.0.2.250"
	r := replies(t, otherMAC(), "192.0.2.250", p)
	r.DstPort = 67
	return r
}

func relaying() *nic.Binding { return changed(func(b *nic.Binding) { b.DHCP4.Relay = true }) }

func TestRelayIsRefusedByDefault(t *testing.T) { // G08
	got := Answer(server(web1()), relayedBy(t, packet{options: "350101" + agentInfo}))
	check(t, silent("DISCOVER", "", reason.DHCPRelayed), got)
	q := asks(t, packet{options: "350101", giaddr: "192.0.2.77"})
	check(t, silent("DISCOVER", "", reason.DHCPRelayed), Answer(server(web1()), q))
}

func TestRelayIsAnsweredWhenEnabled(t *testing.T) {
	id := "3d0701525400aa0001"
	t.Run("OFFER", func(t *testing.T) {
		got := Answer(server(relaying()), relayedBy(t, packet{options: "350101" + agentInfo + id, flags: 0x8000}))
		want := toRelay(t, packet{
			flags: 0x8000, yiaddr: "192.0.2.10", options: isOffer + serverID + lease1d + basicSet + id + agentInfo,
		})
		check(t, answered("DISCOVER", "OFFER", "192.0.2.10", want), got)
	})
	t.Run("ACK", func(t *testing.T) {
		got := Answer(server(relaying()), relayedBy(t, packet{options: "350103", ciaddr: "192.0.2.10"}))
		want := toRelay(t, packet{
			ciaddr: "192.0.2.10", yiaddr: "192.0.2.10", options: isAck + serverID + lease1d + basicSet,
		})
		check(t, answered("REQUEST", "ACK", "192.0.2.10", want), got)
	})
	t.Run("NAK asks the relay to broadcast", func(t *testing.T) { // RFC 2131 4.3.2
		got := Answer(server(relaying()), relayedBy(t, packet{options: "350103 3204c0000263" + agentInfo}))
		want := answered("REQUEST", "NAK", "192.0.2.99",
			toRelay(t, packet{flags: 0x8000, options: isNak + serverID + refused + agentInfo}))
		want.Reason = reason.DHCPWrongAddr
		check(t, want, got)
	})
	t.Run("chaddr is still the binding's", func(t *testing.T) {
		s := server(changed(func(b *nic.Binding) { b.DHCP4.Relay, b.MAC = true, otherMAC() }))
		check(t, silent("DISCOVER", "", reason.DHCPChaddr), Answer(s, relayedBy(t, packet{options: "350101"})))
	})
	t.Run("INFORM without ciaddr is not about the relay", func(t *testing.T) {
		b := relaying()
		b.Guard.AllowAddresses = prefixes("192.0.2.250/32")
		check(t, silent("INFORM", "", reason.DHCPSource), Answer(server(b), relayedBy(t, packet{options: "350108"})))
	})
}

// Option 82 of a client is no relay's: ignored and not echoed (V4-20, G24),
// also where relays are enabled.
func TestAgentInformationOfAClientIsIgnored(t *testing.T) {
	want := granted("DISCOVER", "OFFER", packet{options: isOffer + serverID + lease1d + basicSet})
	for _, b := range []*nic.Binding{web1(), relaying()} {
		check(t, want(t), Answer(server(b), asks(t, packet{options: "350101" + agentInfo})))
	}
}

// RFC 6842: the client identifier comes back unchanged in every reply (V4-19).
func TestClientIdentifierIsEchoed(t *testing.T) {
	id := "3d0701525400aa0001"
	nakWant := nakked("192.0.2.99", packet{options: isNak + serverID + refused + id})
	check(t, nakWant(t), Answer(server(web1()), asks(t, packet{options: "350103 3204c0000263" + id})))

	informed := answered("INFORM", "ACK", "192.0.2.10", replies(t, guestMAC(), "192.0.2.10", packet{
		ciaddr:  "192.0.2.10",
		options: isAck + serverID + mask24 + gateway + dns + hostname + domain + broadcast + id,
	}))
	check(t, informed, Answer(server(web1()), asks(t, packet{options: "350108" + id, ciaddr: "192.0.2.10"})))

	for _, odd := range []string{"3d00", "3d01aa"} { // short ones are echoed too: they decide nothing
		got := Answer(server(web1()), asks(t, packet{options: "350101" + odd}))
		wantOptions(t, isOffer+serverID+lease1d+basicSet+odd, got)
	}
}
