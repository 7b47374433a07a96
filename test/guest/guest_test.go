// Package guest boots a real virtual machine: QEMU, Debian's kernel, a virtio
// NIC whose tap is a port of a bridge, and the built berthd beside it. It
// holds from power-on to power-off what the other tests show frame by frame.
package guest

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
	"github.com/berth-net/berth/test/vm"
)

var (
	//go:embed init.sh
	initScript []byte
	//go:embed dhcp.sh
	dhcpScript []byte
	//go:embed ip6.sh
	ip6Script []byte
	//go:embed dhcp6.sh
	dhcp6Script []byte
)

func TestMain(m *testing.M) { testenv.Main(m) }

const (
	guestMAC = "52:54:00:00:00:10"
	binding  = `nic: tap0
mac: ` + guestMAC + `
hostname: guest1
addresses: [192.0.2.10/24, 2001:db8:1::10/64]
gateway: 192.0.2.1
gateway6: fe80::1
dns: [192.0.2.53, 192.0.2.54, 2001:db8::53]
mtu: 1450
dhcp4: {lease: 12h}
`
	slaac = "slaac: [2001:db8:a::/64]\n"
	given = "ip=192.0.2.10/24 router=192.0.2.1 dns=192.0.2.53 192.0.2.54 hostname=guest1 mtu=1450 lease=43200 serverid=192.0.2.1"
)

// wantConsole is what the guest says of itself: it gets its lease, renews it,
// reaches its gateway as itself and as nobody else. In between is its life in
// IPv6.
var wantConsole = slices.Concat([]string{
	"LEASE bound " + given,
	"TRY gateway yes",
	"LEASE renew " + given,
	"TRY foreign-address no",
	"TRY foreign-arping no",
}, wantIP6, []string{
	"TRY foreign-mac no",
	"TRY honest-again yes",
	"END",
})

func TestGuest(t *testing.T) {
	host, site := testenv.NewNS(t), testenv.NewNS(t)
	for _, ns := range []*testenv.NS{host, site} {
		ns.Sysctl("net.ipv6.conf.default.disable_ipv6", "1") // so that what is seen is the guest's
	}
	testenv.Veth(t, host, "lan0", site, "eth0", nic.MAC{0x52, 0x54, 0, 0, 0, 1})
	site.Exec("ip", "address", "add", "192.0.2.1/24", "dev", "eth0")
	gateway6(site)
	host.Exec("ip", "tuntap", "add", "tap0", "mode", "tap")
	host.SetUp("tap0")
	// With snooping the bridge would send group memberships of its own.
	host.Exec("ip", "link", "add", "br0", "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
	host.SetUp("br0")
	host.SetMaster("lan0", "br0")
	host.SetMaster("tap0", "br0")
	lan, tap := testenv.Capture(t, host, "lan0"), testenv.Capture(t, host, "tap0", testenv.InboundOnly)

	d := startDaemon(t, host)
	guest := boot(t, host)
	guest.Until("CHANGE")
	before := d.nic(t)
	write(t, d.file, binding)
	console := guest.End()

	if diff := cmp.Diff(wantConsole, told(console)); diff != "" {
		t.Errorf("what the guest saw (-want +got):\n%s\nconsole:\n%s", diff, console)
	}
	checkLAN(t, lan.Stop())
	checkTap(t, tap.Stop())
	checkAnswers(t, before.Answers)
	checkCounters(t, d.nic(t))
}

// daemon is the running berthd.
type daemon struct {
	client *api.Client
	file   string // of the guest's binding
}

func (d daemon) nic(t *testing.T) api.NIC {
	t.Helper()
	n, err := d.client.NIC(context.Background(), "tap0")
	if err != nil {
		t.Fatal(err)
	}
	if n.Counters == nil || n.Answers == nil {
		t.Fatalf("NIC tap0 is %s (%s), without counters or answers", n.State, n.Why)
	}
	return n
}

// startDaemon builds and runs berthd with the guest's binding, and returns
// when guard and answer stand.
func startDaemon(t *testing.T, host *testenv.NS) daemon {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "berthd")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/berthd").CombinedOutput(); err != nil {
		t.Fatalf("build berthd: %v\n%s", err, out)
	}
	file := filepath.Join(dir, "nics.d", "tap0.yaml")
	write(t, file, binding+slaac)
	write(t, filepath.Join(dir, "berthd.yaml"), fmt.Sprintf(
		"nics: %[1]s/nics.d\nnetworks: %[1]s/networks.yaml\nstate: %[1]s/state\nsocket: {path: %[1]s/sock}\n", dir))
	var log bytes.Buffer
	cmd := exec.Command(program, "-config", filepath.Join(dir, "berthd.yaml"))
	cmd.Stdout, cmd.Stderr = &log, &log
	t.Cleanup(func() { // after the daemon's end, so nobody writes to log
		if t.Failed() {
			t.Logf("berthd says:\n%s", &log)
		}
	})
	host.Start(cmd)
	client := api.NewClient(filepath.Join(dir, "sock"))
	testenv.Wait(t, 10*time.Second, "tap0 in force", func() bool {
		n, err := client.NIC(context.Background(), "tap0")
		return err == nil && n.State == api.InForce
	})
	return daemon{client: client, file: file}
}

