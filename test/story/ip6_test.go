package story_test

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/berth-net/berth/internal/datapath"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
	"github.com/berth-net/berth/internal/wire"
)

// The site's IPv6: a router, which is also the host that guests ping, with an
// address in the subnet of the VMs' addresses.
const (
	siteRouter = "fe80::1"
	siteHost   = "2001:db8:1::1"
)

// soon is for what takes a client's or a kernel's own time: a moment, unless
// the machine is busy.
const soon = 60 * time.Second

// newSite6 is a site whose router speaks IPv6, too. It advertises nothing and
// has every VM's prefix on its link.
func newSite6(t testing.TB) *site {
	t.Helper()
	s := newSite(t, "")
	s.lan.six(map[string]string{"accept_ra": "0", "addr_gen_mode": "1"})
	s.lan.Sh(`ip address add ` + siteRouter + `/64 dev eth0 nodad
ip address add ` + siteHost + `/64 dev eth0 nodad
ip route add 2001:db8:a::/64 dev eth0`)
	return s
}

// six switches IPv6 on in a guest's kernel, with settings of its eth0.
func (g *guest) six(settings map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		g.Sysctl("net.ipv6.conf.eth0."+k, settings[k])
	}
	g.Sysctl("net.ipv6.conf.eth0.disable_ipv6", "0")
}

// bindKeys declares a NIC by its own keys and waits for it.
func (s *site) bindKeys(g *guest, keys string) {
	s.t.Helper()
	s.write(g.port+".yaml", g.keys(keys))
	s.attach(g.port)
}

func (g *guest) keys(keys string) string {
	return fmt.Sprintf("nic: %s\nmac: %s\n%s", g.port, g.mac, keys)
}

// becomes asks until it gets what it wants, and ends the test with the
// difference if it does not.
func becomes[T any](t testing.TB, what string, want T, get func() T) {
	t.Helper()
	deadline := time.Now().Add(testenv.Limit(t, soon))
	for {
		diff := cmp.Diff(want, get(), sameAddr())
		if diff == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s (-want +got):\n%s", what, diff)
		}
		time.Sleep(20 * time.Millisecond) // get may start a program
	}
}

func sameAddr() cmp.Option {
	return cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
}

// held is one address as the guest's kernel has it.
type held struct {
	Addr      netip.Addr `json:"local"`
	Bits      int        `json:"prefixlen"`
	Temporary bool       `json:"temporary"`
	Stable    bool       `json:"stable-privacy"`
	Tentative bool       `json:"tentative"`
	DADFailed bool       `json:"dadfailed"`
	Ended     bool       `json:"deprecated"`
	Valid     uint32     `json:"valid_life_time"`
	Preferred uint32     `json:"preferred_life_time"`
}

// held6 is what the guest's kernel has on eth0 of IPv6.
func (g *guest) held6(t testing.TB) []held { return g.heldOn(t, "-6", "eth0") }

func (g *guest) heldOn(t testing.TB, family, iface string) []held {
	t.Helper()
	var links []struct {
		List []held `json:"addr_info"`
	}
	g.ipJSON(t, &links, family, "address", "show", "dev", iface)
	var list []held
	for _, l := range links { // ip has empty ones beside it
		list = append(list, l.List...)
	}
	return slices.DeleteFunc(list, func(h held) bool { return !h.Addr.IsValid() })
}

func (g *guest) ipJSON(t testing.TB, into any, args ...string) {
	t.Helper()
	out := g.Exec(append([]string{"ip", "-json"}, args...)...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatalf("ip %v: %v\n%s", args, err, out)
	}
}

// usable are the addresses of both families that the guest may speak from and
// that are more than link-local, sorted.
func (g *guest) usable(t testing.TB) []string {
	t.Helper()
	list := []string{}
	for _, h := range append(g.heldOn(t, "-4", "eth0"), g.held6(t)...) {
		if !h.Addr.IsLinkLocalUnicast() && !h.Tentative && !h.DADFailed && !h.Ended {
			list = append(list, fmt.Sprintf("%s/%d", h.Addr, h.Bits))
		}
	}
	slices.Sort(list)
	return list
}

// getsExactly waits until the guest has these addresses and no others.
func (g *guest) getsExactly(t testing.TB, want ...string) {
	t.Helper()
	slices.Sort(want)
	becomes(t, "addresses of "+g.port, append([]string{}, want...), func() []string { return g.usable(t) })
}

// route is one of the guest's routes.
type route struct {
	To      string           `json:"dst"`
	Via     string           `json:"gateway"`
	Pref    string           `json:"pref"`
	Metrics []map[string]int `json:"metrics"`
	Expires int              `json:"expires"`
}

// defaults are the next hops of the guest's default routes.
func (g *guest) defaults(t testing.TB, family string) []string {
	t.Helper()
	var routes []route
	g.ipJSON(t, &routes, family, "route", "show", "default")
	via := []string{}
	for _, r := range routes {
		via = append(via, r.Via)
	}
	return via
}

