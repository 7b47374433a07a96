package link

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func dumpIn(t testing.TB, ns *testenv.NS) []plan.Link {
	t.Helper()
	var links []plan.Link
	var err error
	ns.Do(func() { links, err = new(Watcher).Dump() })
	if err != nil {
		t.Fatal(err)
	}
	return links
}

// one returns the link of that name, the zero Link if there is none.
func one(t testing.TB, ns *testenv.NS, name string) plan.Link {
	t.Helper()
	for _, l := range dumpIn(t, ns) {
		if l.Name == name {
			return l
		}
	}
	return plan.Link{}
}

// truth is the same through iproute2.
func truth(t testing.TB, ns *testenv.NS) []plan.Link {
	t.Helper()
	var shown []struct {
		Ifindex   int
		Ifname    string
		Flags     []string
		MTU       int
		Operstate string
		Master    string
		Address   string
		LinkType  string `json:"link_type"`
		Linkinfo  struct {
			Kind string `json:"info_kind"`
		}
		AddrInfo []struct {
			Local  netip.Addr
			Family string
		} `json:"addr_info"`
	}
	if err := json.Unmarshal([]byte(ns.Exec("ip", "-d", "-j", "addr", "show")), &shown); err != nil {
		t.Fatal(err)
	}
	index := map[string]int{}
	for _, s := range shown {
		index[s.Ifname] = s.Ifindex
	}
	var out []plan.Link
	for _, s := range shown {
		l := plan.Link{
			Index: s.Ifindex, Name: s.Ifname, Kind: s.Linkinfo.Kind, Ethernet: s.LinkType == "ether",
			Up: slices.Contains(s.Flags, "UP"), Loopback: slices.Contains(s.Flags, "LOOPBACK"),
			OperState: strings.ToLower(s.Operstate), Master: index[s.Master], MTU: s.MTU,
		}
		if l.Ethernet {
			mac, err := nic.ParseMAC(s.Address)
			if err != nil {
				t.Fatal(err)
			}
			l.MAC = mac
		}
		for _, a := range s.AddrInfo {
			if a.Family == "inet" {
				l.IPv4 = append(l.IPv4, a.Local)
			}
		}
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b plan.Link) int { return a.Index - b.Index })
	return out
}

func compare(t testing.TB, ns *testenv.NS) {
	t.Helper()
	if diff := diffTruth(t, ns); diff != "" {
		t.Errorf("Dump differs from iproute2 (-iproute2 +Dump):\n%s", diff)
	}
}

// settled waits until both show the same: they look one after the other, and
// carriers take their time.
func settled(t testing.TB, ns *testenv.NS) {
	t.Helper()
	var diff string
	defer func() {
		if diff != "" {
			t.Logf("Dump differs from iproute2 (-iproute2 +Dump):\n%s", diff)
		}
	}()
	testenv.Wait(t, 10*time.Second, "ip and Dump to show the same", func() bool {
		diff = diffTruth(t, ns)
		return diff == ""
	})
}

func diffTruth(t testing.TB, ns *testenv.NS) string {
	t.Helper()
	return cmp.Diff(truth(t, ns), dumpIn(t, ns), cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }))
}

var guestMAC = nic.MAC{0x52, 0x54, 0, 0xaa, 0, 1}

func TestKernelDump(t *testing.T) {
	host, guest := testenv.NewNS(t), testenv.NewNS(t)
	testenv.Veth(t, host, "veth1", guest, "eth0", guestMAC)
	testenv.Tap(t, host, "tap7")
	testenv.Bridge(t, host, "br0", "tap7")
	host.Sh(`ip link add down0 type veth peer name down1
		ip link set down0 mtu 9000
		ip addr add 10.0.0.1/24 dev veth1
		ip addr add 10.0.0.5/24 dev veth1
		ip addr add 192.0.2.1 peer 192.0.2.2 dev veth1
		ip -6 addr add fd00::1/64 dev veth1
		ip link property add dev down0 altname tap99`)
	settled(t, host)
	settled(t, guest)

	got := one(t, host, "tap7")
	want := plan.Link{
		Index: host.Index("tap7"), Name: "tap7", MAC: host.MAC("tap7"), Kind: "tun", Ethernet: true, Up: true,
		OperState: got.OperState, Master: host.Index("br0"), MTU: 1500,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tap7 (-want +got):\n%s", diff)
	}
	v := one(t, host, "veth1")
	addrs := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("192.0.2.1")}
	for _, a := range addrs {
		if !slices.Contains(v.IPv4, a) {
			t.Errorf("veth1 lacks %s: %v", a, v.IPv4)
		}
	}
	if len(v.IPv4) != 3 || slices.Index(v.IPv4, addrs[0]) > slices.Index(v.IPv4, addrs[1]) {
		t.Errorf("veth1 has %v, want the primary before the secondary and no peer", v.IPv4)
	}
	if l := one(t, host, "tap99"); l.Index != 0 {
		t.Errorf("an alternative name is a link: %+v", l)
	}
	lo := one(t, host, "lo")
	if !lo.Loopback || lo.Ethernet || lo.Kind != "" || !lo.MAC.IsZero() {
		t.Errorf("lo is %+v", lo)
	}
}

