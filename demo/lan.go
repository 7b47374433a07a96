package main

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/wire"
)

// wiretap is tcpdump on one port of a bridge, from before the first VM speaks.
type wiretap struct {
	room *room
	file string
	seq  uint16
}

func (r *room) listen(ns, port string) (*wiretap, error) {
	w := &wiretap{room: r, file: r.path(ns + port + ".pcap")}
	_, err := r.start("tcpdump"+ns+port, ns, "tcpdump", "-Z", "root", "-U", "--immediate-mode", "-n", "-i", port, "-w", w.file)
	if err != nil {
		return nil, err
	}
	// The header is written once tcpdump listens.
	return w, r.until(5*time.Second, "tcpdump to listen", func() bool {
		info, err := os.Stat(w.file)
		return err == nil && info.Size() > 0
	})
}

// count is how many frames seen so far match a filter of pcap-filter(7).
func (w *wiretap) count(filter string) (int, error) {
	out, err := w.room.exec(hypervisor, "tcpdump", "-Z", "root", "-n", "-t", "-q", "-r", w.file, filter)
	if err != nil {
		return 0, err
	}
	return strings.Count(out, "\n"), nil
}

// fence has the attacker send a frame that must pass, after those that must
// not, and waits until it was seen: what was sent before and is not there by
// now never was.
func (w *wiretap) fence(a attacker) error {
	return w.fenceFrom(a.vm, a.own4, netip.MustParseAddr("192.0.2.255"))
}

func (w *wiretap) fenceFrom(v *vm, own, all netip.Addr) error {
	w.seq++
	port := 50000 + w.seq
	frame := wire.AppendUDP4(nil, wire.UDP4{
		EthSrc: v.mac, EthDst: broadcast, Src: own, Dst: all,
		SrcPort: port, DstPort: port, Payload: []byte("fence"),
	})
	if err := w.room.send(v, frame, 1); err != nil {
		return err
	}
	return w.room.until(5*time.Second, "an honest frame of "+v.name+" on the LAN", func() bool {
		n, err := w.count(fmt.Sprintf("udp dst port %d", port))
		return err == nil && n > 0
	})
}
