package main

import (
	"fmt"

	"github.com/berth-net/berth/internal/nic"
)

// troupe is the VMs that come later.
type troupe struct {
	ganeti, static, nimbus *vm // told of by a controller of an older system each
	lb1, lb2               *vm // a fail-over pair
	red, blue              *vm // of two tenants
	crm                    *vm // served by the site at first
}

func (t troupe) all() []*vm {
	return []*vm{t.ganeti, t.static, t.nimbus, t.lb1, t.lb2, t.red, t.blue, t.crm}
}

func newcomers() troupe {
	v := func(name string, last byte, says string) *vm {
		return &vm{
			name: name, mac: nic.MAC{0x52, 0x54, 0, 0, 0, last}, says: says,
			clients: map[family]*client{v4: {tool: "udhcpc"}},
		}
	}
	t := troupe{
		ganeti: v("ganeti", 0x3a, ""),
		static: v("static", 0x3b, ""),
		nimbus: v("nimbus", 0x3c, ""),
		lb1:    v("lb1", 0x21, "addresses: [192.0.2.21/24]\n"+sharing),
		lb2:    v("lb2", 0x22, "addresses: [192.0.2.22/24]\n"+sharing),
		red:    v("red", 0x55, "network: red\naddresses: ["+tenantAddress+"/24]"),
		blue:   v("blue", 0x55, "network: blue\naddresses: ["+tenantAddress+"/24]"),
		crm:    v("crm", 0x98, ""),
	}
	t.red.bridge, t.blue.bridge = "br-red", "br-blue"
	return t
}

// arrive makes bridges of the tenants' own and plugs everybody in who comes
// later.
func (s *story) arrive() error {
	bridges := tenantBridges()
	for _, b := range bridges {
		if err := s.execAll(hypervisor, "ip link add "+b+" type bridge stp_state 0 forward_delay 0", "ip link set "+b+" up"); err != nil {
			return err
		}
	}
	for _, v := range append(s.more.all(), tenantRouters()...) {
		if err := s.addNamespace(v.name); err != nil {
			return err
		}
		if err := s.plug(v); err != nil {
			return err
		}
	}
	return s.waitPorts(hypervisor, site)
}

// guarded is every VM that berth is told of.
func (s *story) guarded() []*vm { return append(s.more.all(), s.managed()...) }

// types shows a command, runs it in a namespace, in the demo's directory, and
// returns all it says.
func (s *story) types(ns, command string) (string, error) {
	s.prompt(ns, command)
	return s.exec(ns, "sh", "-c", fmt.Sprintf("exec 2>&1; cd %s && PATH=%s:$PATH && %s", s.dir, s.bin, command))
}
