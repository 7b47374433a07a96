package dhcp4

import (
	"net/netip"
	"testing"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

func TestNoClientMessageIsSilence(t *testing.T) {
	runStates(t, map[string]stateCase{
		"BOOTP":           {ask: packet{options: ""}, want: ignored("", "", reason.DHCPBOOTP)}, // V4-40, G09
		"BOOTP with data": {ask: packet{options: "3204c000020a"}, want: ignored("", "192.0.2.10", reason.DHCPBOOTP)},
		"type 0":          {ask: packet{options: "350100"}, want: ignored("", "", reason.DHCPType)},
		"OFFER":           {ask: packet{options: "350102"}, want: ignored("OFFER", "", reason.DHCPType)},
		"ACK":             {ask: packet{options: "350105"}, want: ignored("ACK", "", reason.DHCPType)},
		"NAK":             {ask: packet{options: "350106"}, want: ignored("NAK", "", reason.DHCPType)},
		"FORCERENEW":      {ask: packet{options: "350109"}, want: ignored("", "", reason.DHCPType)}, // V4-32
		"LEASEQUERY":      {ask: packet{options: "35010a"}, want: ignored("", "", reason.DHCPType)}, // V4-33
		"LEASEACTIVE":     {ask: packet{options: "35010d"}, want: ignored("", "", reason.DHCPType)},
		"type 99":         {ask: packet{options: "350163"}, want: ignored("", "", reason.DHCPType)}, // G11
		"type 255":        {ask: packet{options: "3501ff"}, want: ignored("", "", reason.DHCPType)},
	})
}

func TestDeclineAndReleaseAreSilence(t *testing.T) {
	runStates(t, map[string]stateCase{
		"DECLINE": { // V4-15, G20
			ask:  packet{options: "350104 3204c000020a 3604c0000201"},
			want: ignored("DECLINE", "192.0.2.10", reason.DHCPDecline),
		},
		"DECLINE of another's": { // G21
			ask:  packet{options: "350104 3204c0000263"},
			want: ignored("DECLINE", "192.0.2.99", reason.DHCPDecline),
		},
		"RELEASE": { // V4-16
			ask: packet{options: "350107 3604c0000201", ciaddr: "192.0.2.10"}, from: "192.0.2.10",
			want: ignored("RELEASE", "192.0.2.10", reason.DHCPRelease),
		},
		"RELEASE of another's": {
			ask: packet{options: "350107", ciaddr: "192.0.2.99"}, from: "192.0.2.10",
			want: ignored("RELEASE", "192.0.2.99", reason.DHCPRelease),
		},
	})
}

func TestBindingThatGivesNothing(t *testing.T) {
	discover := packet{options: "350101"}
	for name, c := range map[string]struct {
		change func(*nic.Binding)
		want   reason.Reason
	}{
		"suspended":             {func(b *nic.Binding) { b.Suspended = true }, reason.DHCPSuspended}, // R61
		"switched off":          {func(b *nic.Binding) { b.DHCP4.Off = true }, reason.DHCPOff},
		"no address":            {func(b *nic.Binding) { b.Addresses = nil }, reason.DHCPNoIPv4},
		"IPv6 only":             {func(b *nic.Binding) { b.Addresses = prefixes("2001:db8::5/64") }, reason.DHCPNoIPv4},
		"suspended and off":     {func(b *nic.Binding) { b.Suspended, b.DHCP4.Off = true, true }, reason.DHCPSuspended},
		"off and no address":    {func(b *nic.Binding) { b.DHCP4.Off, b.Addresses = true, nil }, reason.DHCPOff},
		"DHCP address is IPv6":  {func(b *nic.Binding) { b.DHCP4.Address = netip.MustParsePrefix("2001:db8::5/64") }, reason.DHCPNoIPv4},
		"another MAC, suspend.": {func(b *nic.Binding) { b.Suspended, b.MAC = true, otherMAC() }, reason.DHCPChaddr},
	} {
		t.Run(name, func(t *testing.T) {
			got := Answer(server(changed(c.change)), asks(t, discover))
			check(t, silent("DISCOVER", "", c.want), got)
		})
	}
}

func TestNoServerIdentifierIsSilence(t *testing.T) {
	for name, id := range map[string]netip.Addr{
		"none":        {},
		"unspecified": ip("0.0.0.0"),
		"mapped zero": ip("::ffff:0.0.0.0"),
		"IPv6":        ip("2001:db8::1"),
	} {
		for kind, req := range map[string]string{"350101": "DISCOVER", "350103": "REQUEST", "350108": "INFORM"} {
			got := Answer(Server{Binding: web1(), ID: id}, asks(t, packet{options: kind}))
			if d := got; d.Reason != reason.WaitServerID || d.Reply != nil || d.Request != req {
				t.Errorf("%s, %s: %+v, want silence for no-server-id", name, req, d)
			}
		}
		got := Answer(Server{Binding: web1(), ID: id}, asks(t, packet{options: "350107"}))
		check(t, silent("RELEASE", "", reason.DHCPRelease), got)
	}
}

func TestNoBindingIsSilence(t *testing.T) {
	check(t, Outcome{Reason: reason.NoBinding}, Answer(Server{ID: ip("192.0.2.1")}, asks(t, packet{options: "350101"})))
}

// A mapped IPv6 form of the identifier is the same identifier.
func TestServerIdentifierIsUnmapped(t *testing.T) {
	s := Server{Binding: web1(), ID: ip("::ffff:192.0.2.1")}
	want := granted("REQUEST", "ACK", packet{options: isAck + serverID + lease1d + basicSet})
	check(t, want(t), Answer(s, asks(t, packet{options: "350103 3604c0000201 3204c000020a"})))
	check(t, nakked("192.0.2.99", packet{options: isNak + serverID + refused})(t),
		Answer(s, asks(t, packet{options: "350103 3204c0000263"})))
}

// chaddr, Ethernet source and binding agree, or there is silence (V4-03): a
// guest cannot ask on behalf of others, neither to starve nor to learn. A
// binding for any client is not asked; its reply goes to chaddr like every one.
func TestChaddr(t *testing.T) {
	offered := func(t *testing.T) Outcome {
		return granted("DISCOVER", "OFFER", packet{options: isOffer + serverID + lease1d + basicSet})(t)
	}
	refusedSilently := ignored("DISCOVER", "", reason.DHCPChaddr)
	unchecked := func(b *nic.Binding) { b.Guard.Checks.MAC = false }
	other := func(b *nic.Binding) { b.MAC = otherMAC() }
	anyClient := func(b *nic.Binding) { b.DHCP4.AnyClient = true }
	for name, c := range map[string]struct {
		change func(*nic.Binding)
		src    nic.MAC
		want   func(*testing.T) Outcome
	}{
		"all agree":                            {func(*nic.Binding) {}, guestMAC(), offered},
		"Ethernet source differs":              {func(*nic.Binding) {}, otherMAC(), refusedSilently},
		"binding differs":                      {other, guestMAC(), refusedSilently},
		"binding and source agree, not chaddr": {other, otherMAC(), refusedSilently},
		"source unchecked":                     {unchecked, otherMAC(), offered},
		"any client":                           {func(b *nic.Binding) { anyClient(b); other(b) }, guestMAC(), offered},
		"any client, Ethernet source differs":  {anyClient, otherMAC(), refusedSilently},
		"any client, source unchecked":         {func(b *nic.Binding) { anyClient(b); unchecked(b); other(b) }, otherMAC(), offered},
		"source unchecked, binding differs":    {func(b *nic.Binding) { unchecked(b); other(b) }, guestMAC(), refusedSilently},
	} {
		t.Run(name, func(t *testing.T) {
			q := asks(t, packet{options: "350101"})
			q.EthSrc = c.src
			check(t, c.want(t), Answer(server(changed(c.change)), q))
		})
	}
}

// A client identifier, here another VM's MAC, never selects a binding (G05).
func TestClientIdentifierSelectsNothing(t *testing.T) {
	id := "3d0701525400bb0002"
	got := Answer(server(web1()), asks(t, packet{options: "350101" + id}))
	want := granted("DISCOVER", "OFFER", packet{options: isOffer + serverID + lease1d + basicSet + id})
	check(t, want(t), got)
}

// The same message gets the same bytes, and changes nothing (V4-34).
func TestRetransmissionGetsTheSameReply(t *testing.T) {
	q := asks(t, packet{options: "350101 370401037906 3d0701525400aa0001"})
	s := server(changed(func(b *nic.Binding) { b.Gateway = ip("203.0.113.1") }))
	first := Answer(s, q)
	for range 20 {
		check(t, first, Answer(s, q))
	}
}
