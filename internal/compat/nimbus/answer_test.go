package nimbus_test

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/compat/nimbus"
	"github.com/berth-net/berth/internal/dhcp4"
	"github.com/berth-net/berth/internal/nic"
)

// renewal is a DHCPREQUEST in the state RENEWING, of a guest that asks for
// nothing in particular.
func renewal(b *nic.Binding) dhcp4.Query {
	at := b.Delivered().Addr()
	m := make([]byte, 240, 300)
	m[0], m[1], m[2] = 1, 1, 6
	copy(m[4:], "\x12\x34\x56\x78")
	copy(m[12:], at.AsSlice())
	copy(m[28:], b.MAC[:])
	copy(m[236:], "\x63\x82\x53\x63")
	m = append(m, 53, 1, 3, 255)
	return dhcp4.Query{EthSrc: b.MAC, Src: at, Dst: addr("192.0.2.2"), Message: m}
}

// options are what follows the magic cookie, up to the end option.
func options(t *testing.T, b nic.Binding) string {
	t.Helper()
	o := dhcp4.Answer(dhcp4.Server{Binding: &b, ID: addr("192.0.2.2")}, renewal(&b))
	if o.Reply == nil {
		t.Fatalf("no answer: %s", o.Reason)
	}
	m := o.Reply.Message
	if got := netip.AddrFrom4([4]byte(m[16:20])); got != b.Delivered().Addr() {
		t.Fatalf("yiaddr %s, want %s", got, b.Delivered().Addr())
	}
	text := hex.EncodeToString(m[240:])
	return text[:strings.LastIndex(text, "ff")]
}

func binding(t *testing.T, args string) nic.Binding {
	t.Helper()
	c, err := nimbus.ParseDHCPConfig(fields(args))
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Identity.ServedFrom([]netip.Prefix{netip.MustParsePrefix("192.0.2.2/24")}).Binding()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestAnswers: what a renewing guest is told is exactly what dhcp-config was
// given, from the identifier that it knows.
func TestAnswers(t *testing.T) {
	const (
		ack       = "350105"
		server    = "3604c0000202" // of vif0.0
		lease     = "330400015180"
		mask      = "0104ffffff00"
		router    = "0304c0000201"
		dns2      = "0608c0000235c0000236" // one option 6 with both: N3
		dns1      = "0604c0000235"
		hostname  = "0c03766d37"
		broadcast = "1c04c00002ff"
		times     = "3a040000a8c0" + "3b0400012750"
	)
	tests := []struct{ name, args, want string }{
		{"all of it", fullAdd, ack + server + lease + mask + router + dns2 + hostname + broadcast + times},
		{"one DNS server", strings.Replace(fullAdd, "192.0.2.54", "none", 1), ack + server + lease + mask + router + dns1 + hostname + broadcast + times},
		{"no hostname", strings.Replace(fullAdd, " vm7 ", " none ", 1), ack + server + lease + mask + router + dns2 + broadcast + times},
		{"a full hostname", strings.Replace(fullAdd, " vm7 ", " vm7.example.org ", 1), ack + server + lease + mask + router + dns2 + "0c0f766d372e6578616d706c652e6f7267" + broadcast + times},
		{"no gateway", strings.Replace(fullAdd, " 192.0.2.1 ", " none ", 1), ack + server + lease + mask + dns2 + hostname + broadcast + times},
		{
			"all that may be left out", "add vm7-0 192.0.2.10 vif0.0 A2:AA:BB:00:00:07 none none none none none none",
			ack + server + lease + mask + broadcast + times,
		},
	}
	for _, tt := range tests {
		if got := options(t, binding(t, tt.args)); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}
