package nic

import (
	"fmt"
	"net/netip"
	"slices"
)

// rtTableLocal is the kernel's table of the host's own addresses
// (rtnetlink.h).
const rtTableLocal = 255

// groups checks what ties NICs together.
func (c *checker) groups() {
	c.text("group", c.b.Group, maxName)
	if n := len(c.b.Shared); n > MaxShared {
		c.bad("shared", fmt.Sprint(n), "at most %d entries", MaxShared)
		return
	}
	if len(c.b.Shared) > 0 && c.b.Routed {
		c.bad("shared", "", "not for a routed NIC: it has no link on which another could take over")
		return
	}
	c.sharedGroups()
	c.sharedAddresses()
	c.permittedMACs()
}

func (c *checker) sharedGroups() {
	groups, vrids := map[string]int{}, map[uint8]int{}
	for i, s := range c.b.Shared {
		field := at("shared", i)
		if s.Group == "" {
			c.bad(field+".group", "", "missing: who shares is told by the name of a group")
		} else if j, dup := groups[s.Group]; dup {
			c.bad(field+".group", s.Group, "the same group as %s", at("shared", j))
		}
		c.text(field+".group", s.Group, maxName)
		if len(s.Addresses) == 0 {
			c.bad(field, "", "shares nothing; list addresses")
		}
		if j, dup := vrids[s.VRID]; dup && s.VRID != 0 {
			c.bad(field+".vrid", fmt.Sprint(s.VRID), "the same virtual router as %s", at("shared", j))
		}
		if slices.Contains(s.VirtualMACs(), c.b.MAC) {
			c.bad("mac", c.b.MAC.String(), "the virtual MAC of %s: whoever holds the address has it, so nobody has it alone", field+".vrid")
		}
		groups[s.Group], vrids[s.VRID] = i, i
	}
}

func (c *checker) sharedAddresses() {
	all := 0
	seen := map[netip.Addr]string{}
	for i, s := range c.b.Shared {
		list := at("shared", i) + ".addresses"
		all += len(s.Addresses)
		if all > MaxSharedAddresses {
			c.bad(list, fmt.Sprint(len(s.Addresses)), "at most %d addresses over all of shared", MaxSharedAddresses)
			return
		}
		for j, a := range s.Addresses {
			field := at(list, j)
			if q := c.sharedProblem(a); q != "" {
				c.bad(field, addrText(a), "%s", q)
			} else if first, dup := seen[a]; dup {
				c.bad(field, a.String(), "the same address as %s", first)
			} else {
				seen[a] = field
			}
		}
	}
}

// sharedProblem says why NICs cannot share a. It need not be in a subnet of
// theirs.
func (c *checker) sharedProblem(a netip.Addr) string {
	subnet, _ := c.onLink(a)
	switch q := hostProblem(a, subnet); {
	case q != "":
		return q
	case c.own(a) || containsAddr(c.b.SLAAC, a) || containsAddr(c.b.Delegated, a):
		return "the NIC's own: what it has alone is not shared"
	case a == c.b.Gateway || a == c.b.Gateway6:
		return "the gateway must stay out of a guest's reach"
	case a.Is6() && c.b.IPv6 != IPv6Auto:
		return "an IPv6 address, but ipv6 is not auto"
	}
	return ""
}

// permittedMACs bounds what the guard looks up for each frame.
func (c *checker) permittedMACs() {
	virtual := c.b.VirtualMACs()
	all := slices.Concat([]MAC{c.b.MAC}, c.b.Guard.AllowMACs, virtual)
	if n := len(unique(all)); len(virtual) > 0 && n > 1+MaxAllowMACs {
		c.bad("shared", "", "%d MACs with the NIC's own, guard.allow-macs and those of each vrid; at most %d", n, 1+MaxAllowMACs)
	}
}

func unique(list []MAC) map[MAC]bool {
	set := map[MAC]bool{}
	for _, m := range list {
		set[m] = true
	}
	return set
}

func (c *checker) servedBy() {
	switch s := c.b.ServedBy; {
	case s > ServedByTenant:
		c.bad("served-by", fmt.Sprint(s), "unknown server")
	case s != ServedByBerth && c.b.Routed:
		c.bad("served-by", [...]string{ServedBySite: "site", ServedByTenant: "tenant"}[s], "not for a routed NIC: there is only berth on its link")
	}
}

// routing holds the values to what they can be. On a NIC that is not routed
// they mean nothing and are no mistake: a network may give them.
func (c *checker) routing() {
	r := c.b.Routing
	if r.Table == rtTableLocal {
		c.bad("routing.table", fmt.Sprint(r.Table), "the table of the host's own addresses")
	}
	if r.Uplink == "" {
		return
	}
	if q := nameProblem(r.Uplink); q != "" {
		c.bad("routing.uplink", r.Uplink, "%s", q)
	} else if c.b.Routed && r.Uplink == c.b.NIC {
		c.bad("routing.uplink", r.Uplink, "the NIC itself")
	}
}