// TestKernelOperState: drivers of some taps and of lo never set it.
func TestKernelOperState(t *testing.T) {
	ns := testenv.NewNS(t)
	ns.Exec("ip", "tuntap", "add", "tap0", "mode", "tap")
	for _, c := range []struct{ cmd, want string }{
		{"up", "down"}, // nobody holds the other end: no carrier
		{"down", "down"},
	} {
		ns.Exec("ip", "link", "set", "tap0", c.cmd)
		testenv.Wait(t, 10*time.Second, "tap0 "+c.want, func() bool { return one(t, ns, "tap0").OperState == c.want })
	}
	tap := testenv.Tap(t, ns, "tap1")
	testenv.Wait(t, 10*time.Second, "a held tap to be up or unknown", func() bool {
		s := one(t, ns, tap.Name).OperState
		return s == "up" || s == "unknown"
	})
	if got := one(t, ns, "lo").OperState; got != "unknown" {
		t.Errorf("lo is %q, want unknown", got)
	}
}

// TestKernelChanges: each change is announced, and the dump after it shows it.
func TestKernelChanges(t *testing.T) {
	host, other := testenv.NewNS(t), testenv.NewNS(t)
	wakes := run(t, host, &Watcher{})
	var first int
	for _, step := range []struct {
		cmd  string
		want func() bool
	}{
		{"ip link add tap7 index 77 type veth peer name p7", func() bool { return one(t, host, "tap7").Index == 77 }},
		{"ip link set tap7 address 52:54:00:00:00:07", func() bool { return one(t, host, "tap7").MAC == nic.MAC{0x52, 0x54, 0, 0, 0, 7} }},
		{"ip link set tap7 name tap8", func() bool { return one(t, host, "tap8").Index == 77 && one(t, host, "tap7").Index == 0 }},
		{"ip link set tap8 up", func() bool { return one(t, host, "tap8").Up }},
		{"ip addr add 10.9.9.9/24 dev tap8", func() bool { return len(one(t, host, "tap8").IPv4) == 1 }},
		{"ip addr flush dev tap8", func() bool { return len(one(t, host, "tap8").IPv4) == 0 }},
		{"ip link add br0 type bridge && ip link set tap8 master br0", func() bool { return one(t, host, "tap8").Master == one(t, host, "br0").Index }},
		{"ip link set tap8 nomaster", func() bool { return one(t, host, "tap8").Master == 0 }},
		{"ip link set tap8 mtu 1400", func() bool { return one(t, host, "tap8").MTU == 1400 }},
		{"ip link set tap8 netns " + other.Name, func() bool { return one(t, host, "tap8").Index == 0 && one(t, other, "tap8").Index == 77 }},
		{"ip -n " + other.Name + " link set tap8 netns " + host.Name, func() bool { return one(t, host, "tap8").Index == 77 }},
		{"ip link del tap8", func() bool { return one(t, host, "tap8").Index == 0 }},
		{"ip link add tap8 type veth peer name p7", func() bool { first = one(t, host, "tap8").Index; return first != 77 && first != 0 }},
		{"ip link del tap8; ip link add vnet1 index 77 type veth peer name p7", func() bool { return one(t, host, "vnet1").Index == 77 }}, // index used again
	} {
		before := wakes.Load()
		host.Sh(step.cmd)
		testenv.Wait(t, 10*time.Second, "a wake for "+step.cmd, func() bool { return wakes.Load() > before })
		if !step.want() {
			t.Errorf("after %s the dump is %+v", step.cmd, dumpIn(t, host))
		}
	}
}

