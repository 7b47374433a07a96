package libvirt

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/compat"
	"github.com/berth-net/berth/internal/compat/compattest"
	"github.com/berth-net/berth/internal/nic"
)

func TestImport(t *testing.T) {
	r := Parse(compat.Input{Files: compattest.Files(t, "domain.xml", "network.xml")})
	carried := compattest.Golden(t, "import.golden", r)
	b := &carried[len(carried)-2].Binding
	address, told := compattest.Renew(t, b, 3, 6, 12, 15, 67)
	if b.NIC != "vnet0" || address != netip.MustParseAddr("192.168.122.10") {
		t.Errorf("%s renewed %v", b.NIC, address)
	}
	compattest.Told(t, told, map[byte][]byte{
		54: {192, 168, 122, 1}, 51: {0, 0, 28, 32}, 3: {192, 168, 122, 1}, 6: {192, 168, 122, 1}, 12: []byte("web"),
		15: []byte("vms.example.net"), 67: []byte("pxelinux.0"),
	})
}

func TestNames(t *testing.T) {
	names := compat.Names{}
	notes := Names(append(compattest.Files(t, "domain.xml"), compat.File{Name: "bad", Data: []byte("<domain>")}), names)
	want := compat.Names{
		nic.MAC{0x52, 0x54, 0, 0xaa, 0, 7}: {"vnet0"},
		nic.MAC{0x52, 0x54, 0, 0xaa, 0, 8}: {"vnet1"},
	}
	if diff := cmp.Diff(want, names); diff != "" || len(notes) != 1 {
		t.Errorf("%s %v", diff, notes)
	}
}

// TestMistakes: each is told with its place.
func TestMistakes(t *testing.T) {
	network := func(dhcp string) string {
		return "<network><name>n</name><ip address='192.0.2.1' prefix='24'><dhcp>\n" + dhcp + "</dhcp></ip></network>"
	}
	for _, c := range []struct{ text, want string }{
		{"<network>\n<name>", "f:2: unexpected EOF; the file is not read"},
		{"<pool/>", "f:1: has neither a network nor a domain"},
		{strings.Repeat("<a>", 70), "nested too deep"},
		{"<network><ip address='192.0.2.1'/></network>", "f:1: network : an address without its netmask"},
		{network("<host name='a' ip='192.0.2.9'/>"), "f:2: host 192.0.2.9 is not carried: it has no Ethernet address"},
		{network("<host mac='52:54:00:aa:00:01' ip='203.0.113.9'/>"), "f:2: host 203.0.113.9 is not carried: its address is not in 192.0.2.0/24"},
		{network("<host mac='52:54:00:aa:00:01' ip='192.0.2.9'><lease expiry='x'/></host>"), "the lease is not a number"},
		{network("<range start='192.0.2.2' end='192.0.2.9'/>"), "f:2: network n: <range> is not carried"},
		{"<domain><devices><interface>\n<mac address='x'/></interface></devices></domain>", `an interface is not carried: "x" is not a MAC`},
		{"<domain><devices><interface><mac address='52:54:00:aa:00:01'/>\n<filterref filter='mine'/></interface></devices></domain>", "f:2: domain : 52:54:00:aa:00:01: filter mine is not carried"},
	} {
		r := Parse(compat.Input{Files: []compat.File{{Name: "f", Data: []byte(c.text)}}})
		if !slices.ContainsFunc(r.Notes, func(n compat.Note) bool { return strings.Contains(n.String(), c.want) }) {
			t.Errorf("%q: %v, want %q", c.text, r.Notes, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, file := range compattest.Files(f, "network.xml", "domain.xml") {
		f.Add(file.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, n := range Parse(compat.Input{Files: []compat.File{{Name: "f", Data: data}}}).Notes {
			if n.Place.File != "f" {
				t.Errorf("a note of nowhere: %v", n)
			}
		}
	})
}
