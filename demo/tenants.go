package main

import (
	"strings"

	"github.com/berth-net/berth/internal/nic"
)

// Two tenants whose networks know nothing of each other.
const (
	tenantRouter  = "10.0.0.1"
	tenantAddress = "10.0.0.5"
	// tenantNetworks is what the network file says of them.
	tenantNetworks = `---
network: red
gateway: ` + tenantRouter + `
dns: [10.0.0.53]
mtu: 1450
---
network: blue
gateway: ` + tenantRouter + `
dns: [10.0.0.54]
mtu: 1450
`
)

func tenantBridges() []string { return []string{"br-red", "br-blue"} }

// tenantRouters are each tenant's own: on its bridge, and not berth's.
func tenantRouters() []*vm {
	return []*vm{
		{name: "red-gw", mac: nic.MAC{0x52, 0x54, 0, 0, 1, 1}, bridge: "br-red"},
		{name: "blue-gw", mac: nic.MAC{0x52, 0x54, 0, 0, 2, 1}, bridge: "br-blue"},
	}
}

// tenants are two VMs with the same address and the same MAC.
func (s *story) tenants() error {
	s.heading("9 Two tenants, a bridge and a network each: red and blue have the same address and the same MAC")
	vms, routers := []*vm{s.more.red, s.more.blue}, tenantRouters()
	for i, v := range vms {
		if err := s.execAll(routers[i].name, "ip address add "+tenantRouter+"/24 dev eth0"); err != nil {
			return err
		}
		if err := s.bindAndAsk(v); err != nil {
			return err
		}
	}
	if err := s.sameTwice(); err != nil {
		return err
	}
	s.line(identityRow, "", "", "address", "router", "DNS", "MTU", "lifetime")
	for i, v := range vms {
		if err := s.apart(v, routers[i]); err != nil {
			return s.node.explain(err)
		}
	}
	return nil
}

// sameTwice quotes what berth lists of the two.
func (s *story) sameTwice() error {
	s.line("$ berth list | grep %s", tenantAddress)
	listed, err := s.node.berth("list")
	both := 0
	for _, l := range listed {
		if strings.Contains(l, tenantAddress+"/24") {
			both++
			s.verbatim(strings.TrimRight(l, " -"))
			s.holds("one of the two in force with the MAC of both", strings.Contains(l, "in-force") && strings.Contains(l, s.more.red.mac.String()))
		}
	}
	s.fact("NICs listed with the address of both", both, 2)
	return err
}

// apart shows that a VM has what its tenant's network says, and that the
// router which answers it is its tenant's.
func (s *story) apart(v, gw *vm) error {
	a := ask{v, v4}
	want, _, err := s.bound(a)
	if err != nil {
		return err
	}
	if err := s.compare(a, "file says", want); err != nil {
		return err
	}
	at, err := s.neighbour(v.name, "eth0", tenantRouter)
	s.fact(v.name+"'s router", at, gw.mac)
	seen, seenErr := s.neighbour(gw.name, "eth0", tenantAddress)
	s.fact("whom the router of "+v.name+" has", seen, v.mac)
	s.line("       its router, %s, is at %s", gw.name, at)
	if err == nil {
		err = seenErr
	}
	return err
}