// run starts a watcher in ns and counts its wakes, from the first on.
func run(t testing.TB, ns *testenv.NS, w *Watcher) *atomic.Int64 {
	t.Helper()
	var wakes atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	ns.Go(func() {
		if err := w.Run(ctx, func() { wakes.Add(1) }); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(cancel)
	testenv.Wait(t, 10*time.Second, "the first wake", func() bool { return wakes.Load() == 1 })
	return &wakes
}

func TestKernelPeriod(t *testing.T) {
	wakes := run(t, testenv.NewNS(t), &Watcher{Period: 5 * time.Millisecond})
	testenv.Wait(t, 10*time.Second, "wakes without events", func() bool { return wakes.Load() >= 5 })
}

// batch makes iproute2 do many things in one process.
func batch(t testing.TB, ns *testenv.NS, lines []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "batch")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	ns.Exec("ip", "-batch", file)
}

func createStorm(prefix string, pairs int) []string {
	var lines []string
	for i := range pairs {
		lines = append(lines, fmt.Sprintf("link add %s%d group 9 type veth peer name %sp%d", prefix, i, prefix, i))
	}
	return lines
}

// TestKernelStorm: 1,000 links come and go and come, and the dump after the
// last wake is the truth; the wakes are as many as the pace allows, not as
// many as the events.
func TestKernelStorm(t *testing.T) {
	for _, buffer := range []int{0, 1} { // 1 is the kernel's least and overflows
		t.Run(fmt.Sprintf("buffer=%d", buffer), func(t *testing.T) {
			ns := testenv.NewNS(t)
			start := time.Now()
			var last atomic.Pointer[[]plan.Link] // what an agent would know
			var wakes atomic.Int64
			ctx, cancel := context.WithCancel(context.Background())
			ns.Go(func() {
				w := Watcher{ReceiveBuffer: buffer}
				err := w.Run(ctx, func() {
					wakes.Add(1)
					if links, err := w.Dump(); err == nil {
						last.Store(&links)
					}
				})
				if err != nil {
					t.Error(err)
				}
			})
			t.Cleanup(cancel)
			batch(t, ns, createStorm("a", 500))
			ns.Exec("ip", "link", "del", "group", "9")
			batch(t, ns, createStorm("b", 500))
			ns.Exec("ip", "link", "set", "b7", "name", "last")
			testenv.Wait(t, 5*time.Second, "the watcher to know the truth", func() bool {
				known := last.Load()
				return known != nil && cmp.Equal(dumpIn(t, ns), *known, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }))
			})
			compare(t, ns)
			if got := len(dumpIn(t, ns)); got != 1001 {
				t.Errorf("%d links, want 1000 and lo", got)
			}
			most := int64(time.Since(start)/pace) + 2
			t.Logf("%d wakes in %v", wakes.Load(), time.Since(start))
			if got := wakes.Load(); got > most {
				t.Errorf("%d wakes in %v, want at most %d", got, time.Since(start), most)
			}
		})
	}
}

// TestKernelOverflow: the loss itself wakes, and the watcher goes on.
func TestKernelOverflow(t *testing.T) {
	ns := testenv.NewNS(t)
	var wakes atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	blocked, flooded := make(chan struct{}), make(chan struct{})
	ns.Go(func() {
		w := Watcher{ReceiveBuffer: 1, Period: time.Hour}
		err := w.Run(ctx, func() {
			if wakes.Add(1) == 1 {
				close(blocked)
				<-flooded
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(cancel)
	<-blocked
	batch(t, ns, createStorm("a", 50))
	close(flooded)
	testenv.Wait(t, 10*time.Second, "a wake for the loss", func() bool { return wakes.Load() > 1 })
	before := wakes.Load()
	ns.Exec("ip", "link", "set", "a7", "name", "last")
	testenv.Wait(t, 10*time.Second, "a wake for a later change", func() bool { return wakes.Load() > before })
}

func BenchmarkDump4000(b *testing.B) {
	ns := testenv.NewNS(b)
	batch(b, ns, createStorm("a", 2000))
	ns.Do(func() {
		for b.Loop() {
			if links, err := new(Watcher).Dump(); err != nil || len(links) != 4001 {
				b.Fatal(len(links), err)
			}
		}
	})
}

func attr(kind uint16, v string) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(v)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), v...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func TestParseBounds(t *testing.T) {
	m := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint16(m[2:], unix.ARPHRD_ETHER)
	binary.NativeEndian.PutUint32(m[4:], 77)
	m = append(m, attr(unix.IFLA_IFNAME, "tap7\x00")...)
	m = append(m, attr(unix.IFLA_ADDRESS, "12345678")...) // not 6 bytes: no MAC
	m = append(m, attr(unix.IFLA_LINKINFO|unix.NLA_F_NESTED, string(attr(unix.IFLA_INFO_KIND, "tun\x00")))...)
	m = append(m, attr(unix.IFLA_MTU, "xy")...) // too short
	got, err := parseLink(m)
	want := plan.Link{Index: 77, Name: "tap7", Kind: "tun", Ethernet: true, OperState: "unknown"}
	if err != nil || !cmp.Equal(want, got) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for n := range unix.SizeofIfInfomsg {
		if _, err := parseLink(m[:n]); err == nil {
			t.Errorf("a link message of %d bytes was accepted", n)
		}
	}
	bad := append(slices.Clone(m), 200, 0, 3, 0)
	if _, err := parseLink(bad); err == nil || err.Error() != "link tap7#77: attribute of 200 bytes in 4" {
		t.Errorf("an attribute longer than the message: %v", err)
	}
	if _, _, err := parseAddr(m[:4]); err == nil {
		t.Error("a short address message was accepted")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(append(make([]byte, 16), attr(unix.IFLA_LINKINFO, string(attr(unix.IFLA_INFO_KIND, "tun")))...))
	f.Add(append(make([]byte, 8), attr(unix.IFA_LOCAL, "\x0a\x00\x00\x01")...))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = parseLink(b) // must not panic
		_, addr, err := parseAddr(b)
		if err == nil && addr.IsValid() && !addr.Is4() {
			t.Errorf("%v is not IPv4", addr)
		}
	})
}
