package nic

import (
	"fmt"
	"hash/fnv"
	"io"
)

// Digest identifies the meaning of a binding, wherever it was declared; it is
// never 0. Two bindings of one digest give the same guard and the same answers.
func (b *Binding) Digest() uint64 {
	h := fnv.New64a()
	b.print(h)
	return max(h.Sum64(), 1)
}

// print writes a text that no other binding has. fmt prints maps in key order,
// but runs strings together: ["a b"] and ["a" "b"] look alike until they are
// quoted.
func (b *Binding) print(w io.Writer) {
	c := *b
	c.Origin = Origin{}
	_, _ = fmt.Fprintf(w, "%+v %q", c, []any{
		c.NIC, c.Network, c.Hostname, c.Domain, c.Search, c.CaptivePortal, c.Tags,
		c.Group, c.Shared, c.Routing.Uplink,
		c.DHCP4.Boot, c.DHCP4.BootArch, c.DHCP4.BootIPXE,
		c.DHCP6.BootURL, c.DHCP6.BootArgs, c.DHCP6.BootArch,
	}) // a hash takes everything
}
