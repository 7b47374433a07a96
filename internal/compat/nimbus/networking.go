package nimbus

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// NIC is one NIC of workspace-control's --networking.
type NIC struct {
	Name     string // within its VM
	Network  string // the association it was given from
	Identity Identity
}

// The fields of a NIC in their order; there may be more, which are ignored.
const (
	fieldName = iota
	fieldNetwork
	fieldMAC
	fieldType // not used
	fieldMode // "Static", "Independent"; not used
	fieldIP
	fieldGateway
	fieldBroadcast
	fieldNetmask
	fieldDNS
	fieldHostname
	leastFields
)

// ParseNetworking reads the NICs of one VM: joined by `;;`, fields by `;`, at
// least name, network, MAC, type, mode, IP, gateway, broadcast, netmask, dns
// and hostname. `null` stands for a gateway, broadcast, netmask, dns or
// hostname that is not given. The identities have no interface yet, see
// Identities. The error is Mistakes.
func ParseNetworking(s string) ([]NIC, error) {
	s = strings.TrimSpace(s)
	if n := len(s); n >= 2 && s[0] == '\'' && s[n-1] == '\'' {
		s = s[1 : n-1]
	}
	if s == "" {
		r := reader{}
		r.fail("networking", "", "empty: it names no NIC")
		return nil, r.bad
	}
	var nics []NIC
	var bad Mistakes
	for i, text := range strings.Split(s, ";;") {
		n, problems := parseNIC(fmt.Sprintf("NIC %d", i+1), text)
		nics, bad = append(nics, n), append(bad, problems...)
	}
	return nics, append(bad, twice(nics)...).orNil()
}

func parseNIC(where, text string) (NIC, Mistakes) {
	r := reader{file: where, none: "null"}
	f := strings.Split(text, ";")
	for i := range f {
		f[i] = strings.TrimSpace(f[i])
	}
	if len(f) < leastFields {
		r.fail("networking", text, "%d fields, want at least %d", len(f), leastFields)
		return NIC{}, r.bad
	}
	if f[fieldName] == "" {
		r.fail("name", "", "missing")
	}
	id := Identity{
		MAC:       r.mac("MAC", f[fieldMAC]),
		Address:   r.addr("IP", f[fieldIP]),
		Gateway:   r.optionalAddr("gateway", f[fieldGateway]),
		Broadcast: r.optionalAddr("broadcast", f[fieldBroadcast]),
		Bits:      r.mask("netmask", f[fieldNetmask]),
		Hostname:  r.hostname(f[fieldHostname]),
		DNS:       r.dns(map[string]string{"dns": f[fieldDNS]}, "dns"),
		Tags:      map[string]string{"nimbus-network": f[fieldNetwork], "nimbus-nic": f[fieldName]},
		from: origin{file: where, words: map[string]string{
			"addresses": "IP", "mac": "MAC", "mask": "netmask", "dns": "dns", "tags.nimbus-network": "network", "tags.nimbus-nic": "name",
		}},
	}
	return NIC{Name: f[fieldName], Network: f[fieldNetwork], Identity: id}, r.bad
}

// twice finds what two NICs of one VM have in common and may not.
func twice(nics []NIC) (bad Mistakes) {
	for _, key := range []struct {
		field string
		of    func(NIC) string
	}{
		{"name", func(n NIC) string { return n.Name }},
		{"MAC", func(n NIC) string { return known(n.Identity.MAC, n.Identity.MAC.String()) }},
		{"IP", func(n NIC) string { return known(n.Identity.Address, n.Identity.Address.String()) }},
	} {
		first := map[string]int{}
		for i, n := range nics {
			value := key.of(n)
			if j, dup := first[value]; dup && value != "" {
				bad = append(bad, manifest.Problem{
					File: fmt.Sprintf("NIC %d", i+1), Field: key.field, Value: value, Text: fmt.Sprintf("NIC %d has it already", j),
				})
				continue
			}
			first[value] = i + 1
		}
	}
	return bad
}

// known is the text of a value, "" for the zero one: that is told already.
func known[T comparable](v T, text string) string {
	var zero T
	if v == zero {
		return ""
	}
	return text
}

// Identities gives the NICs of a VM their interfaces, from networks.conf who
// answers them, and a subnet where the string has none. Without a networks.conf
// (nil) berth answers. The error is Mistakes.
func Identities(vm string, nics []NIC, conf *NetworksConf) ([]Identity, error) {
	var bad Mistakes
	ids := make([]Identity, len(nics))
	for i, n := range nics {
		var err error
		id := n.Identity
		if id.NIC, err = Interface(vm, i); err != nil {
			return nil, Mistakes{{Field: "name", Value: vm, Text: err.Error()}}
		}
		if conf != nil {
			id = conf.apply(id, &bad)
		}
		ids[i] = id
	}
	return ids, bad.orNil()
}

func (c *NetworksConf) apply(id Identity, bad *Mistakes) Identity {
	if _, ok := c.Bridge(id.Address); !ok {
		*bad = append(*bad, id.from.problem("addresses", id.Address.String(), "networks.conf has no bridge for it, and no default bridge"))
	}
	if !c.LocalDHCP {
		id.Serve = Site
	}
	var subnets []netip.Prefix
	for _, r := range c.Ranges {
		if r.Subnet.IsValid() {
			subnets = append(subnets, r.Subnet)
		}
	}
	return id.Within(subnets)
}

// maxVM leaves room for the index in an interface's name.
const maxVM = 13

// vmName checks a VM's name and lowers it: interfaces are called after it.
func vmName(s string) (string, error) {
	vm := strings.ToLower(s)
	inside := func(r rune) bool { return r == '-' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' }
	switch {
	case vm == "":
		return "", fmt.Errorf("a VM needs a name")
	case len(vm) > maxVM:
		return "", fmt.Errorf("%d characters, want at most %d", len(vm), maxVM)
	case vm[0] < 'a' || vm[0] > 'z':
		return "", fmt.Errorf("does not begin with a letter")
	case slices.ContainsFunc([]rune(vm), func(r rune) bool { return !inside(r) }):
		return "", fmt.Errorf("has other characters than a-z, 0-9 and hyphen")
	}
	return vm, nil
}

// Interface is the name that workspace-control gives the VM's NIC of this
// index, counted from 0.
func Interface(vm string, index int) (string, error) {
	vm, err := vmName(vm)
	if err != nil {
		return "", err
	}
	name := vm + "-" + strconv.Itoa(index)
	if !nic.ValidName(name) {
		return "", fmt.Errorf("%s is too long for an interface's name", name)
	}
	return name, nil
}
