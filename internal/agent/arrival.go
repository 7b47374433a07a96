package agent

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/answerer"
	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/link"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
)

// An arrival is announced more than once, as frames get lost and a switch may
// still hear the node that the guest comes from.
const (
	announcements = 3
	between       = time.Second
)

// arrival is a NIC that was suspended and is not any more: a guest has come from
// another node, where the site still looks for it.
type arrival struct {
	left int
	last time.Time
}

// arrive notes what a change of what is wanted means for that.
func (a *Agent) arrive(name string, old, now *plan.Want) {
	switch {
	case now == nil || now.Binding.Suspended:
		delete(a.arrivals, name)
	case old != nil && old.Binding.Suspended:
		a.arrivals[name] = arrival{left: announcements}
	}
}

// announceArrivals tells the site, through the bridge, where the guests are that
// have come and are in force. Of a routed NIC the uplink tells.
func (a *Agent) announceArrivals() {
	for name, r := range a.arrivals {
		w, l := a.wants.nic(name), a.links.byName[name]
		bridge := a.links.byIndex[l.Master]
		st, _ := a.standings.Get(name)
		if st.state != api.InForce || !l.Up || bridge.Kind != "bridge" || !bridge.Up || time.Since(r.last) < between {
			continue
		}
		a.announceArrival(l, w.Binding)
		if r.left--; r.left == 0 {
			delete(a.arrivals, name)
			continue
		}
		a.arrivals[name] = arrival{left: r.left, last: time.Now()}
	}
}

// announceArrival has the bridge look for the guest where it is, and sends out of
// its other ports what the guest would send. The guest itself sees nothing of it:
// another's advertisement of an address that it is still checking would cost it
// that (RFC 4862 5.4.4).
func (a *Agent) announceArrival(l plan.Link, b *nic.Binding) {
	err := link.Learn(l.Index, b.MAC)
	ways, e := link.Ways(l.Master, l.Index)
	for _, w := range ways {
		for _, p := range b.Addresses {
			for _, frame := range answerer.Announcement(p.Addr(), b.MAC) {
				e = errors.Join(e, a.opt.Sender.Send(w.Index, tagged(frame, w.VLAN)))
			}
		}
	}
	if err = errors.Join(err, e); err != nil {
		text, _, _ := strings.Cut(err.Error(), "\n") // of very many ports
		a.opt.Log.Warn("cannot announce a guest that has come", "nic", l.Name, "err", text)
	}
}

// tagged puts a frame into a VLAN (IEEE 802.1Q), unless that is 0.
func tagged(frame []byte, vlan uint16) []byte {
	if vlan == 0 {
		return frame
	}
	const tagAt, tpid = 12, 0x8100
	out := binary.BigEndian.AppendUint16(slices.Clone(frame[:tagAt]), tpid)
	return append(binary.BigEndian.AppendUint16(out, vlan), frame[tagAt:]...)
}