// write puts a file in place whole, as docs/binding.md asks for.
func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	hidden := filepath.Join(filepath.Dir(file), ".new")
	if err := os.WriteFile(hidden, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(hidden, file); err != nil {
		t.Fatal(err)
	}
}

// boot starts the guest, which powers itself off at its end.
func boot(t *testing.T, host *testenv.NS) *vm.Running {
	t.Helper()
	image := vm.NewImage(t, initScript)
	image.Modules("virtio_pci", "virtio_net")
	image.Link("bin/sh", "busybox")
	image.Program("ip") // that of busybox does not show which address is of what kind
	image.Program("dhclient")
	image.File("dhcp.sh", 0o755, dhcpScript)
	image.File("ip6.sh", 0o644, ip6Script)
	image.File("dhcp6.sh", 0o755, dhcp6Script)
	guest := vm.Machine{
		Memory: 128, CPUs: 1, Initramfs: image.Write(), Limit: 2 * time.Minute,
		Devices: []string{
			"-netdev", "tap,id=n0,ifname=tap0,script=no,downscript=no,vhost=off",
			"-device", "virtio-net-pci,netdev=n0,romfile=,mac=" + guestMAC,
		},
	}
	return guest.Start(t, host)
}

// told picks the guest's own lines from its console.
func told(console string) (lines []string) {
	for _, line := range regexp.MustCompile(`(?:LEASE|TRY|ADDRESS|ROUTE|END)[^\r\n]*`).FindAllString(console, -1) {
		lines = append(lines, unnamed(line))
	}
	return lines
}

// checkLAN holds everything that left the host to what the guest may send.
func checkLAN(t *testing.T, frames []testenv.Frame) {
	t.Helper()
	pings, pings6 := 0, 0
	for _, f := range frames {
		if !f.Outgoing {
			continue
		}
		if why := notHonest(f.Data); why != "" {
			t.Errorf("the LAN saw %s: % x", why, f.Data)
		}
		if isIPv4(f.Data) && f.Data[23] == 1 && f.Data[34] == 8 { // ICMP, echo request
			pings++
		}
		if isIPv6(f.Data) && f.Data[20] == 58 && f.Data[54] == 128 {
			pings6++
		}
	}
	if pings < 4 || pings6 < 5 {
		t.Errorf("the LAN saw %d and %d echo requests of the guest, want at least 4 and 5: is the capture blind?", pings, pings6)
	}
}

// notHonest says what is wrong with a frame of the guest, "" if nothing is:
// its own MAC, and IPv4, IPv6 or ARP from its own address, and no DHCP.
func notHonest(f []byte) string {
	own, mac := []byte{192, 0, 2, 10}, []byte{0x52, 0x54, 0, 0, 0, 0x10}
	switch {
	case !bytes.Equal(f[6:12], mac):
		return "another MAC"
	case isIPv4(f) && f[23] == 17 && (port(f, 36) == 67 || port(f, 36) == 68):
		return "DHCP"
	case isIPv4(f) && !bytes.Equal(f[26:30], own):
		return "another IPv4 source"
	case isIPv4(f):
		return ""
	case isIPv6(f):
		return notHonest6(f)
	case !isARP(f):
		return fmt.Sprintf("ethertype 0x%02x%02x", f[12], f[13])
	case !bytes.Equal(f[22:28], mac) || !bytes.Equal(f[28:32], own):
		return "forged ARP"
	}
	return ""
}

