package dhcp4

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/berth-net/berth/internal/nic"
)

// Where Answer is silent to whatever a client says, nothing is compiled.
func TestCompileAdmits(t *testing.T) {
	for name, c := range map[string]struct {
		server Server
		want   bool
	}{
		"plain":               {server(web1()), true},
		"no binding":          {server(nil), false},
		"suspended":           {server(changed(func(b *nic.Binding) { b.Suspended = true })), false},
		"off":                 {server(changed(func(b *nic.Binding) { b.DHCP4.Off = true })), false},
		"without an address":  {server(changed(func(b *nic.Binding) { b.Addresses = nil })), false},
		"without a server ID": {Server{Binding: web1()}, false},
		"unspecified server":  {Server{Binding: web1(), ID: netip.IPv4Unspecified()}, false},
	} {
		if _, ok := Compile(c.server); ok != c.want {
			t.Errorf("%s: compiled %t, want %t", name, ok, c.want)
		}
	}
}

// What is compiled is what an OFFER says, each option as it is there.
func TestCompiledOptions(t *testing.T) {
	c, _ := Compile(server(web1()))
	var unasked []byte
	for _, code := range c.Basics {
		switch code {
		case optT1:
			unasked = append(unasked, unhex(t, t1Half)...)
		case optT2:
			unasked = append(unasked, unhex(t, t2)...)
		default:
			unasked = append(unasked, c.Options[code]...)
		}
	}
	if want := unhex(t, basicSet); !bytes.Equal(unasked, want) {
		t.Errorf("unasked %x, want %x", unasked, want)
	}
	if c.Own != ip("192.0.2.10") || c.ServerID != ip("192.0.2.1") || c.MAC != guestMAC() || !c.CheckMAC {
		t.Errorf("%s from %s to %s, check %t", c.Own, c.ServerID, c.MAC, c.CheckMAC)
	}
	if c.Lease != 86400 || c.Most != 172800 || c.T1 != 43200 || c.T2 != 75600 || c.Link != 1500 {
		t.Errorf("lease %d, at most %d, T1 %d, T2 %d, link %d", c.Lease, c.Most, c.T1, c.T2, c.Link)
	}
	if c.Names != nil {
		t.Errorf("names of a NIC that boots nothing: %x", c.Names)
	}
}