// dropped is how many of the guest's frames were dropped for a reason.
func (s *site) dropped(g *guest, why string) int {
	s.t.Helper()
	c := s.show(g.port).Counters
	if c == nil {
		return 0
	}
	return int(c.Dropped[why])
}

// lastRA is the newest router advertisement that was seen, in hex but for its
// checksum, cut before each option; nil if there is none.
func lastRA(ear *testenv.Sniffer) []string {
	for _, f := range slices.Backward(ear.Frames()) {
		if m, ok := icmpIn(f); ok && m.Message[0] == routerAdvertisement {
			return raParts(m.Message)
		}
	}
	return nil
}

func raParts(m []byte) []string {
	if len(m) < 16 {
		return []string{hex.EncodeToString(m)}
	}
	parts := []string{hex.EncodeToString(m[:2]) + "----" + hex.EncodeToString(m[4:16])}
	for m = m[16:]; len(m) > 0; {
		size := len(m) // what is no option is shown whole
		if size > 1 && m[1] > 0 {
			size = min(size, int(m[1])*8)
		}
		parts = append(parts, hex.EncodeToString(m[:size]))
		m = m[size:]
	}
	return parts
}

// ra6 is a router advertisement of the site's own, with one prefix to make
// addresses of.
func ra6(mac nic.MAC, from, prefix string) []byte {
	m := []byte{routerAdvertisement, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0}
	m = append(m, 3, 4, 64, 0xc0)
	m = binary.BigEndian.AppendUint32(m, 5000)
	m = binary.BigEndian.AppendUint32(m, 3000)
	m = append(m, 0, 0, 0, 0)
	m = append(m, ip(prefix).AsSlice()...)
	return wire.AppendICMP6(nil, wire.ICMP6{
		EthSrc: mac, EthDst: wire.GroupMAC(ip("ff02::1")), Src: ip(from), Dst: ip("ff02::1"), HopLimit: 255, Message: m,
	})
}

// message6In decodes the DHCPv6 message in a frame, of either side, with a
// decoder that is not berth's; nil if there is none.
func message6In(f testenv.Frame) *dhcpv6.Message {
	u, err := wire.ParseUDP6(f.Data)
	if err != nil || u.DstPort != 546 && u.DstPort != 547 {
		return nil
	}
	m, err := dhcpv6.MessageFromBytes(u.Payload)
	if err != nil {
		return nil
	}
	return m
}

// dhcp6Of matches one type of DHCPv6 message.
func dhcp6Of(kind dhcpv6.MessageType) testenv.Filter {
	return func(f testenv.Frame) bool {
		m := message6In(f)
		return m != nil && m.MessageType == kind
	}
}

// replyTo6 matches the answer to one DHCPv6 message.
func replyTo6(xid dhcpv6.TransactionID) testenv.Filter {
	return func(f testenv.Frame) bool {
		m := message6In(f)
		return m != nil && m.MessageType == dhcpv6.MessageTypeReply && m.TransactionID == xid
	}
}

// given are the addresses and prefixes in a DHCPv6 message, each with its
// preferred and valid lifetime, in order.
func given(m *dhcpv6.Message) []string {
	list := []string{}
	for _, ia := range m.Options.IANA() {
		for _, a := range ia.Options.Addresses() {
			list = append(list, fmt.Sprintf("%s %.0f %.0f", a.IPv6Addr, a.PreferredLifetime.Seconds(), a.ValidLifetime.Seconds()))
		}
	}
	for _, ia := range m.Options.IAPD() {
		for _, p := range ia.Options.Prefixes() {
			list = append(list, fmt.Sprintf("%s %.0f %.0f", p.Prefix, p.PreferredLifetime.Seconds(), p.ValidLifetime.Seconds()))
		}
	}
	return list
}

// contained6 asserts that no other port saw a guest ask for a router or for
// DHCPv6, and no port at all an answer to either, but on its way out to whom it
// is for.
func (w *watch) contained6() {
	w.s.t.Helper()
	for _, g := range w.s.vms {
		w.nowhere(g.port, "what "+g.port+" asks of berth", both(from(g.mac), isControl6))
	}
	for port, sniffer := range w.at {
		sniffer.None("an answer of berth's at "+port, func(f testenv.Frame) bool {
			u, err := wire.ParseUDP6(f.Data)
			return !onItsWay(f) && (err == nil && u.DstPort == 546 || isND(routerAdvertisement)(f))
		})
	}
}

// onItsWay matches what the kernel replies, leaving by the NIC whose guest has
// asked.
func onItsWay(f testenv.Frame) bool { return f.Outgoing && f.Mark == datapath.ReplyMark }

// ipv6 matches any frame of IPv6.
func ipv6(f testenv.Frame) bool {
	return len(f.Data) >= 14 && strings.HasPrefix(string(f.Data[12:14]), "\x86\xdd")
}
