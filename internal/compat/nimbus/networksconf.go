package nimbus

import (
	"net/netip"
	"strings"

	"github.com/berth-net/berth/internal/manifest"
)

// NetworksConf is workspace-control's networks.conf.
type NetworksConf struct {
	Default     string            // the bridge of addresses that no range has; "": none
	Ranges      []Range           // in the order of the file, none overlaps another
	LocalDHCP   bool              // the node's own server answers; false: the site's
	DHCPBridges map[string]string // bridge: the interface on it where the node's server listened
}

// Range are the addresses of one bridge, both ends included.
type Range struct {
	Bridge      string
	First, Last netip.Addr
	Subnet      netip.Prefix // as it was written; zero for a range `a-b`
	Line        int
	Text        string
}

// Bridge returns the bridge of the first range that has the address, else the
// default one; ok is false if there is none.
func (c *NetworksConf) Bridge(a netip.Addr) (bridge string, ok bool) {
	for _, r := range c.Ranges {
		if r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0 {
			return r.Bridge, true
		}
	}
	return c.Default, c.Default != ""
}

// ParseNetworksConf reads networks.conf. What berth does in another way, or
// not at all, is a warning.
func ParseNetworksConf(file string, data []byte) (c NetworksConf, problems, warnings []manifest.Problem) {
	settings, bad := parseINI(file, string(data))
	p := confParser{
		problems: reader{file: file, bad: bad}, warnings: reader{file: file},
		conf: NetworksConf{DHCPBridges: map[string]string{}}, seen: map[string]int{},
	}
	for _, s := range settings {
		p.problems.line, p.warnings.line = s.line, s.line
		p.setting(s)
	}
	return p.conf, p.problems.bad, p.warnings.bad
}

type confParser struct {
	problems, warnings reader
	conf               NetworksConf
	seen               map[string]int // line of a setting
}

func (p *confParser) setting(s setting) {
	name := s.section + "." + s.key
	if s.section == "bridges" {
		p.bridge(s)
		return
	}
	if s.more {
		p.problems.fail(name, s.value, "goes on in a second line")
		return
	}
	if p.again(name, s) {
		return
	}
	switch strings.ToLower(name) {
	case "defaultbridge.default":
		p.conf.Default = p.interfaceOrNone(name, s.value)
	case "dhcp.localdhcp":
		p.localDHCP(name, s.value)
	case "netsecurity.ebtablesconfig", "dhcp.dhcpconfig":
		if s.value == "" {
			p.warnings.fail(name, "", "empty switched it off; berth guards every NIC all the same, see guard.mode in docs/binding.md")
		}
	case "sudo.sudo": // which sudo is workspace-control's own business
	default:
		p.other(name, s)
	}
}

func (p *confParser) other(name string, s setting) {
	if s.section != "dhcp-bridges" {
		p.warnings.fail(name, s.value, "not read by berth")
		return
	}
	p.problems.name(name, s.key)
	p.conf.DHCPBridges[s.key] = p.interfaceOrNone(name, s.value)
}

func (p *confParser) interfaceOrNone(name, value string) string {
	if value == "" {
		return ""
	}
	return p.problems.name(name, value)
}

// again refuses what is set twice: which one counts would be a guess.
func (p *confParser) again(name string, s setting) bool {
	first, dup := p.seen[name]
	if dup {
		p.problems.fail(name, s.value, "set twice, first at line %d", first)
		return true
	}
	p.seen[name] = s.line
	return false
}

func (p *confParser) localDHCP(name, value string) {
	switch strings.ToLower(value) {
	case "true", "yes", "on", "1":
		p.conf.LocalDHCP = true
	case "false", "no", "off", "0", "":
	default:
		p.problems.fail(name, value, "want true or false")
	}
}

func (p *confParser) bridge(s setting) {
	name := s.section + "." + s.key
	if !s.more {
		if p.again(name, s) {
			return
		}
		p.problems.name(name, s.key)
	}
	for text := range strings.SplitSeq(s.value, ",") {
		if text = strings.TrimSpace(text); text != "" {
			p.addRange(name, text, s)
		}
	}
}

func (p *confParser) addRange(name, text string, s setting) {
	r, ok := parseRange(text)
	if !ok {
		p.problems.fail(name, text, "not a range of IPv4 addresses such as 192.0.2.0/24 or 192.0.2.10-192.0.2.19")
		return
	}
	r.Bridge, r.Line, r.Text = s.key, s.line, text
	for _, o := range p.conf.Ranges {
		if r.First.Compare(o.Last) <= 0 && o.First.Compare(r.Last) <= 0 {
			p.problems.fail(name, text, "overlaps %s of %s at line %d", o.Text, o.Bridge, o.Line)
			return
		}
	}
	p.conf.Ranges = append(p.conf.Ranges, r)
}

// parseRange reads a CIDR, `a-b` with both ends included, or one address.
func parseRange(s string) (r Range, ok bool) {
	if subnet, err := netip.ParsePrefix(s); err == nil && subnet.Addr().Is4() {
		subnet = subnet.Masked()
		return Range{First: subnet.Addr(), Last: lastOf(subnet), Subnet: subnet}, true
	}
	first, last, ranged := strings.Cut(s, "-")
	if !ranged {
		last = first
	}
	a, err1 := netip.ParseAddr(strings.TrimSpace(first))
	b, err2 := netip.ParseAddr(strings.TrimSpace(last))
	return Range{First: a, Last: b}, err1 == nil && err2 == nil && a.Is4() && b.Is4() && a.Compare(b) <= 0
}

func lastOf(p netip.Prefix) netip.Addr {
	a := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		a[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(a)
}
