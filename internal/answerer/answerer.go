// Package answerer is the edge that turns what the kernel hands up into
// answers: one packet socket, one small state per NIC, and no decision of its
// own (those are dhcp4's).
//
// Not here: who may ask how often (the kernel's token bucket).
package answerer

import (
	"maps"
	"net/netip"
	"sync"

	"github.com/berth-net/berth/internal/dhcp4"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/wire"
)

// maxHeld messages are kept for a NIC whose rules are being changed.
const maxHeld = 16

// Sender puts one frame on one host interface, towards the guest.
type Sender interface {
	Send(index int, frame []byte) error
}

// Exchange is what came of one message.
type Exchange struct {
	Index   int
	NIC     string
	Outcome dhcp4.Outcome
	Err     error // the frame could not be sent
}

// Answerer answers NICs. It is safe for concurrent use.
type Answerer struct {
	out    Sender
	report func(Exchange)

	mu    sync.Mutex
	ports map[int]*port
}

// port is one NIC's state.
type port struct {
	name   string
	server dhcp4.Server
	digest uint64
	held   bool
	queue  [][]byte
	busy   sync.Mutex // held while one message is being answered
}

// New makes an answerer that sends through out and tells report about every
// message, in order for each NIC.
func New(out Sender, report func(Exchange)) *Answerer {
	return &Answerer{out: out, report: report, ports: map[int]*port{}}
}

// Answer sets what the NIC on an ifindex is answered from now on, and answers
// what was held for it. digest identifies the setting for Answering.
func (a *Answerer) Answer(index int, name string, s Setting) {
	a.mu.Lock()
	var queue [][]byte
	if p := a.ports[index]; p != nil {
		queue = p.queue
	}
	p := &port{name: name, server: dhcp4.Server{Binding: s.Binding, ID: s.ServerID}, digest: s.Digest}
	a.ports[index] = p
	a.mu.Unlock()
	for _, frame := range queue {
		p.busy.Lock()
		a.answer(index, p, frame)
	}
}

// Setting is what a NIC is answered.
type Setting struct {
	Binding  *nic.Binding
	ServerID netip.Addr
	Digest   uint64
}

// Hold keeps the NIC's messages until the next Answer. When it returns, no
// answer of the old setting is on its way any more.
func (a *Answerer) Hold(index int) {
	a.stop(index, func(p *port) {
		p.held = true
		p.digest = 0 // whatever comes next is a change
	})
}

// Silence stops answering the NIC. When it returns, no answer is on its way.
func (a *Answerer) Silence(index int) {
	a.stop(index, func(*port) { delete(a.ports, index) })
}

// stop changes a port so that no new message reaches its old setting, then
// waits for the one being answered.
func (a *Answerer) stop(index int, change func(*port)) {
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
}

// Answering returns the digest of what each ifindex is answered, 0 while held.
func (a *Answerer) Answering() map[int]uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := make(map[int]uint64, len(a.ports))
	for index, p := range a.ports {
		m[index] = p.digest
	}
	return m
}

// ServerIDs returns the server identifier in use on each ifindex.
func (a *Answerer) ServerIDs() map[int]netip.Addr {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := make(map[int]netip.Addr, len(a.ports))
	for index, p := range maps.All(a.ports) {
		m[index] = p.server.ID
	}
	return m
}

// Punt takes one frame that the kernel handed up. The bytes are copied if
// they are kept.
func (a *Answerer) Punt(index int, frame []byte) {
	a.mu.Lock()
	p := a.ports[index]
	if p == nil {
		a.mu.Unlock()
		return // the NIC is not answered: closed, or gone since
	}
	if p.held {
		full := len(p.queue) >= maxHeld
		if !full {
			p.queue = append(p.queue, append([]byte(nil), frame...))
		}
		a.mu.Unlock()
		if full {
			a.report(Exchange{Index: index, NIC: p.name, Outcome: dhcp4.Outcome{Reason: reason.DHCPHeld}})
		}
		return
	}
	p.busy.Lock()
	a.mu.Unlock()
	a.answer(index, p, frame)
}

// answer is called with the port busy and frees it.
func (a *Answerer) answer(index int, p *port, frame []byte) {
	defer p.busy.Unlock()
	x := Exchange{Index: index, NIC: p.name}
	x.Outcome = outcome(p.server, frame)
	if r := x.Outcome.Reply; r != nil {
		if err := a.out.Send(index, encode(r)); err != nil {
			x.Err = err
			x.Outcome.Reason = reason.SendFailed
		}
	}
	a.report(x)
}

func outcome(s dhcp4.Server, frame []byte) dhcp4.Outcome {
	u, err := wire.ParseUDP4(frame)
	if err != nil {
		return dhcp4.Outcome{Reason: reason.DHCPMalformed}
	}
	return dhcp4.Answer(s, dhcp4.Query{EthSrc: u.EthSrc, Src: u.Src, Dst: u.Dst, Message: u.Payload})
}

func encode(r *dhcp4.Reply) []byte {
	return wire.AppendUDP4(nil, wire.UDP4{
		EthSrc: nic.BerthMAC(), EthDst: r.DstMAC,
		Src: r.Src, Dst: r.Dst, SrcPort: 67, DstPort: r.DstPort,
		Payload: r.Message,
	})
}
