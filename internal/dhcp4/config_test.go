package dhcp4

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/nic"
)

// optionCase asks for options of a changed binding.
type optionCase struct {
	change func(*nic.Binding)
	ask    string // the client's options besides 53
	want   string // after the head
}

// runOptions answers from a binding that sends only what is asked for, so the
// options are the head and the one under test.
func runOptions(t *testing.T, cases map[string]optionCase) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := quiet()
			if c.change != nil {
				c.change(b)
			}
			got := Answer(server(b), asks(t, packet{options: "350101" + c.ask}))
			wantOptions(t, isOffer+serverID+lease1d+c.want, got)
		})
	}
}

func TestAddressOptions(t *testing.T) {
	runOptions(t, map[string]optionCase{
		"1 mask":                  {nil, "370101", mask24},
		"1 of a /32":              {address("192.0.2.10/32"), "370101", "0104ffffffff"},
		"1 of a /31":              {address("192.0.2.10/31"), "370101", "0104fffffffe"},
		"1 of a /20":              {address("192.0.2.10/20"), "370101", "0104fffff000"},
		"1 of a /0":               {address("192.0.2.10/0"), "370101", "010400000000"},
		"3 router":                {nil, "370103", gateway},
		"3 without gateway":       {func(b *nic.Binding) { b.Gateway = netip.Addr{} }, "370103", ""},
		"3 without default route": {func(b *nic.Binding) { b.NoDefaultRoute = true }, "370103", ""},
		"3 of another family":     {func(b *nic.Binding) { b.Gateway = ip("2001:db8::1") }, "370103", ""},
		"6 is one option":         {nil, "370106", dns},
		"6 without servers":       {func(b *nic.Binding) { b.DNS = nil }, "370106", ""},
		"6 has IPv4 servers only": {func(b *nic.Binding) { b.DNS = []netip.Addr{ip("2001:db8::53"), ip("192.0.2.53")} }, "370106", "0604c0000235"},
		"28 derived":              {nil, "37011c", broadcast},
		"28 of a /20":             {address("192.0.2.10/20"), "37011c", "1c04c0000fff"},
		"28 of a /30":             {address("192.0.2.10/30"), "37011c", "1c04c000020b"},
		"28 of a /31":             {address("192.0.2.10/31"), "37011c", ""},
		"28 of a /32":             {address("192.0.2.10/32"), "37011c", ""},
		"28 declared":             {func(b *nic.Binding) { b.Broadcast = ip("192.0.2.127") }, "37011c", "1c04c000027f"},
	})
}

func TestNameOptions(t *testing.T) {
	runOptions(t, map[string]optionCase{
		"12 host name":             {nil, "37010c", hostname},
		"12 of an FQDN":            {host("www.example.net", ""), "37010c", "0c03777777"},
		"12 of nobody":             {host("", "example.org"), "37010c", ""},
		"15 domain":                {nil, "37010f", domain},
		"15 from the FQDN":         {host("www.example.net", ""), "37010f", "0f0b6578616d706c652e6e6574"},
		"15 from an absolute FQDN": {host("www.example.net.", ""), "37010f", "0f0b6578616d706c652e6e6574"},
		"15 declared wins":         {host("www.example.net", "a.test"), "37010f", "0f06612e74657374"},
		"15 of a label":            {host("www", ""), "37010f", ""},
		"119 search list":          {search("example.org", "a.test."), "370177", "7715" + "076578616d706c65036f726700" + "0161047465737400"},
		"119 leaves out bad names": {search("a..b", "ok"), "370177", "7704026f6b00"},
		"119 without names":        {nil, "370177", ""},
	})
}

