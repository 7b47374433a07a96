package nimbus

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// marker is the line below which dhcp-conf-alter kept its entries.
const marker = "DHCP-CONFIG-AUTOMATIC-BEGINS"

// Entry is one `host` of dhcpd.conf as dhcp-conf-alter wrote it. It does not
// say which interface the MAC is behind.
type Entry struct {
	Name     string // of the `host`
	Identity Identity
	Line     int
}

// On is the entry's identity at an interface.
func (e Entry) On(iface string) Identity {
	id := e.Identity
	id.NIC = iface
	return id
}

// ParseEntries reads the entries below the marker. What an entry leaves to the
// file is taken from there as dhcpd does: the mask from the `subnet` that has
// the address (dhcp-conf-alter lost those it was given), lease times from the
// global statements. A broken entry costs itself. The file's own addresses are
// not in it: see Identity.ServedFrom for the server identifier.
func ParseEntries(file string, data []byte) (entries []Entry, problems []manifest.Problem) {
	r := reader{file: file}
	above, below, found := strings.Cut(string(data), marker)
	if !found {
		r.fail("", "", "there is no line with %s, below which the entries are", marker)
		return nil, r.bad
	}
	global := r.global(statements(above, 1))
	// What is left of the marker's own line is its comment.
	first := 1 + strings.Count(above, "\n")
	_, below, _ = strings.Cut(below, "\n")
	seen := map[string]string{}
	for _, s := range statements(below, first+1) {
		r.line = s.line
		if len(s.words) != 2 || s.words[0] != "host" || !s.block {
			r.fail("", "", "not an entry of dhcp-conf-alter, it is left out: %s", strings.Join(s.words, " "))
			continue
		}
		if e, ok := r.entry(s, global, seen); ok {
			entries = append(entries, e)
		}
	}
	return entries, r.bad
}

// global is what the part above the marker gives to every entry.
type global struct {
	subnets    []netip.Prefix
	lease, max nic.Seconds
}

func (r *reader) global(all []statement) (g global) {
	for _, s := range all {
		switch {
		case len(s.words) == 4 && s.words[0] == "subnet" && s.words[2] == "netmask":
			quiet := reader{} // the site's own part of the file is not ours to judge
			a, bits := quiet.addr("", s.words[1]), quiet.mask("", s.words[3])
			if len(quiet.bad) == 0 {
				g.subnets = append(g.subnets, netip.PrefixFrom(a, bits).Masked())
			}
		case s.block: // shared-network, group
			g.subnets = append(g.subnets, r.global(s.inside).subnets...)
		case len(s.words) == 2:
			g.times(s.words[0], s.words[1])
		}
	}
	return g
}

func (g *global) times(key, value string) {
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return
	}
	switch key {
	case "default-lease-time":
		g.lease = nic.Seconds(n)
	case "max-lease-time":
		g.max = nic.Seconds(n)
	}
}

func (r *reader) entry(s statement, g global, seen map[string]string) (e Entry, ok bool) {
	before := len(r.bad)
	e = Entry{Name: s.words[1], Line: s.line}
	e.Identity = Identity{Hostname: e.Name, Lease: g.lease, MaxLease: g.max, from: origin{file: r.file, line: s.line, words: map[string]string{
		"addresses": "fixed-address", "mac": "hardware ethernet", "mask": "option subnet-mask", "gateway": "option routers",
		"broadcast": "option broadcast-address", "dns": "option domain-name-servers", "hostname": "option host-name",
		"dhcp4.lease": "default-lease-time", "dhcp4.max-lease": "max-lease-time",
	}}}
	for _, inner := range s.inside {
		r.line = inner.line
		if inner.block || inner.words[0] == "" {
			r.fail("", "", "no statement of dhcp-conf-alter: %s", strings.Join(inner.words, " "))
			continue
		}
		r.statement(&e.Identity, inner.words)
	}
	r.line = s.line
	id := &e.Identity
	id.MaxLease = max(id.Lease, id.MaxLease)
	if !id.Address.IsValid() && len(r.bad) == before {
		r.fail("fixed-address", "", "missing")
	}
	if id.MAC.IsZero() && len(r.bad) == before {
		r.fail("hardware ethernet", "", "missing")
	}
	if len(r.bad) > before || !r.first("fixed-address", id.Address.String(), seen) || !r.first("hardware ethernet", id.MAC.String(), seen) {
		return e, false
	}
	*id = id.Within(g.subnets)
	return e, true
}

// statement reads one line of an entry. Lists are taken with commas and
// without: dhcp-conf-alter left them out, which dhcpd refused.
func (r *reader) statement(id *Identity, words []string) {
	const option = "option"
	key, values := words[0], words[1:]
	if key == option || key == "hardware" {
		if len(values) == 0 {
			r.fail(key, "", "incomplete")
			return
		}
		key, values = key+" "+values[0], values[1:]
	}
	if key == "option domain-name-servers" {
		for _, v := range values {
			id.DNS = append(id.DNS, r.addr(key, v))
		}
		return
	}
	if len(values) != 1 {
		r.fail(key, strings.Join(values, " "), "want one value, it has %d", len(values))
		return
	}
	r.single(id, key, values[0])
}

func (r *reader) single(id *Identity, key, value string) {
	switch key {
	case "hardware ethernet":
		id.MAC = r.mac(key, value)
	case "fixed-address":
		id.Address = r.addr(key, value)
	case "option host-name":
		id.Hostname = value
	case "option subnet-mask":
		id.Bits = r.mask(key, value)
	case "option routers":
		id.Gateway = r.addr(key, value)
	case "option broadcast-address":
		id.Broadcast = r.addr(key, value)
	case "default-lease-time":
		id.Lease = r.time(key, value)
	case "max-lease-time":
		id.MaxLease = r.time(key, value)
	default:
		r.fail(key, value, "no statement of dhcp-conf-alter")
	}
}

func (r *reader) time(key, value string) nic.Seconds {
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil || n == 0 {
		r.fail(key, value, "not a number of seconds")
	}
	return nic.Seconds(n)
}
