package agent

import (
	"net/netip"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/nic"
)

// remember keeps what an earlier process told the NIC on an ifindex by router
// advertisement, before the rules it came with are changed: the kernel still
// holds those.
func (a *Agent) remember(index int) {
	if !a.inherited[index] {
		return
	}
	delete(a.inherited, index)
	r, ok, err := a.opt.Kernel.Rules(index)
	if err != nil || !ok || !r.IPv6 {
		return // nothing is lost but a courtesy: lifetimes end by themselves
	}
	a.formers[index] = told(&r)
}

// takeFormer hands over what was remembered, nil if nothing: from now on it is
// this process that has told the NIC.
func (a *Agent) takeFormer(index int) *nic.Binding {
	b := a.formers[index]
	delete(a.formers, index)
	delete(a.inherited, index)
	return b
}

// told reads rules backwards. The length of an address's subnet is not in
// them, and nearly always 64; of a prefix that was delegated and not announced
// too much is taken back, which no guest notices. DNS and routes are not in
// them either, and end by their lifetimes.
func told(r *guard.Rules) *nic.Binding {
	b := &nic.Binding{
		NIC: "former", MAC: r.MACs[0], Gateway6: r.Gateway6,
		RA: nic.RA{Interval: 4, Lifetime: 1, Preferred: 1, Valid: 1},
	}
	if r.SiteRA {
		b.RA.Mode = nic.RASite
	}
	for _, p := range r.IP6 {
		switch p.Bits() {
		case 128:
			b.Addresses = append(b.Addresses, netip.PrefixFrom(p.Addr(), 64))
		case 64:
			b.SLAAC = append(b.SLAAC, p)
		}
	}
	return b
}