func TestOtherOptions(t *testing.T) {
	runOptions(t, map[string]optionCase{
		"26 MTU":                 {func(b *nic.Binding) { b.MTU = 1450 }, "37011a", "1a0205aa"},
		"26 not declared":        {nil, "37011a", ""},
		"26 least":               {func(b *nic.Binding) { b.MTU = 68 }, "37011a", "1a020044"},
		"26 too small":           {func(b *nic.Binding) { b.MTU = 67 }, "37011a", ""},
		"42 NTP":                 {func(b *nic.Binding) { b.NTP = []netip.Addr{ip("192.0.2.123")} }, "37012a", "2a04c000027b"},
		"58 and 59":              {nil, "37023b3a", t2 + t1Half},
		"114 when asked":         {func(b *nic.Binding) { b.CaptivePortal = "http://p/" }, "370172", "7209687474703a2f2f702f"},
		"114 not asked":          {func(b *nic.Binding) { b.CaptivePortal = "http://p/" }, "", ""},
		"108 when asked":         {func(b *nic.Binding) { b.DHCP4.V6OnlyWait = 1800 }, "37016c", "6c0400000708"},
		"108 not configured":     {nil, "37016c", ""},
		"108 not asked":          {func(b *nic.Binding) { b.DHCP4.V6OnlyWait = 1800 }, "", ""},
		"33 is never generated":  {route("203.0.113.0/24", "192.0.2.254"), "370121", ""},
		"own option":             {own(43, "0102ff"), "37012b", "2b030102ff"},
		"own option unasked":     {own(43, "0102ff"), "", ""},
		"own wins over derived":  {own(6, "c0000235"), "370106", "0604c0000235"},
		"own with the basics":    {own(26, "0578"), "37011a", "1a020578"},
		"own 108":                {own(108, "00000258"), "37016c", "6c0400000258"},
		"116 is answered if own": {own(116, "01"), "740101370174", "740101"},
		"118 is ignored":         {nil, "7604cb007100370101", mask24},
	})
}

// A mapped IPv6 form of an address is the same address.
func TestMappedAddresses(t *testing.T) {
	got := Answer(server(quiet(netboot, func(b *nic.Binding) {
		b.Gateway, b.Broadcast = ip("::ffff:192.0.2.1"), ip("::ffff:192.0.2.255")
		b.DNS = []netip.Addr{ip("::ffff:198.51.100.1"), ip("::ffff:198.51.100.2")}
		b.DHCP4.Boot = nic.Boot{NextServer: ip("::ffff:192.0.2.5")}
		route("10.0.0.0/8", "::ffff:192.0.2.254")(b)
	})), asks(t, packet{options: "350101 370403061c79"}))
	want := packet{
		yiaddr: "192.0.2.10", siaddr: "192.0.2.5",
		options: isOffer + serverID + lease1d + gateway + dns + broadcast + "790b" + "080ac00002fe" + "00c0000201",
	}
	check(t, answered("DISCOVER", "OFFER", "192.0.2.10", replies(t, guestMAC(), "192.0.2.10", want)), got)
}

// The longest label has 63 bytes, the longest name 255 with its root (RFC 1035
// 2.3.4).
func TestLongNames(t *testing.T) {
	label := strings.Repeat("a", 63)
	three := label + "." + label + "." + label + "."
	for name, c := range map[string]struct {
		search string
		fits   bool
	}{
		"label of 63":  {label, true},
		"label of 64":  {label + "a", false},
		"name of 255":  {three + strings.Repeat("b", 61), true},
		"name of 256":  {three + strings.Repeat("b", 62), false},
		"empty":        {"", false},
		"root":         {".", false},
		"only dots":    {"..", false},
		"leading dot":  {".a", false},
		"double ended": {"a..", false},
	} {
		t.Run(name, func(t *testing.T) {
			want := "7703016100" // "a" alone
			if c.fits {
				want = ""
				for l := range strings.SplitSeq(c.search, ".") {
					want += fmt.Sprintf("%02x", len(l)) + text(l)
				}
				want = filledWith(119, want+"00"+"016100")
			}
			b := quiet(search(c.search, "a"))
			got := Answer(server(b), asks(t, packet{options: "350101 370177 390205dc"}))
			wantOptions(t, isOffer+serverID+lease1d+want, got)
		})
	}
}

