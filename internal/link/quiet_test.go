package link

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/testenv"
)

func quietIn(t *testing.T, ns *testenv.NS, name string) {
	t.Helper()
	var err error
	ns.Do(func() { err = Quiet(name) })
	if err != nil {
		t.Fatal(err)
	}
}

func isQuietIn(t *testing.T, ns *testenv.NS, name string) bool {
	t.Helper()
	var loud map[int]bool
	var err error
	ns.Do(func() { loud, err = new(Watcher).Loud() })
	if err != nil {
		t.Fatal(err)
	}
	return !loud[ns.Index(name)]
}

func isIPv6(f testenv.Frame) bool {
	return f.Outgoing && len(f.Data) > 14 && f.Data[12] == 0x86 && f.Data[13] == 0xdd
}

// TestKernelQuiet brings up two interfaces, one quieted before. The other one
// is the clock: when it has sent its MLD reports and its router solicitation,
// the quiet one has had its time.
func TestKernelQuiet(t *testing.T) {
	host, guest := testenv.NewNS(t), testenv.NewNS(t)
	host.Sysctl("net.ipv6.conf.default.router_solicitation_delay", "0")
	host.Sysctl("net.ipv6.conf.default.dad_transmits", "0")
	for _, name := range []string{"quiet.7", "loud7"} {
		host.Exec("ip", "link", "add", name, "type", "veth", "peer", "name", "p"+name, "netns", guest.Name)
		guest.SetUp("p" + name)
	}
	if isQuietIn(t, host, "quiet.7") {
		t.Error("an interface as the kernel makes it is quiet already")
	}
	quietIn(t, host, "quiet.7")
	quietIn(t, host, "quiet.7") // again: the same
	if !isQuietIn(t, host, "quiet.7") || isQuietIn(t, host, "loud7") {
		t.Error("Loud does not tell the two apart")
	}
	quiet, loud := testenv.Capture(t, host, "quiet.7"), testenv.Capture(t, host, "loud7")
	host.SetUp("quiet.7")
	host.SetUp("loud7")
	loud.Wait(10*time.Second, "a router solicitation", func(f testenv.Frame) bool {
		return isIPv6(f) && f.Data[20] == 58 && f.Data[54] == 133
	})
	loud.Wait(10*time.Second, "an MLD report", func(f testenv.Frame) bool { return isIPv6(f) && f.Data[20] == 0 })
	quiet.None("IPv6 of the host", isIPv6)
	if out := host.Exec("ip", "-6", "addr", "show", "dev", "quiet.7"); out != "" {
		t.Errorf("the quiet interface has addresses:\n%s", out)
	}
	if !isQuietIn(t, host, "quiet.7") {
		t.Error("coming up undid it")
	}
}

// TestKernelQuietLate: on an interface that is up it takes the addresses away.
func TestKernelQuietLate(t *testing.T) {
	ns := testenv.NewNS(t)
	testenv.Tap(t, ns, "tap7")
	addrs := func() string { return ns.Exec("ip", "-6", "addr", "show", "dev", "tap7") }
	testenv.Wait(t, 10*time.Second, "a link-local address", func() bool { return strings.Contains(addrs(), "fe80::") })
	quietIn(t, ns, "tap7")
	if out := addrs(); out != "" {
		t.Errorf("addresses are left:\n%s", out)
	}
	for _, one := range []string{"accept_ra", "addr_gen_mode", "disable_ipv6"} {
		was := ns.Exec("cat", "/proc/sys/net/ipv6/conf/tap7/"+one)
		ns.Sysctl("net.ipv6.conf.tap7."+one, map[string]string{"1\n": "0", "0\n": "1"}[was])
		if isQuietIn(t, ns, "tap7") {
			t.Errorf("Loud does not see %s", one)
		}
		quietIn(t, ns, "tap7")
		if !isQuietIn(t, ns, "tap7") {
			t.Errorf("Quiet does not set %s again", one)
		}
	}
}

func TestKernelQuietWithoutIPv6(t *testing.T) {
	ns := testenv.NewNS(t)
	ns.Sh("ip link add tap7 type veth peer name p; ip link set tap7 mtu 1000") // less than IPv6 needs
	if out := ns.Exec("ls", "/proc/sys/net/ipv6/conf"); strings.Contains(out, "tap7") {
		t.Fatalf("tap7 has IPv6 settings: %s", out)
	}
	quietIn(t, ns, "tap7")
	quietIn(t, ns, "notthere")
	if !isQuietIn(t, ns, "tap7") {
		t.Error("nothing there that could speak, and not quiet")
	}
}

func TestQuietNames(t *testing.T) {
	const inherited = "/proc/sys/net/ipv6/conf/default/disable_ipv6"
	before, err := os.ReadFile(inherited)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", ".", "..", "all", "default", "../all", "a/b", "a\x00", "abcdefghijklmnop"} {
		if Quiet(name) == nil {
			t.Errorf("%q was accepted", name)
		}
	}
	if after, err := os.ReadFile(inherited); err != nil || string(after) != string(before) {
		t.Errorf("the host's default went from %q to %q, %v", before, after, err)
	}
}