func isIPv4(f []byte) bool { return len(f) >= 42 && f[12] == 8 && f[13] == 0 }

func isARP(f []byte) bool { return len(f) >= 42 && f[12] == 8 && f[13] == 6 }

func port(f []byte, at int) uint16 { return binary.BigEndian.Uint16(f[at:]) }

// checkTap looks at what the guest really sent: the forgeries, and a DHCP
// message whose checksum was left to hardware that never came.
func checkTap(t *testing.T, frames []testenv.Frame) {
	t.Helper()
	saw := map[string]int{}
	partial, partial6 := 0, 0
	for _, f := range frames {
		saw[notHonest(f.Data)]++
		if isIPv4(f.Data) && f.Data[23] == 17 && port(f.Data, 36) == 67 && port(f.Data, 40) == pseudoSum(f.Data) {
			partial++
		}
		if isDHCPv6(f.Data) && port(f.Data, 60) == pseudoSum6(f.Data) {
			partial6++
		}
	}
	for _, kind := range []string{
		"another MAC", "another IPv4 source", "forged ARP", "DHCP",
		"another IPv6 source", "router discovery", "DHCPv6", "a neighbour that it is not",
	} {
		if saw[kind] == 0 {
			t.Errorf("the guest never sent %s: the test shows nothing", kind)
		}
	}
	if partial == 0 || partial6 == 0 {
		t.Errorf("%d DHCP and %d DHCPv6 messages came with a partial checksum: the test shows nothing of it", partial, partial6)
	}
}

// pseudoSum is what a guest leaves in the UDP checksum field for its NIC to
// complete: the sum of the pseudo-header alone (RFC 768; CHECKSUM_PARTIAL).
func pseudoSum(f []byte) uint16 {
	return fold(uint32(17)+uint32(port(f, 38)), f[26:34])
}

// fold adds addresses to a sum.
func fold(sum uint32, addresses []byte) uint16 {
	for at := 0; at < len(addresses); at += 2 {
		sum += uint32(port(addresses, at))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// checkCounters asks berthd why nothing of it came through.
func checkCounters(t *testing.T, n api.NIC) {
	t.Helper()
	for _, reason := range []string{"mac-spoof", "ip4-spoof", "arp-spoof-ip", "ip6-spoof", "nd-target"} {
		if n.Counters.Dropped[reason] == 0 {
			t.Errorf("no frame was dropped for %s: %v", reason, n.Counters.Dropped)
		}
	}
}

// checkAnswers expects one DISCOVER, its REQUEST, and the renewal. udhcpc may
// miss the answer to a renewal and ask again: it sends through a connected
// socket of its own and closes that, with what came in before. Of IPv6 there is
// what the guest was told before the change, each in its own order; Linux solicits
// once more if it is answered before it has noted that it has solicited.
func checkAnswers(t *testing.T, answers *api.Answers) {
	t.Helper()
	got := map[string][]string{}
	for _, a := range slices.Backward(answers.Last) { // oldest first
		kind := kindOf(a.Answer)
		got[kind] = append(got[kind], a.Request+" "+a.Answer+" "+fmt.Sprint(a.Addresses))
	}
	want := map[string][]string{
		"DHCPv4": {"DISCOVER OFFER [192.0.2.10/32]", "REQUEST ACK [192.0.2.10/32]", "REQUEST ACK [192.0.2.10/32]"},
		"DHCPv6": {"SOLICIT ADVERTISE [2001:db8:1::10/128]", "REQUEST REPLY [2001:db8:1::10/128]"},
		"ND":     {"RS RA []"},
	}
	for len(want["DHCPv4"]) < len(got["DHCPv4"]) {
		want["DHCPv4"] = append(want["DHCPv4"], "REQUEST ACK [192.0.2.10/32]")
	}
	got["ND"] = slices.Compact(got["ND"])
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

func kindOf(answer string) string {
	switch answer {
	case "OFFER", "ACK":
		return "DHCPv4"
	case "ADVERTISE", "REPLY":
		return "DHCPv6"
	case "RA", "NA":
		return "ND"
	default:
		return answer
	}
}
