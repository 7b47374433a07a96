// Package ganeti reads what Ganeti tells the scripts that it runs for each NIC
// of an instance, and what snf-network's configuration makes of it: how the
// interface is connected, and which identity nfdhcpd would have given it.
// docs/ganeti.md lists every tag, variable and key.
//
// Not here: what a binding file of nfdhcpd means (nfdhcpd), interfaces and
// routing tables (port), and running anything (cmd/berth).
package ganeti

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// The modes of a NIC in Ganeti.
const (
	Bridged = "bridged"
	Routed  = "routed"
)

// Variables are those of the environment that are read.
func Variables() []string {
	return []string{
		"INTERFACE", "MODE", "LINK", "MAC", "IP", "INSTANCE", "TAGS",
		"INTERFACE_INDEX", "INTERFACE_NAME", "INTERFACE_UUID",
		"NETWORK_NAME", "NETWORK_SUBNET", "NETWORK_GATEWAY", "NETWORK_SUBNET6", "NETWORK_GATEWAY6",
		"NETWORK_MAC_PREFIX", "NETWORK_TAGS",
	}
}

// NIC is one NIC as it is to be connected.
type NIC struct {
	Interface string // the host's end
	Mode      string // Bridged or Routed
	Link      string // the bridge; of a routed NIC the routing table, a number or a name
	Network   string // of the binding; "": the default one
	MAC       nic.MAC
	Bound     bool     // it has a binding: one of the tags asks for it
	Served    bool     // and an identity that it is told (tag nfdhcpd)
	Uplinked  bool     // its routes are in Link's table, and the site is told (tag ip-less-routed)
	Warnings  []string // what is asked for and not done

	env      map[string]string
	settings Settings
	filtered bool
}

// Parse reads the environment of one script run. Without a mistake the NIC can
// be connected; a mistake names its variable.
func Parse(env map[string]string, s Settings) (NIC, []manifest.Problem) {
	n := NIC{
		Interface: env["INTERFACE"], Mode: env["MODE"], Link: env["LINK"],
		env: env, settings: s,
	}
	has := func(tag string) bool { return tag != "" && slices.Contains(strings.Fields(env["NETWORK_TAGS"]), tag) }
	n.Served, n.filtered = has(s.Tags.Served), has(s.Tags.Filtered)
	n.Uplinked = has(s.Tags.Uplinked) && n.Mode == Routed
	n.Bound = n.Served || n.filtered || n.Uplinked
	switch s.Namespace {
	case byName:
		n.Network = env["NETWORK_NAME"]
	case byLink:
		n.Network = n.Link
	}
	problems := n.check()
	n.warn(has)
	return n, problems
}

func (n *NIC) check() []manifest.Problem {
	var all []manifest.Problem
	bad := func(name, text string) {
		all = append(all, manifest.Problem{NIC: n.Interface, Field: name, Value: n.env[name], Text: text})
	}
	if !nic.ValidName(n.Interface) {
		bad("INTERFACE", "not the name of an interface")
	}
	switch {
	case n.Mode != Bridged && n.Mode != Routed:
		bad("MODE", "neither bridged nor routed")
	case n.Mode == Bridged && !nic.ValidName(n.Link):
		bad("LINK", "not the name of a bridge")
	case n.Uplinked && n.Link == "":
		bad("LINK", "needed: the routing table of the NIC's network")
	}
	mac, err := nic.ParseMAC(n.env["MAC"])
	if err != nil {
		bad("MAC", "not a MAC address")
	}
	n.MAC = mac
	return all
}

// warn names what snf-network did and berth leaves to others.
func (n *NIC) warn(has func(tag string) bool) {
	s := n.settings
	say := func(format string, args ...any) { n.Warnings = append(n.Warnings, fmt.Sprintf(format, args...)) }
	if has(s.Tags.Masqueraded) {
		say("tag %s: there is no masquerading, as in snf-network", s.Tags.Masqueraded)
	}
	if has(s.Tags.Uplinked) && n.Mode == Bridged {
		say("tag %s: without effect on a bridged NIC", s.Tags.Uplinked)
	}
	if has(s.Tags.Public) || has(s.Tags.DNS) {
		say("the DNS is not updated: snf-network-dnshook can stay for that")
	}
	for _, tag := range strings.Fields(n.env["TAGS"]) {
		if n.isFirewall(tag) {
			say("tag %s: firewall profiles are not berth's; IFUP_EXTRA_SCRIPT can set them", tag)
		}
	}
}

