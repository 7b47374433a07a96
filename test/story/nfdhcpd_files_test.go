package story_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/testenv"
)

// TestNFDHCPDMalformed: a file with one key wrong is told by file, line, key
// and value; its NIC keeps what it had, and the one beside it renews on.
func TestNFDHCPDMalformed(t *testing.T) {
	t.Parallel()
	s := newFormerSite(t, 300)
	s.start()
	s.bindFiles()
	bad, good := s.vms[0], s.vms[1]
	for _, c := range []struct{ key, value, want string }{
		{"IP", "203.0.113.999", ` "203.0.113.999": not an IPv4 address`},
		{"IP", "198.51.100.9", ` "198.51.100.9": not in SUBNET 203.0.113.0/24`},
		{"IP", "2001:db8::1", ` "2001:db8::1": not an IPv4 address`},
		{"MAC", "52:54:00:aa:00", ` "52:54:00:aa:00": not a MAC address such as 52:54:00:aa:00:01`},
		{"MAC", "", `: missing: a NIC needs its guest's MAC address`},
		{"MAC", "01:00:5e:00:00:01", ` "01:00:5e:00:00:01": a group address (IEEE 802 I/G bit) cannot be a source`},
		{"HOSTNAME", "not a name", ` "not a name": character ' ' is not allowed in a name (RFC 1123 section 2.1)`},
		{"INDEV", "no/where", ` "no/where": not the name of an interface`},
		{"SUBNET", "203.0.113.5/24", ` "203.0.113.5/24": host bits are set; the subnet is 203.0.113.0/24`},
		{"SUBNET", "203.0.113.0/33", ` "203.0.113.0/33": not an IPv4 subnet such as 192.0.2.0/24`},
		{"SUBNET", "", ` "203.0.113.11": needs SUBNET: without it nfdhcpd never answered`},
		{"GATEWAY", "router", ` "router": not an IPv4 address`},
		{"GATEWAY", "203.0.113.11", ` "203.0.113.11": the NIC's own address`},
		{"SUBNET6", "2001:db8:1::/65", ` "2001:db8:1::/65": autoconfiguration needs a /64 (RFC 4862 section 5.5.3)`},
		{"SUBNET6", "2001:db8:1::1/64", ` "2001:db8:1::1/64": host bits are set; the subnet is 2001:db8:1::/64`},
		{"GATEWAY6", "203.0.113.1", ` "203.0.113.1": not an IPv6 address`},
		{"GATEWAY6", "2001:db8:2::1", ` "2001:db8:2::1": not in SUBNET6 2001:db8:1::/64`},
		{"EUI64", "2001:db8:2::5054:ff:feaa:1", ` "2001:db8:2:0:5054:ff:feaa:1": not in SUBNET6 2001:db8:1::/64`},
		{"EUI64", "52:54:00:aa:00:01", ` "52:54:00:aa:00:01": not an IPv6 address`},
		{"MTU", "large", ` "large": not a number of bytes up to 65535`},
		{"MTU", "67", ` "67": at least 68 (RFC 791), or 0 to announce none`},
		{"MTU", "1000", ` "1000": at least 1280 for a NIC with IPv6 (RFC 8200 section 5), or 0 to announce none`},
		{"NAMESERVERS", "198.51.100.1,dns", ` "dns": not an IPv4 address`},
		{"NAMESERVERS6", "198.51.100.1", ` "198.51.100.1": not an IPv6 address`},
		{"GATEWAY6_MAC", "router", ` "router": not a MAC address such as 52:54:00:aa:00:01`},
	} {
		t.Run(c.key+"="+c.value, func(t *testing.T) {
			text := without(bad.bridgedFile(), c.key, c.key+"="+c.value)
			s.put("vm1", text)
			place := fmt.Sprintf("%d:1: %s", strings.Count(text, "\n"), c.key) // the last line is the mistake
			if c.key == "SUBNET" && c.value == "" {
				place = "2:1: IP" // which needs one
			}
			want := []string{filepath.Join(s.datapath, "vm1") + ":" + place + c.want}
			becomes(t, "what berth status tells", want, s.mistakes)
			v := s.waitState("vm1", api.Stale, soon)
			if got := "its file is broken; the last good version is in force: " + want[0]; v.Why != got {
				t.Errorf("why %q, want %q", v.Why, got)
			}
			for _, g := range []*guest{bad, good} {
				isTold(t, s.renewsOn(g), g.addr, g.whatNfdhcpdTold())
			}
			s.put("vm1", bad.bridgedFile())
			s.waitState("vm1", api.InForce, soon)
		})
	}
	s.settled(s.managed()...)
}

// TestNFDHCPDNotAFile: what stands in a file's place and is none costs its own
// NIC nothing, and others neither.
func TestNFDHCPDNotAFile(t *testing.T) {
	t.Parallel()
	s := newFormerSite(t, 300)
	s.start()
	s.bindFiles()
	file := filepath.Join(s.datapath, "vm1")
	for _, c := range []struct {
		want string
		make func() error
	}{
		{"a directory; only regular files are read", func() error { return os.Mkdir(file, 0o755) }},
		{"a symbolic link; only regular files are read", func() error { return os.Symlink("/etc/passwd", file) }},
		{"mode 0666 lets others write to it; remove that (chmod go-w)", func() error {
			if err := os.WriteFile(file, []byte(s.vms[0].bridgedFile()), 0o644); err != nil {
				return err
			}
			return os.Chmod(file, 0o666)
		}},
		{"not UTF-8 text", func() error { return os.WriteFile(file, []byte{0, 1, 0xff, 0xfe}, 0o644) }},
	} {
		aside := filepath.Join(s.datapath, ".aside")
		rename(t, file, aside)
		if err := c.make(); err != nil {
			t.Fatal(err)
		}
		testenv.Wait(t, soon, c.want, func() bool { return strings.Contains(strings.Join(s.mistakes(), "\n"), file+": "+c.want) })
		for _, g := range s.vms[:2] {
			isTold(t, s.renewsOn(g), g.addr, g.whatNfdhcpdTold())
		}
		if err := os.RemoveAll(file); err != nil {
			t.Fatal(err)
		}
		rename(t, aside, file)
		becomes(t, "what berth status tells", []string{}, func() []string { return append([]string{}, s.mistakes()...) })
	}
	s.settled(s.managed()...)
}
