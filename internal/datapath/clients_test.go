package datapath

import (
	"encoding/hex"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/wire"
)

// sent is what a real client has sent: one line of a testdata/clients.txt.
type sent struct {
	who     string   // the client, and in which state
	between []string // the addresses, where the line has them
	message []byte   // the UDP payload
}

// clientsOf reads what real clients of a protocol have sent.
func clientsOf(t testing.TB, protocol string) (all []sent) {
	t.Helper()
	b, err := os.ReadFile("../" + protocol + "/testdata/clients.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSpace(line), " | ")
		if strings.HasPrefix(line, "#") || len(f) < 4 {
			continue
		}
		last := len(f) - 1
		message, err := hex.DecodeString(f[last])
		if err != nil {
			t.Fatalf("%s: %s %s: %v", protocol, f[1], f[2], err)
		}
		all = append(all, sent{f[1] + " " + f[2], f[3:last], message})
	}
	if len(all) == 0 {
		t.Fatalf("%s: no client's message", protocol)
	}
	return all
}

// clients4 are frames with what real clients have sent, by who sent what:
// dhclient, udhcpc, dhcpcd, systemd-networkd.
func clients4(t testing.TB) map[string][]byte {
	t.Helper()
	list := map[string][]byte{}
	for _, s := range clientsOf(t, "dhcp4") {
		src, dst := netip.MustParseAddr(s.between[0]), netip.MustParseAddr(s.between[1])
		to := corpus.G
		if dst == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
			to = nic.MAC{255, 255, 255, 255, 255, 255}
		}
		list[s.who] = wire.AppendUDP4(nil, wire.UDP4{
			EthSrc: corpus.M, EthDst: to, Src: src, Dst: dst, SrcPort: 68, DstPort: 67, Payload: s.message,
		})
	}
	return list
}

// clients6 are the messages of real clients, by who sent what: dhclient,
// dhcpcd, systemd-networkd, odhcp6c, Windows, dibbler.
func clients6(t testing.TB) map[string][]byte {
	t.Helper()
	list := map[string][]byte{}
	for _, s := range clientsOf(t, "dhcp6") {
		list[s.who] = s.message
	}
	return list
}
