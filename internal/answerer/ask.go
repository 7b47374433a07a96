package answerer

import "github.com/berth-net/berth/internal/reason"

// Ask says what would come of a message, as Punt does it, and does nothing:
// nothing is sent, kept or reported. Exchange.Index is that of the NIC which
// would be answered, of a group another than asked for. The frame is nil for
// silence. A NIC that is held is told what it was before.
func (a *Answerer) Ask(index int, packet Packet) (Exchange, []byte) {
	a.mu.Lock()
	if a.ports[index] == nil {
		a.mu.Unlock()
		return Exchange{Index: index, Reason: reason.NoBinding}, nil
	}
	index, packet = a.owner(index, packet)
	p := a.ports[index]
	p.busy.Lock()
	a.mu.Unlock()
	defer p.busy.Unlock()
	x, frame := a.speak(p, packet)
	x.Index, x.NIC = index, p.name
	return x, frame
}
