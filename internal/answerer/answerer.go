// Package answerer is the edge that turns what the kernel hands up into
// answers, and that advertises: one packet socket, one small state per NIC, and
// no decision of its own (those are dhcp4's, dhcp6's, nd's and arp's).
//
// Not here: who may ask how often (the kernel's token bucket).
package answerer

import (
	"bytes"
	"net/netip"
	"sync"
	"time"

	"github.com/berth-net/berth/internal/nd"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// maxHeld messages are kept for a NIC whose rules are being changed.
const maxHeld = 16

// Sender puts one frame on one host interface, towards the guest.
type Sender interface {
	Send(index int, frame []byte) error
}

// Packet is one frame of a guest, and what it was taken for.
type Packet struct {
	Reason reason.Reason
	Frame  []byte

	group string // by another NIC of which it came, from that one's MAC; "": by its own
}

// Exchange is what came of one message, or of one advertisement that nobody
// asked for.
type Exchange struct {
	Index     int
	NIC       string
	Request   string         // "DISCOVER", "SOLICIT", "RS"; "" for an unsolicited advertisement
	Answer    string         // "OFFER", "ADVERTISE", "RA"; "" for silence
	Addresses []netip.Prefix // what it is about
	XID       string         // in hex; "" if the protocol has none
	Reason    reason.Reason
	Err       error // the frame could not be sent
}

// Unasked reports an advertisement that went out by its own time.
func (x *Exchange) Unasked() bool { return x.Request == "" && x.Answer == "RA" }

// Setting is what a NIC is answered.
type Setting struct {
	Binding    *nic.Binding
	ServerID   netip.Addr
	GatewayMAC nic.MAC
	Digest     uint64
	// FormerIDs are server identifiers that were in force before ServerID.
	FormerIDs []netip.Addr
	// Former is what the NIC was told by an earlier process, as far as that is
	// known; nil if nothing.
	Former *nic.Binding
}

// Answerer answers NICs. It is safe for concurrent use.
type Answerer struct {
	out    Sender
	duid   []byte
	report func(Exchange)

	mu      sync.Mutex
	ports   map[int]*port
	members map[member]int // by ifindex
	due     schedule
	wake    chan struct{} // the schedule has a new first entry
}

// port is one NIC's state.
type port struct {
	name    string
	setting Setting
	held    bool
	queue   []Packet
	busy    sync.Mutex // held while one message is being answered

	up        bool
	sent      int       // advertisements since the link came up
	next      time.Time // of the next one; zero: none
	gone      nd.Withdrawn
	goneUntil time.Time
}

// New makes an answerer that sends through out and tells report about every
// message, in order for each NIC. duid is the server's identifier in DHCPv6.
func New(out Sender, duid []byte, report func(Exchange)) *Answerer {
	return &Answerer{out: out, duid: duid, report: report, ports: map[int]*port{}, members: map[member]int{}, wake: make(chan struct{}, 1)}
}

// Answer sets what the NIC on an ifindex is answered from now on, and answers
// what was held for it. What is no longer announced is withdrawn.
func (a *Answerer) Answer(index int, name string, s Setting) {
	now := time.Now()
	p := &port{name: name, setting: s}
	a.mu.Lock()
	var queue []Packet
	if old := a.ports[index]; old != nil {
		queue = old.queue
		p.up = old.up
		p.withdraw(old, now)
	} else if s.Former != nil {
		p.withdraw(&port{setting: Setting{Binding: s.Former}}, now)
	}
	a.strike(index)
	a.ports[index] = p
	a.enlist(index, p)
	a.plan(index, p, now)
	a.mu.Unlock()
	for _, packet := range queue {
		p.busy.Lock()
		a.answer(index, p, packet)
	}
}

// Hold keeps the NIC's messages until the next Answer. When it returns, no
// answer of the old setting is on its way any more.
func (a *Answerer) Hold(index int) {
	a.stop(index, func(p *port) {
		p.held = true
		p.setting.Digest = 0 // whatever comes next is a change
	})
}

// Silence stops answering the NIC, and takes back what it was advertised. When
// it returns, no answer is on its way.
func (a *Answerer) Silence(index int) {
	p := a.stop(index, func(*port) { a.leave(index) })
	if p == nil {
		return
	}
	if p.up {
		a.farewell(index, p.router(), p.gone)
	}
}

// Drop stops answering a NIC whose device is gone. Whoever has its ifindex now
// is another one, and is told nothing. When it returns, no answer is on its
// way.
func (a *Answerer) Drop(index int) {
	a.stop(index, func(*port) { a.leave(index) })
}

// leave is called with mu held.
func (a *Answerer) leave(index int) {
	a.strike(index)
	delete(a.ports, index)
}

// Farewell takes back what the NIC on an ifindex was told by an earlier
// process; nobody answers it now.
func (a *Answerer) Farewell(index int, former *nic.Binding) {
	a.farewell(index, nd.Router{Binding: former}, nd.Withdrawn{})
}

func (a *Answerer) farewell(index int, r nd.Router, gone nd.Withdrawn) {
	for _, last := range nd.Advertisements(nd.Router{}, nd.Withdraw(r, nd.Router{}, gone)) {
		// The device may be gone, and then there is nobody to tell.
		_ = a.out.Send(index, encodeND(last))
	}
}

// stop changes a port so that no new message reaches its old setting, then
// waits for the one being answered.
func (a *Answerer) stop(index int, change func(*port)) *port {
	a.mu.Lock()
	p := a.ports[index]
	if p != nil {
		change(p)
	}
	a.mu.Unlock()
	if p != nil {
		p.busy.Lock()
		p.busy.Unlock() //nolint:staticcheck // an empty section is the point: a barrier
	}
	return p
}

// Answering returns the digest of what each ifindex is answered, 0 while held.
func (a *Answerer) Answering() map[int]uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := make(map[int]uint64, len(a.ports))
	for index, p := range a.ports {
		m[index] = p.setting.Digest
	}
	return m
}