// filledWith splits data, in hex, by RFC 3396.
func filledWith(code uint8, data string) string {
	var s string
	for len(data) > 0 {
		n := min(len(data), 2*255)
		s += fmt.Sprintf("%02x%02x", code, n/2) + data[:n]
		data = data[n:]
	}
	return s
}

func address(p string) func(*nic.Binding) {
	return func(b *nic.Binding) { b.Addresses = prefixes(p) }
}

func host(name, domain string) func(*nic.Binding) {
	return func(b *nic.Binding) { b.Hostname, b.Domain = name, domain }
}

func search(names ...string) func(*nic.Binding) {
	return func(b *nic.Binding) { b.Search = names }
}

func route(to, via string) func(*nic.Binding) {
	return func(b *nic.Binding) {
		b.Routes = append(b.Routes, nic.Route{To: netip.MustParsePrefix(to), Via: ip(via)})
	}
}

func own(code uint8, data string) func(*nic.Binding) {
	return func(b *nic.Binding) {
		var v []byte
		for i := 0; i < len(data); i += 2 {
			v = append(v, nibble(data[i])<<4|nibble(data[i+1]))
		}
		b.DHCP4.Options = append(b.DHCP4.Options, nic.Option{Code: code, Data: v})
	}
}

func nibble(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

// What belongs to the protocol never comes from a binding, asked for or not.
func TestReservedOptionsAreNeverTheBindings(t *testing.T) {
	b := web1()
	list := "370d"
	for _, code := range []string{"00", "32", "33", "34", "35", "36", "37", "39", "3d", "50", "51", "52", "ff"} {
		own(unhex(t, code)[0], "c0000263")(b)
		list += code
	}
	got := Answer(server(b), asks(t, packet{options: "350101" + list}))
	wantOptions(t, isOffer+serverID+lease1d+basicSet, got)
}

// A client's own host name changes nothing (V4-30).
func TestClientHostnameIsIgnored(t *testing.T) {
	got := Answer(server(web1()), asks(t, packet{options: "350101 0c10" + "610a6c65617365207b0a7d2428726562"}))
	wantOptions(t, isOffer+serverID+lease1d+basicSet, got)
}

// Option 81 is answered with the binding's own name, S=0 O=1 N=1, in the
// encoding of the client (V4-30, RFC 4702).
func TestClientFQDN(t *testing.T) {
	for name, c := range map[string]struct {
		change    func(*nic.Binding)
		ask, want string
	}{
		"ASCII":                   {nil, "5106010000" + "616263", "51130affff" + "776562312e6578616d706c652e6f7267"},
		"encoded":                 {nil, "5105050000" + "0161", "51150effff" + "0477656231076578616d706c65036f726700"},
		"all flags of the client": {nil, "5103ff0000", "51150effff" + "0477656231076578616d706c65036f726700"},
		"FQDN as host name":       {host("a.test", ""), "5103000000", "51090affff" + "612e74657374"},
		"partial":                 {host("a", ""), "5103040000", "51050effff" + "0161"},
		"partial, ASCII":          {host("a", ""), "5103000000", "51040affff" + "61"},
		"none":                    {host("", "example.org"), "5103040000", "51030effff"},
	} {
		t.Run(name, func(t *testing.T) {
			b := changed(func(b *nic.Binding) { b.DHCP4.OnlyRequested = true })
			if c.change != nil {
				c.change(b)
			}
			got := Answer(server(b), asks(t, packet{options: "350101" + c.ask}))
			wantOptions(t, isOffer+serverID+lease1d+c.want, got)
		})
	}
	refusal := Answer(server(web1()), asks(t, packet{options: "350103 5103000000"}))
	wantOptions(t, isNak+serverID+refused, refusal)
}