// isFirewall reports a tag synnefo:network:WHICH:PROFILE about this NIC, WHICH
// being its index, name or UUID.
func (n *NIC) isFirewall(tag string) bool {
	rest, ok := strings.CutPrefix(tag, "synnefo:network:")
	which, profile, both := strings.Cut(rest, ":")
	if !ok || !both || !slices.Contains([]string{"protected", "limited", "unprotected"}, profile) {
		return false
	}
	return slices.Contains([]string{n.env["INTERFACE_INDEX"], n.env["INTERFACE_NAME"], n.env["INTERFACE_UUID"]}, which)
}

// File is the binding file that snf-network would have written for nfdhcpd.
func (n *NIC) File() []byte {
	indev := n.Interface
	if n.Mode == Bridged {
		indev = n.Link
	}
	var b strings.Builder
	for _, line := range [][2]string{
		{"INDEV", indev},
		{"IP", n.env["IP"]},
		{"MAC", n.MAC.String()},
		{"HOSTNAME", n.env["INSTANCE"]},
		{"TAGS", n.env["TAGS"]},
		{"GATEWAY", n.env["NETWORK_GATEWAY"]},
		{"SUBNET", n.env["NETWORK_SUBNET"]},
		{"GATEWAY6", n.env["NETWORK_GATEWAY6"]},
		{"SUBNET6", n.env["NETWORK_SUBNET6"]},
	} {
		// A value with a line break would be another key.
		fmt.Fprintf(&b, "%s=%s\n", line[0], strings.Join(strings.Fields(line[1]), " "))
	}
	return []byte(b.String())
}

// Filter is the binding of a NIC that is filtered by MAC addresses and
// otherwise left to the site: its addresses are not known.
func (n *NIC) Filter() []byte {
	type keys = map[string]any
	document, _ := json.Marshal(keys{ // texts and truths always marshal
		"nic": n.Interface, "mac": n.MAC.String(), "served-by": "site",
		"guard": keys{"checks": keys{"arp": false, "nd": false, "ip": false, "l2": false}},
	})
	return document
}

// IsFilter reports whether the NIC's binding is Filter, and not what File says.
func (n *NIC) IsFilter() bool { return n.filtered && !n.Served && !n.Uplinked }

// Complete gives a binding what neither nfdhcpd nor a filter knows. Routing is
// of a NIC that is Uplinked.
func (n *NIC) Complete(b *nic.Binding, routing nic.Routing) {
	b.Network = n.Network
	if n.filtered {
		b.Guard.Peers = []nic.MACRange{n.settings.Mask.of(n.MAC)}
	}
	if n.Uplinked {
		b.Routing = routing
	}
	if !n.Served && !n.IsFilter() { // nobody tells the guest its addresses
		b.DHCP4.Off = true
		b.DHCP6.Mode, b.RA.Mode = nic.DHCP6Off, nic.RAOff
	}
}

// mask is how many leading bits of a MAC are its network's.
type mask struct{ bits uint8 }

func (m mask) of(a nic.MAC) nic.MACRange {
	for i := range a {
		keep := max(0, min(8, int(m.bits)-8*i))
		a[i] &= byte(0xff << (8 - keep))
	}
	return nic.MACRange{MAC: a, Bits: m.bits}
}

// Uses reports whether the NIC has an address of a family, whose uplink
// matters then.
func (n *NIC) Uses(is6 bool) bool {
	if is6 {
		return n.env["NETWORK_SUBNET6"] != ""
	}
	_, err := netip.ParseAddr(n.env["IP"])
	return err == nil
}

// InVariables names mistakes of File by the variables that its keys are made
// of.
func InVariables(problems []manifest.Problem) []manifest.Problem {
	names := map[string]string{
		"HOSTNAME": "INSTANCE", "SUBNET": "NETWORK_SUBNET", "GATEWAY": "NETWORK_GATEWAY",
		"SUBNET6": "NETWORK_SUBNET6", "GATEWAY6": "NETWORK_GATEWAY6", "INDEV": "LINK",
	}
	out := make([]manifest.Problem, 0, len(problems))
	for _, p := range problems {
		p.File, p.Line, p.Column = "", 0, 0
		if name, ok := names[p.Field]; ok {
			p.Field = name
		}
		out = append(out, p)
	}
	return out
}
