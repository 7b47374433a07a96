package agent

import (
	"net/netip"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/nic"
)

// former is what an earlier process told the NIC on an ifindex by router
// advertisement, so that it can be taken back: the kernel still holds the rules
// it came with. nil if this process has told it itself, or there was nothing.
func (a *Agent) former(index int) *nic.Binding {
	if _, mine := a.answerer.Answering()[index]; mine {
		return nil
	}
	r, ok, err := a.opt.Kernel.Rules(index)
	if err != nil || !ok || !r.IPv6 {
		return nil // nothing is lost but a courtesy: lifetimes end by themselves
	}
	return told(&r)
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
