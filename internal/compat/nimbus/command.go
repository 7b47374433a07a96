package nimbus

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Command is one call of dhcp-config or ebtables-config.
type Command struct {
	Remove  bool
	NIC     string
	Address netip.Addr // which a removal names; zero if it names the NIC alone
	// DHCPInterface is where the node's DHCP server listened for the NIC; "" if
	// the call does not say.
	DHCPInterface string
	Identity      Identity // of an addition
}

const (
	dhcpAdd     = "add <vifname> <ipaddr> <dhcpif> <macaddr> <broadcast> <subnetmask> <gateway> <hostname> <dns1> <dns2>"
	dhcpRem     = "rem <vifname> <ipaddr>"
	ebtablesAdd = "add <vifname> <macaddr> <ipaddr> [<dhcpif>]"
	ebtablesOld = "add <vifname> <dhcpif> <macaddr> <ipaddr>"
	ebtablesRem = "rem <vifname>"
)

// ParseDHCPConfig reads the arguments of dhcp-config, which has no flags:
//
//	add <vifname> <ipaddr> <dhcpif> <macaddr> <broadcast> <subnetmask> <gateway> <hostname> <dns1> <dns2>
//	rem <vifname> <ipaddr>
//
// `none` stands for a broadcast, mask, gateway, hostname or DNS server that is
// not given. The error is Mistakes.
func ParseDHCPConfig(args []string) (Command, error) {
	switch verb(args) {
	case "add":
		return parseDHCPAdd(args)
	case "rem":
		return parseDHCPRem(args)
	}
	return Command{}, badVerb(args, dhcpAdd, dhcpRem)
}

func parseDHCPAdd(args []string) (Command, error) {
	names := []string{"vifname", "ipaddr", "dhcpif", "macaddr", "broadcast", "subnetmask", "gateway", "hostname", "dns1", "dns2"}
	f, err := named(args, names, dhcpAdd)
	if err != nil {
		return Command{}, err
	}
	r := reader{none: "none"}
	id := Identity{
		NIC:       r.name("vifname", f["vifname"]),
		Address:   r.addr("ipaddr", f["ipaddr"]),
		MAC:       r.mac("macaddr", f["macaddr"]),
		Broadcast: r.optionalAddr("broadcast", f["broadcast"]),
		Bits:      r.mask("subnetmask", f["subnetmask"]),
		Gateway:   r.optionalAddr("gateway", f["gateway"]),
		Hostname:  r.hostname(f["hostname"]),
		DNS:       slices.Compact(r.dns(f, "dns1", "dns2")),
		from:      origin{words: argumentWords()},
	}
	c := Command{NIC: id.NIC, Address: id.Address, DHCPInterface: r.name("dhcpif", f["dhcpif"]), Identity: id}
	return c, r.bad.orNil()
}

func argumentWords() map[string]string {
	return map[string]string{
		"nic": "vifname", "addresses": "ipaddr", "mac": "macaddr", "broadcast": "broadcast", "mask": "subnetmask",
		"gateway": "gateway", "hostname": "hostname", "dns[0]": "dns1", "dns[1]": "dns2", "dns": "dns1",
	}
}

func parseDHCPRem(args []string) (Command, error) {
	f, err := named(args, []string{"vifname", "ipaddr"}, dhcpRem)
	if err != nil {
		return Command{}, err
	}
	r := reader{}
	c := Command{Remove: true, NIC: r.name("vifname", f["vifname"]), Address: r.addr("ipaddr", f["ipaddr"])}
	return c, r.bad.orNil()
}

// ParseEbtablesConfig reads the arguments of ebtables-config, which has no
// flags:
//
//	add <vifname> <macaddr> <ipaddr> [<dhcpif>]
//	add <vifname> <dhcpif> <macaddr> <ipaddr>     TP 2.2 and before
//	rem <vifname>
//
// The two additions are told apart by which argument is a MAC address. An
// addition names no subnet: its Identity keeps DHCP from the site if it names
// the interface of a local server, and leaves DHCP to the site if not. The
// error is Mistakes.
func ParseEbtablesConfig(args []string) (Command, error) {
	switch verb(args) {
	case "add":
		return parseEbtablesAdd(args)
	case "rem":
		f, err := named(args, []string{"vifname"}, ebtablesRem)
		if err != nil {
			return Command{}, err
		}
		r := reader{}
		return Command{Remove: true, NIC: r.name("vifname", f["vifname"])}, r.bad.orNil()
	}
	return Command{}, badVerb(args, ebtablesAdd, ebtablesOld, ebtablesRem)
}

func parseEbtablesAdd(args []string) (Command, error) {
	names, form := ebtablesForm(args)
	f, err := named(args, names, form)
	if err != nil {
		return Command{}, err
	}
	r := reader{none: "none"}
	id := Identity{
		NIC:     r.name("vifname", f["vifname"]),
		MAC:     r.mac("macaddr", f["macaddr"]),
		Address: r.addr("ipaddr", f["ipaddr"]),
		Serve:   Site,
		from:    origin{words: argumentWords()},
	}
	c := Command{NIC: id.NIC, Address: id.Address}
	if on, given := f["dhcpif"]; given {
		c.DHCPInterface, id.Serve = r.name("dhcpif", on), Hush
	}
	c.Identity = id
	return c, r.bad.orNil()
}

// ebtablesForm tells which of the forms the words have.
func ebtablesForm(args []string) (names []string, form string) {
	const withInterface = 5
	if len(args) != withInterface {
		return []string{"vifname", "macaddr", "ipaddr"}, ebtablesAdd
	}
	_, now := sixPairs(args[2])
	_, before := sixPairs(args[3])
	if before && !now {
		return []string{"vifname", "dhcpif", "macaddr", "ipaddr"}, ebtablesOld
	}
	return []string{"vifname", "macaddr", "ipaddr", "dhcpif"}, ebtablesAdd
}

func verb(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func badVerb(args []string, forms ...string) error {
	text := "missing"
	if len(args) > 0 {
		text = "neither add nor rem"
	}
	r := reader{}
	r.fail("verb", verb(args), "%s: want `%s`", text, strings.Join(forms, "` or `"))
	return r.bad
}

// named gives each argument behind the verb its name; none may be left over
// or missing.
func named(args, names []string, form string) (map[string]string, error) {
	r := reader{}
	args = args[1:]
	switch {
	case len(args) < len(names):
		r.fail(names[len(args)], "", "missing: %s", counted(args, form))
	case len(args) > len(names):
		r.fail(fmt.Sprintf("argument %d", len(names)+2), args[len(names)], "one too many: %s", counted(args, form))
	}
	if len(r.bad) > 0 {
		return nil, r.bad
	}
	fields := map[string]string{}
	for i, name := range names {
		fields[name] = args[i]
	}
	return fields, nil
}

func counted(args []string, form string) string {
	return fmt.Sprintf("%d words for `%s`", len(args)+1, form)
}
