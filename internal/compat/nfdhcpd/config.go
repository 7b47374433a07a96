package nfdhcpd

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// Mode is how guests get their IPv6 address.
type Mode uint8

// The modes.
const (
	ModeSLAAC       Mode = iota // by autoconfiguration
	ModeSLAACDHCPv6             // and configuration by stateless DHCPv6
	ModeDHCPv6                  // by DHCPv6, which nfdhcpd never had
)

// dhcp6 is the mode's word in a binding.
func (m Mode) dhcp6() string {
	return [...]string{ModeSLAAC: "off", ModeSLAACDHCPv6: "stateless", ModeDHCPv6: "stateful"}[m]
}

// Config is nfdhcpd.conf as far as it says something to guests.
type Config struct {
	Datapath string // the directory of the binding files

	EnableDHCP    bool
	LeaseLifetime nic.Seconds
	LeaseRenewal  nic.Seconds // T1; zero: not sent
	ServerIP      netip.Addr
	ServerOnLink  bool // the gateway or first host instead of ServerIP
	Nameservers   []netip.Addr
	Domain        string // "": each NIC's own, from its HOSTNAME

	EnableIPv6   bool
	Mode         Mode
	RAPeriod     nic.Seconds // within what RFC 4861 allows
	Nameservers6 []netip.Addr
	Domains      []string
}

// The bounds of what a binding takes.
const (
	minLease    = nic.Seconds(60)
	minRAPeriod = nic.Seconds(4) // RFC 4861 section 6.2.1
	maxRAPeriod = nic.Seconds(1800)
)

// ParseConfig reads nfdhcpd.conf. With any error the configuration is not to
// be used; warnings tell what berth does otherwise than nfdhcpd, or not at all.
func ParseConfig(file string, data []byte) (Config, []manifest.Problem, []manifest.Problem) {
	r := confReader{file: file, lines: map[string]setting{}}
	settings, problems := readINI(file, data)
	r.problems = problems
	r.conf.EnableDHCP, r.conf.EnableIPv6, r.conf.RAPeriod = true, true, 600
	for _, s := range settings {
		r.take(s)
	}
	r.missing()
	if len(r.problems) == 0 {
		r.resolve()
		r.bounds()
		r.check()
	}
	r.sort()
	return r.conf, r.problems, r.warnings
}

type confReader struct {
	file               string
	conf               Config
	mode               string
	rs, ns, v6, alias6 uint64 // queue numbers; 0 is none
	lines              map[string]setting

	problems, warnings []manifest.Problem
}

func (r *confReader) at(key, text string) manifest.Problem {
	p := manifest.Problem{File: r.file, Field: key, Text: text}
	if s, ok := r.lines[key]; ok {
		p.Line, p.Column, p.Value = s.line, 1, s.text()
	}
	return p
}

func (r *confReader) bad(key, text string)  { r.problems = append(r.problems, r.at(key, text)) }
func (r *confReader) warn(key, text string) { r.warnings = append(r.warnings, r.at(key, text)) }

func (r *confReader) sort() {
	byLine := func(x, y manifest.Problem) int { return cmp.Compare(x.Line, y.Line) }
	slices.SortStableFunc(r.problems, byLine)
	slices.SortStableFunc(r.warnings, byLine)
}

func (r *confReader) take(s setting) {
	r.lines[s.key] = s
	i := slices.IndexFunc(confKeys(), func(k confKey) bool { return k.name == s.key })
	if i < 0 {
		r.warn(s.key, "unknown; nfdhcpd ignored it too")
		return
	}
	k := confKeys()[i]
	if k.note != "" {
		r.warn(s.key, k.note)
	}
	if err := k.set(r, s); err != nil {
		r.bad(s.key, err.Error())
	}
}

func (r *confReader) missing() {
	for _, k := range confKeys() {
		if _, ok := r.lines[k.name]; k.required && !ok {
			r.bad(k.name, "missing")
		}
	}
}

// resolve decides the mode. Which queues there are says no more than that.
func (r *confReader) resolve() {
	const modeKey = "ipv6.mode"
	v6 := cmp.Or(r.v6, r.alias6)
	switch {
	case !r.conf.EnableIPv6:
	case r.mode == "slaac":
		r.conf.Mode = ModeSLAAC
	case r.mode == "slaac+dhcpv6":
		r.conf.Mode = ModeSLAACDHCPv6
	case r.mode == "dhcpv6":
		r.conf.Mode = ModeDHCPv6
	case r.rs != 0 && r.ns != 0 && v6 != 0:
		r.conf.Mode = ModeSLAACDHCPv6
	case r.rs != 0 && r.ns != 0:
		r.conf.Mode = ModeSLAAC
	case v6 != 0:
		r.conf.Mode = ModeDHCPv6
	default:
		r.bad(modeKey, "auto follows rs_queue, ns_queue and dhcpv6_queue, and too few are set; write slaac or slaac+dhcpv6")
	}
	if r.conf.Mode == ModeDHCPv6 {
		r.warn(modeKey, "stateful DHCPv6, with which nfdhcpd did not start: guests get their address by DHCPv6")
	}
}

// bounds brings times into what berth takes, and says so.
func (r *confReader) bounds() {
	c := &r.conf
	if c.LeaseLifetime < minLease {
		r.warn("dhcp.lease_lifetime", fmt.Sprintf("leases are of %d seconds at least", minLease))
		c.LeaseLifetime = minLease
	}
	if c.LeaseRenewal >= c.LeaseLifetime {
		r.warn("dhcp.lease_renewal", "not before the lease ends: not sent, and guests renew after half of it (RFC 2131 section 4.4.5)")
		c.LeaseRenewal = 0
	}
	if p := min(max(c.RAPeriod, minRAPeriod), maxRAPeriod); p != c.RAPeriod {
		r.warn("ipv6.ra_period", fmt.Sprintf("%d seconds are used: must be %d to %d (RFC 4861 section 6.2.1)", p, minRAPeriod, maxRAPeriod))
		c.RAPeriod = p
	}
}

// check gives the configuration to a NIC, so that what every binding would
// refuse is told once and where it is written.
func (r *confReader) check() {
	if len(r.problems) > 0 {
		return
	}
	const plain = "MAC=02:00:00:00:00:01\nHOSTNAME=host\nSUBNET6=2001:db8::/64\n"
	for _, p := range (Format{r.conf}).Parse("/tap", []byte(plain), Hosts{}).Problems {
		r.bad(p.Field, p.Text)
		r.problems[len(r.problems)-1].Value = p.Value
	}
}

// confOrigin is the key that gave a field of a binding.
func confOrigin(field string) string {
	switch field {
	case "domain":
		return "dhcp.domain"
	case "search":
		return "ipv6.domains"
	case "dhcp4.server-id":
		return "dhcp.server_ip"
	case "dhcp4.options": // all together are too many
		return "dhcp.nameservers"
	case "ra":
		return "ipv6.nameservers"
	}
	return field
}

// indexIn is the number in "dns[3]".
func indexIn(field string) int {
	_, s, _ := strings.Cut(field, "[")
	n, err := strconv.Atoi(strings.TrimSuffix(s, "]"))
	if err != nil {
		return 0
	}
	return n
}
