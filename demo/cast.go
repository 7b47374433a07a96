package main

import (
	"cmp"
	"fmt"

	"github.com/berth-net/berth/internal/nic"
)

// family is an IP version.
type family int

const (
	v4 family = 4
	v6 family = 6
)

func (f family) String() string { return fmt.Sprintf("IPv%d", int(f)) }

func families() []family { return []family{v4, v6} }

// vm is a virtual machine: a network namespace whose eth0 is a port of the
// hypervisor's bridge.
type vm struct {
	name    string
	mac     nic.MAC
	bridge  string // "" if it is the one to the LAN
	private bool   // its kernel makes temporary addresses and stable ones that hide the MAC
	says    string // what its file says that is its own; see binding
	clients map[family]*client
}

func (v *vm) tap() string { return v.name + "-tap" }

// port is the bridge that the VM's NIC is put into.
func (v *vm) port() string { return cmp.Or(v.bridge, lanBridge) }

// cast is the VMs in order; the last one is not berth's.
func cast() []*vm {
	mac := func(last byte) nic.MAC { return nic.MAC{0x52, 0x54, 0, 0, 0, last} }
	return []*vm{
		{
			name: "web1", mac: mac(0x11), says: "addresses: [192.0.2.11/24, 2001:db8:1::11/64]",
			clients: map[family]*client{v4: {tool: "udhcpc"}, v6: {tool: "dhcpcd"}},
		},
		{
			name: "web2", mac: mac(0x12), says: "addresses: [2001:db8:1::12/64]",
			clients: map[family]*client{v6: {tool: "dhclient"}},
		},
		{
			name: "web3", mac: mac(0x13), says: "slaac: [2001:db8:a::/64]\ndhcp6: {mode: stateless}", private: true,
			clients: map[family]*client{v6: {tool: "dhclient", stateless: true}},
		},
		{
			name: "web4", mac: mac(0x14), says: "addresses: [192.0.2.14/24]",
			clients: map[family]*client{v4: {tool: "dhcpcd"}, v6: {tool: "dhclient"}},
		},
		{
			name: "legacy", mac: mac(0x99),
			clients: map[family]*client{v4: {tool: "udhcpc"}, v6: {tool: "dhclient"}},
		},
	}
}

// network is what every NIC is told alike: the defaults of the network file.
const network = `network: default
gateway: ` + router + `
gateway6: ` + gateway6 + `
dns: [192.0.2.53, 2001:db8::53]
mtu: 1450
dhcp4: {lease: 12h}
dhcp6: {preferred: 6h, valid: 12h}
`

// binding is a binding file as an operator writes it.
func binding(v *vm, says string) string {
	return fmt.Sprintf("nic: %s\nmac: %s\nhostname: %s\n%s\n", v.tap(), v.mac, v.name, says)
}