// Setting returns what the NIC on an ifindex is answered; false if nothing.
func (a *Answerer) Setting(index int) (Setting, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.ports[index]
	if p == nil {
		return Setting{}, false
	}
	return p.setting, true
}

// Withdrawn is what the NIC on an ifindex is told to be gone, beside what it is
// advertised; zero if nothing, or no more.
func (a *Answerer) Withdrawn(index int) nd.Withdrawn {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.ports[index]
	if p == nil || time.Now().After(p.goneUntil) {
		return nd.Withdrawn{}
	}
	return p.gone
}

// Punt takes one frame that the kernel handed up. The bytes are copied if
// they are kept.
func (a *Answerer) Punt(index int, packet Packet) {
	a.mu.Lock()
	p := a.ports[index]
	if p == nil {
		a.mu.Unlock()
		return // the NIC is not answered: closed, or gone since
	}
	index, packet = a.owner(index, packet)
	p = a.ports[index]
	if p.held {
		full := len(p.queue) >= maxHeld
		if !full {
			packet.Frame = bytes.Clone(packet.Frame)
			p.queue = append(p.queue, packet)
		}
		a.mu.Unlock()
		if full {
			a.report(Exchange{Index: index, NIC: p.name, Reason: reason.DHCPHeld})
		}
		return
	}
	p.busy.Lock()
	a.mu.Unlock()
	a.answer(index, p, packet)
}

// answer is called with the port busy and frees it.
func (a *Answerer) answer(index int, p *port, packet Packet) {
	defer p.busy.Unlock()
	x, frame := a.speak(p, packet)
	x.Index, x.NIC = index, p.name
	if frame != nil {
		if x.Err = a.out.Send(index, frame); x.Err != nil {
			x.Reason = reason.SendFailed
		}
	}
	a.report(x)
}
