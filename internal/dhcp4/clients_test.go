package dhcp4

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/nic"
)

// clientFixture is the DISCOVER of a real client: its option 55 and what else
// it sends that this server looks at. The first six were captured from the
// versions named; the last three are public fingerprints.
type clientFixture struct {
	name, ask string
	want      string // what it is told, in order, besides 53, 54, 51
}

func clientFixtures() []clientFixture {
	const (
		m, g, d, h, n, b = mask24, gateway, dns, hostname, domain, broadcast
		mtu              = "1a0205aa"
		ntp              = "2a04c000027b"
		list             = "770d" + "076578616d706c65036f726700"
		routes           = "790b" + "080ac00002fe" + "00c0000201"
		msRoutes         = "f90b" + "080ac00002fe" + "00c0000201"
		t                = t1Half + t2
		file             = "4306" + "6b65726e656c"
	)
	return []clientFixture{
		{
			"udhcpc 1.35", "370701 03060c0f1c2a 3c0c" + text("udhcp 1.35.0") + "390206403d0701525400aa0001",
			m + g + d + h + n + b + ntp + mtu + t + routes + "3d0701525400aa0001",
		},
		{
			"dhclient 4.4.3", "370d011c02030f06770c2c2f1a792a",
			m + b + g + n + d + list + h + mtu + routes + ntp + t,
		},
		{
			"dhcpcd 9.4.1", "370e017903060c0f1a1c2133363a3b77 5000",
			m + routes + g + d + h + n + mtu + b + t + list,
		},
		{
			"systemd-networkd 252", "37090103060c0f212a7879",
			m + g + d + h + n + ntp + routes + mtu + b + t,
		},
		{
			"NetworkManager 1.42", "37110102060c0f1a1c7903212829 2a77f9fc11",
			m + d + h + n + mtu + b + routes + g + ntp + list + msRoutes + t,
		},
		{
			"iPXE 1.0.0+git20190125", "3717" + "01030607 0c0f111a2b3c4243 77808182838485868 7afcb" + "5d020000" +
				"3c20" + text("PXEClient:Arch:00000:UNDI:002001") + "4d04" + text("iPXE"),
			m + g + d + h + n + mtu + file + list + b + t + routes,
		},
		{
			"Windows 11", "370e0103060f1f212b2c2e2f7779f9fc 3c08" + text("MSFT 5.0") + "3d0701525400aa0001 5107000000" + text("DESK"),
			m + g + d + n + list + routes + msRoutes + h + mtu + b + t +
				"3d0701525400aa0001" + "51130affff" + text("web1.example.org"),
		},
		{
			"macOS", "3709017903060f6c7277fc",
			m + routes + g + d + n + "6c0400000708" + list + h + mtu + b + t,
		},
		{
			"Android", "370c0103060f1a1c333a3b2b726c",
			m + g + d + n + mtu + b + t + "6c0400000708" + h + routes,
		},
	}
}

// everything is a binding that can fill nearly every option.
func everything() *nic.Binding {
	return changed(func(b *nic.Binding) {
		b.MTU = 1450
		b.NTP = []netip.Addr{ip("192.0.2.123")}
		b.Search = []string{"example.org"}
		b.DHCP4.V6OnlyWait = 1800
		b.DHCP4.BootIPXE = nic.Boot{File: "kernel"}
		route("10.0.0.0/8", "192.0.2.254")(b)
	})
}

// Requested options in the client's order, each once, the mask before the
// router; then the basics it did not ask for (V4-18, R43).
func TestClients(t *testing.T) {
	for _, c := range clientFixtures() {
		t.Run(c.name, func(t *testing.T) {
			got := Answer(server(everything()), asks(t, packet{options: "350101" + c.ask}))
			wantOptions(t, isOffer+serverID+lease1d+c.want, got)
			if n := len(got.Reply.Message); n > 548 {
				t.Errorf("message of %d bytes, want at most 548", n)
			}
		})
	}
}

func TestRequestOrder(t *testing.T) {
	for name, c := range map[string]struct {
		binding   *nic.Binding
		ask, want string
	}{
		"nothing asked, basics":           {web1(), "", basicSet},
		"nothing asked, only requested":   {quiet(), "", ""},
		"empty list":                      {quiet(), "3700", ""},
		"reversed":                        {quiet(), "37040f0c0601", domain + hostname + dns + mask24},
		"router before mask":              {quiet(), "3703030601", mask24 + gateway + dns},
		"router before mask, apart":       {quiet(), "370406030c01", dns + mask24 + gateway + hostname},
		"router asked, mask is basic":     {web1(), "370103", mask24 + gateway + dns + hostname + domain + broadcast + t1Half + t2},
		"mask alone":                      {quiet(), "370101", mask24},
		"repeated":                        {quiet(), "37060606060c0606", dns + hostname},
		"what the head has is not again":  {quiet(), "370433353601", mask24},
		"echoes and protocol are not had": {quiet(), "37073d515250323701", mask24},
	} {
		t.Run(name, func(t *testing.T) {
			got := Answer(server(c.binding), asks(t, packet{options: "350101" + c.ask}))
			wantOptions(t, isOffer+serverID+lease1d+c.want, got)
		})
	}
}

func TestOnlyRequestedWithoutAGatewayOnLink(t *testing.T) {
	b := changed(address("192.0.2.10/32"))
	b.DHCP4.OnlyRequested = true
	toGateway := "790e" + "20c000020100000000" + "00c0000201"
	wantOptions(t, isOffer+serverID+lease1d+"0104ffffffff",
		Answer(server(b), asks(t, packet{options: "350101 370101"})))
	wantOptions(t, isOffer+serverID+lease1d+toGateway,
		Answer(server(b), asks(t, packet{options: "350101 370179"})))

	b.DHCP4.OnlyRequested = false // a client that asks for nothing still gets out
	got := optionsOf(t, Answer(server(b), asks(t, packet{options: "350101"})))
	if !strings.HasSuffix(got, toGateway) {
		t.Errorf("options %s, want the routes of a /32 last: %s", got, toGateway)
	}
}
