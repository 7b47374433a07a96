package nimbus

import (
	"net/netip"
	"strings"

	"github.com/berth-net/berth/internal/compat/ini"
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
	// Python's ConfigParser, but for the case of keys: some are names of bridges.
	configParser := ini.Dialect{Comment: "#;", Inline: ";", Separator: ":=", Continued: true}
	p := confParser{
		problems: reader{file: file}, warnings: reader{file: file},
		conf: NetworksConf{DHCPBridges: map[string]string{}},
	}
	for _, l := range configParser.Lines(string(data)) {
		p.problems.line, p.warnings.line = l.Number, l.Number
		p.read(l)
	}
	return p.conf, p.problems.bad, p.warnings.bad
}

type confParser struct {
	problems, warnings reader
	conf               NetworksConf
}

func (p *confParser) read(l ini.Line) {
	name := l.Section + "." + l.Key
	switch {
	case l.Kind == ini.Section:
	case l.Kind == ini.BadSection:
		p.problems.fail("", "", "not a section such as [bridges]: %s", l.Text)
	case l.Kind == ini.Unknown:
		p.problems.fail("", "", "neither a section nor `key: value`: %s", l.Text)
	case l.First > 0: // which one counts would be a guess
		p.again(name, l)
	case l.Section == "bridges":
		p.bridge(name, l)
	case l.Kind == ini.More:
		p.problems.fail(name, l.Value, "goes on in a second line")
	default:
		p.setting(name, l)
	}
}

func (p *confParser) again(name string, l ini.Line) {
	if l.Kind == ini.Setting {
		p.problems.fail(name, l.Value, "set twice, first at line %d", l.First)
	}
}

func (p *confParser) setting(name string, s ini.Line) {
	switch strings.ToLower(name) {
	case "defaultbridge.default":
		p.conf.Default = p.interfaceOrNone(name, s.Value)
	case "dhcp.localdhcp":
		p.localDHCP(name, s.Value)
	case "netsecurity.ebtablesconfig", "dhcp.dhcpconfig":
		if s.Value == "" {
			p.warnings.fail(name, "", "empty switched it off; berth guards every NIC all the same, see guard.mode in docs/binding.md")
		}
	case "sudo.sudo": // which sudo is workspace-control's own business
	default:
		p.other(name, s)
	}
}

func (p *confParser) other(name string, s ini.Line) {
	if s.Section != "dhcp-bridges" {
		p.warnings.fail(name, s.Value, "not read by berth")
		return
	}
	p.problems.name(name, s.Key)
	p.conf.DHCPBridges[s.Key] = p.interfaceOrNone(name, s.Value)
}

func (p *confParser) interfaceOrNone(name, value string) string {
	if value == "" {
		return ""
	}
	return p.problems.name(name, value)
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

func (p *confParser) bridge(name string, s ini.Line) {
	if s.Kind == ini.Setting {
		p.problems.name(name, s.Key)
	}
	for text := range strings.SplitSeq(s.Value, ",") {
		if text = strings.TrimSpace(text); text != "" {
			p.addRange(name, text, s)
		}
	}
}

func (p *confParser) addRange(name, text string, s ini.Line) {
	r, ok := parseRange(text)
	if !ok {
		p.problems.fail(name, text, "not a range of IPv4 addresses such as 192.0.2.0/24 or 192.0.2.10-192.0.2.19")
		return
	}
	r.Bridge, r.Line, r.Text = s.Key, s.Number, text
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
