package dhcp6

import (
	"github.com/berth-net/berth/internal/nic"
)

// Size returns how many octets of UDP payload the binding's largest stateful
// reply takes, for a server identifier of duid octets if it names none: to a client that has
// the longest DUID, claims everything and asks for every option. A binding
// whose Size is at most Limit never has to leave anything out for a client
// that is not behind a relay and claims nothing else.
func Size(b *nic.Binding, duid int) int {
	x := exchange{
		Server: Server{Binding: b, DUID: make([]byte, duid), Addr: nic.BerthLinkLocal()},
		m: message{kind: solicit, options: singles{
			optClientID:   make([]byte, maxDUID),
			optClientFQDN: {0},
		}},
	}
	d := draft{kind: advertise, config: true}
	for _, c := range claims(b) {
		d.grants = append(d.grants, grant{ia: ia{code: c.code}, given: c.leases(b)})
	}
	size := headerLen + sizeOf(x.mandatory(d))
	if d.kind = reply; b.DHCP6.RapidCommit {
		size = max(size, headerLen+sizeOf(x.mandatory(d)))
	}
	return size + x.largestConfiguration()
}

// Limit returns how many octets of UDP payload a reply may have.
func Limit(b *nic.Binding) int { return limit(b) }

// largestConfiguration tries every architecture that is told its own URL.
func (x *exchange) largestConfiguration() int {
	size := x.configuration().size()
	for arch := range x.Binding.DHCP6.BootArch {
		x.m.options[optArch] = []byte{byte(arch >> 8), byte(arch)}
		size = max(size, x.configuration().size())
	}
	return size
}

func (c configuration) size() int {
	n := 0
	for code := range c {
		n += sizeOf(c.options(code))
	}
	return n
}
