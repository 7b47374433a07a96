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
)

func TestMain(m *testing.M) { testenv.Main(m) }

const (
	guestMAC = "52:54:00:00:00:10"
	binding  = `nic: tap0
mac: ` + guestMAC + `
hostname: guest1
addresses: [192.0.2.10/24]
gateway: 192.0.2.1
dns: [192.0.2.53, 192.0.2.54]
mtu: 1450
dhcp4: {lease: 12h}
`
	given = "ip=192.0.2.10/24 router=192.0.2.1 dns=192.0.2.53 192.0.2.54 hostname=guest1 mtu=1450 lease=43200 serverid=192.0.2.1"
)

// wantConsole is what the guest says of itself: it gets its lease, renews it,
// reaches its gateway as itself and as nobody else.
var wantConsole = []string{
	"LEASE bound " + given,
	"TRY gateway yes",
	"LEASE renew " + given,
	"TRY foreign-address no",
	"TRY foreign-arping no",
	"TRY foreign-mac no",
	"TRY honest-again yes",
	"END",
}

func TestGuest(t *testing.T) {
	host, site := testenv.NewNS(t), testenv.NewNS(t)
	for _, ns := range []*testenv.NS{host, site} {
		ns.Sysctl("net.ipv6.conf.default.disable_ipv6", "1") // so that what is seen is the guest's
	}
	testenv.Veth(t, host, "lan0", site, "eth0", nic.MAC{0x52, 0x54, 0, 0, 0, 1})
	site.Exec("ip", "address", "add", "192.0.2.1/24", "dev", "eth0")
	host.Exec("ip", "tuntap", "add", "tap0", "mode", "tap")
	host.SetUp("tap0")
	// With snooping the bridge would send group memberships of its own.
	host.Exec("ip", "link", "add", "br0", "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
	host.SetUp("br0")
	host.SetMaster("lan0", "br0")
	host.SetMaster("tap0", "br0")
	lan, tap := testenv.Capture(t, host, "lan0"), testenv.Capture(t, host, "tap0", testenv.InboundOnly)

	client := startDaemon(t, host)
	console := boot(t, host)

	if diff := cmp.Diff(wantConsole, told(console)); diff != "" {
		t.Errorf("what the guest saw (-want +got):\n%s\nconsole:\n%s", diff, console)
	}
	checkLAN(t, lan.Stop())
	checkTap(t, tap.Stop())
	checkCounters(t, client)
}

// startDaemon builds and runs berthd with the guest's binding, and returns
// when guard and answer stand.
func startDaemon(t *testing.T, host *testenv.NS) *api.Client {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "berthd")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/berthd").CombinedOutput(); err != nil {
		t.Fatalf("build berthd: %v\n%s", err, out)
	}
	write(t, filepath.Join(dir, "nics.d", "tap0.yaml"), binding)
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
	return client
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// boot runs the guest until it powers itself off, and returns its console.
func boot(t *testing.T, host *testenv.NS) string {
	t.Helper()
	image := vm.NewImage(t, initScript)
	image.Modules("virtio_pci", "virtio_net")
	image.Link("bin/sh", "busybox")
	image.File("dhcp.sh", 0o755, dhcpScript)
	guest := vm.Machine{
		Memory: 128, CPUs: 1, Initramfs: image.Write(), Limit: 90 * time.Second,
		Devices: []string{
			"-netdev", "tap,id=n0,ifname=tap0,script=no,downscript=no,vhost=off",
			"-device", "virtio-net-pci,netdev=n0,romfile=,mac=" + guestMAC,
		},
	}
	return guest.Run(t, host)
}

// told picks the guest's own lines from its console.
func told(console string) []string {
	return regexp.MustCompile(`(?:LEASE|TRY|END)[^\r\n]*`).FindAllString(console, -1)
}

// checkLAN holds everything that left the host to what the guest may send.
func checkLAN(t *testing.T, frames []testenv.Frame) {
	t.Helper()
	pings := 0
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
	}
	if pings < 4 {
		t.Errorf("the LAN saw %d echo requests of the guest, want at least 4: is the capture blind?", pings)
	}
}

// notHonest says what is wrong with a frame of the guest, "" if nothing is:
// its own MAC, and IPv4 or ARP from its own address, and no DHCP.
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
	partial := 0
	for _, f := range frames {
		saw[notHonest(f.Data)]++
		if isIPv4(f.Data) && f.Data[23] == 17 && port(f.Data, 36) == 67 && port(f.Data, 40) == pseudoSum(f.Data) {
			partial++
		}
	}
	for _, kind := range []string{"another MAC", "another IPv4 source", "forged ARP", "DHCP"} {
		if saw[kind] == 0 {
			t.Errorf("the guest never sent %s: the test shows nothing", kind)
		}
	}
	if partial == 0 {
		t.Error("no DHCP message came with a partial checksum: the test shows nothing of it")
	}
}

// pseudoSum is what a guest leaves in the UDP checksum field for its NIC to
// complete: the sum of the pseudo-header alone (RFC 768; CHECKSUM_PARTIAL).
func pseudoSum(f []byte) uint16 {
	sum := uint32(17) + uint32(port(f, 38))
	for at := 26; at < 34; at += 2 {
		sum += uint32(port(f, at))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// checkCounters asks berthd why nothing of it came through.
func checkCounters(t *testing.T, client *api.Client) {
	t.Helper()
	n, err := client.NIC(context.Background(), "tap0")
	if err != nil {
		t.Fatal(err)
	}
	if n.Counters == nil || n.Answers == nil {
		t.Fatalf("NIC tap0 is %s (%s), without counters or answers", n.State, n.Why)
	}
	for _, reason := range []string{"mac-spoof", "ip4-spoof", "arp-spoof-ip"} {
		if n.Counters.Dropped[reason] == 0 {
			t.Errorf("no frame was dropped for %s: %v", reason, n.Counters.Dropped)
		}
	}
	checkAnswers(t, n.Answers.Last)
}

// checkAnswers expects one DISCOVER, its REQUEST, and the renewal. udhcpc may
// miss the answer to a renewal and ask again: it sends through a connected
// socket of its own and closes that, with what came in before.
func checkAnswers(t *testing.T, last []api.Answer) {
	t.Helper()
	var got []string
	for _, a := range slices.Backward(last) { // oldest first
		got = append(got, a.Request+" "+a.Answer+" "+fmt.Sprint(a.Addresses))
	}
	want := []string{"DISCOVER OFFER [192.0.2.10/32]", "REQUEST ACK [192.0.2.10/32]", "REQUEST ACK [192.0.2.10/32]"}
	for len(want) < len(got) {
		want = append(want, "REQUEST ACK [192.0.2.10/32]")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}
