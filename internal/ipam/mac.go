package ipam

import (
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/nic"
)

// chooseMAC is the MAC that was asked for, or the NIC's so far, or what comes
// with its new addresses, or a new one.
func (d *draft) chooseMAC(w *wish) (nic.MAC, bool) {
	now, old := w.now, w.old
	switch {
	case now.MAC != nil:
		return *now.MAC, d.freeMAC(w, "mac", *now.MAC)
	case old != nil && !w.moved() && old.MAC == nil && old.Granted != nil:
		return old.Granted.MAC, d.freeMAC(w, "vm", old.Granted.MAC)
	}
	for _, a := range w.fresh {
		if f := d.s.fixed(now.Network, a); f != nil && f.MAC != nil {
			return *f.MAC, d.freeMAC(w, "addresses", *f.MAC)
		}
	}
	for _, a := range w.got {
		if c := d.claim(spot{now.Network, a}); c != nil && c.MAC != nil && d.unused(w, *c.MAC) {
			return *c.MAC, true
		}
	}
	return d.generate(w)
}

// unused reports whether a NIC can have a MAC: it is nobody else's in the
// network, and no other NIC of the same machine has it.
func (d *draft) unused(w *wish, m nic.MAC) bool {
	holder := d.holder(station{w.now.Network, m})
	return (holder == "" || holder == w.owner()) && d.twin(w.now, m) == ""
}

// twin is the NIC of the same machine that has a MAC, "" if none: what groups
// NICs on a node needs them apart.
func (d *draft) twin(n *fleet.NIC, m nic.MAC) string {
	if n.VM == "" {
		return ""
	}
	for _, o := range d.machineNICs(n.Project, n.VM) {
		if o.Name != n.Name && o.Granted != nil && o.Granted.MAC == m {
			return o.Name
		}
	}
	return ""
}

func (d *draft) freeMAC(w *wish, field string, m nic.MAC) bool {
	if holder := d.holder(station{w.now.Network, m}); holder != "" && holder != w.owner() {
		d.refuse(Conflict.by("mac-taken"), field, m.String(), "the MAC is %s's in network %s", d.told(holder), w.now.Network)
		return false
	}
	if twin := d.twin(w.now, m); twin != "" {
		d.refuse(Conflict.by("mac-taken"), field, m.String(), "the MAC is NIC %s's of the same machine", twin)
		return false
	}
	return true
}

// generate makes a MAC that nobody has and that is kept for no address: at
// random, and where there are few to choose from by trying them all.
func (d *draft) generate(w *wish) (nic.MAC, bool) {
	const tries = 64
	begin, err := fleet.ParseMACPrefix(w.network.MACPrefix)
	if err != nil {
		d.refuse(Invalid.by("mac-prefix"), "network", w.network.Name, "its mac-prefix: %v", err)
		return nic.MAC{}, false
	}
	bits := 8 * (len(nic.MAC{}) - len(begin))
	start := d.opt.Entropy()
	count := uint64(tries)
	if bits <= 16 {
		count = 1 << bits
	}
	for i := range count {
		n := start + i
		if bits > 16 && i > 0 {
			n = d.opt.Entropy()
		}
		var m nic.MAC
		for j := range m {
			m[j] = byte(n >> (8 * (len(m) - 1 - j)))
		}
		copy(m[:], begin)
		_, known := d.s.look(w.now.Network).macs[m]
		_, here := d.macs[station{w.now.Network, m}]
		if !known && !here && m != nic.BerthMAC() && d.twin(w.now, m) == "" {
			return m, true
		}
	}
	d.refuse(Exhausted.by("mac-exhausted"), "mac", w.network.MACPrefix, "no free MAC found that begins with the mac-prefix of network %s", w.network.Name)
	return nic.MAC{}, false
}
