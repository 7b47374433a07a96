// Package dnsmasq reads the DHCP part of dnsmasq's configuration (dnsmasq(8)),
// its files of hosts and options, and its leases, and makes dhcp-host lines
// and leases into hosts.
//
// Not here: DNS, TFTP, and tags that depend on what a client sends; each is
// told in a note.
package dnsmasq

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/compat"
)

// Parse reads configurations and leases.
func Parse(in compat.Input) compat.Result {
	r := &reader{in: in}
	for _, f := range in.Files {
		r.config(f, 0)
	}
	r.finish()
	for _, f := range in.Leases {
		r.leases(f)
	}
	r.Sort()
	return r.Result
}

// maxDepth bounds files that include one another.
const maxDepth = 8

// reader collects lines, whose order means nothing to dnsmasq, and makes hosts
// when all are read.
type reader struct {
	compat.Result
	in      compat.Input
	ranges  []scope
	hosts   []line
	options []option
	boots   []boot
	domain  string
	noDNS   bool // port=0
	serveRA bool
}

// line is a key with its value, and the value's parts.
type line struct {
	compat.Place
	key, value string
}

func (l line) parts() []string {
	parts := strings.Split(l.value, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// lines cuts a file; a # begins a comment at the start of a line or behind a
// blank, not inside quotes.
func lines(f compat.File) []line {
	var out []line
	n := 0
	for text := range strings.Lines(string(f.Data)) {
		n++
		if text = strings.TrimSpace(uncomment(text)); text != "" {
			key, value, _ := strings.Cut(text, "=")
			out = append(out, line{compat.Place{File: f.Name, Line: n}, strings.TrimSpace(key), strings.TrimSpace(value)})
		}
	}
	return out
}

// uncomment also takes quotes away.
func uncomment(text string) string {
	var b strings.Builder
	quoted := false
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case c == '#' && !quoted && (i == 0 || text[i-1] == ' ' || text[i-1] == '\t'):
			return b.String()
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func (r *reader) config(f compat.File, depth int) {
	for _, l := range lines(f) {
		l.key = strings.TrimPrefix(l.key, "--")
		r.line(l, depth)
	}
}

func (r *reader) line(l line, depth int) {
	switch l.key {
	case "dhcp-host":
		r.hosts = append(r.hosts, l)
	case "dhcp-range":
		r.rangeLine(l)
	case "dhcp-option", "dhcp-option-force":
		r.optionLine(l)
	case "dhcp-boot":
		r.bootLine(l)
	case "domain":
		r.domainLine(l)
	case "port":
		r.noDNS = l.value == "0"
	case "enable-ra":
		r.serveRA = true
		r.Note(l.Place, "enable-ra: the router's link-local is not in the file; give it to the network as gateway6")
	case "conf-file", "dhcp-hostsfile", "dhcp-optsfile":
		r.include(l, depth)
	default:
		if !slices.Contains(process(), l.key) {
			r.Note(l.Place, "%s is not carried: %s", text(l), why(l.key))
		}
	}
}

func text(l line) string {
	if l.value == "" {
		return l.key
	}
	return l.key + "=" + l.value
}

func (r *reader) include(l line, depth int) {
	if r.in.Include == nil || depth >= maxDepth {
		r.Note(l.Place, "%s is not read", text(l))
		return
	}
	files, err := r.in.Include(l.File, l.value)
	if err != nil {
		r.Note(l.Place, "%s: %v", text(l), err)
	}
	for _, f := range files {
		switch l.key {
		case "conf-file":
			r.config(f, depth+1)
		case "dhcp-hostsfile":
			r.bare(f, "dhcp-host", depth)
		case "dhcp-optsfile":
			r.bare(f, "dhcp-option", depth)
		}
	}
}

// bare reads a file whose lines are values of one key.
func (r *reader) bare(f compat.File, key string, depth int) {
	for _, l := range lines(f) {
		if _, again := strings.CutPrefix(l.key, key); !again {
			value := l.key
			if l.value != "" {
				value += "=" + l.value
			}
			l.key, l.value = key, value
		}
		r.line(l, depth+1)
	}
}

func (r *reader) domainLine(l line) {
	if parts := l.parts(); len(parts) == 1 && l.value != "#" {
		r.domain = l.value
		return
	}
	r.Note(l.Place, "%s is not carried: only a domain for all addresses is", text(l))
}

// process are the keys about dnsmasq itself, and about clients of no dhcp-host.
func process() []string {
	return []string{
		"dhcp-authoritative", "dhcp-leasefile", "dhcp-lease-max", "dhcp-no-override", "dhcp-rapid-commit", "dhcp-sequential-ip",
		"no-ping", "log-dhcp", "log-queries", "log-facility", "log-async", "quiet-dhcp", "quiet-dhcp6", "quiet-ra", "user", "group",
		"pid-file", "interface", "except-interface", "listen-address", "bind-interfaces", "bind-dynamic", "no-daemon", "keep-in-foreground",
		"leasefile-ro", "dhcp-fqdn", "expand-hosts", "dhcp-broadcast", "no-dhcp-interface", "no-dhcpv4-interface", "no-dhcpv6-interface",
	}
}

func why(key string) string {
	switch key {
	case "dhcp-vendorclass", "dhcp-userclass", "dhcp-mac", "dhcp-match", "dhcp-name-match", "dhcp-circuitid", "dhcp-remoteid",
		"dhcp-subscrid", "tag-if", "dhcp-ignore", "dhcp-ignore-names", "dhcp-generate-names", "dhcp-ignore-clid":
		return "it depends on what a client sends"
	case "dhcp-script", "dhcp-luascript", "dhcp-scriptuser":
		return "berth runs nothing for an answer; berth events tells them"
	case "dhcp-relay", "dhcp-proxy":
		return "it is about a relay"
	case "enable-tftp", "tftp-root", "tftp-secure", "pxe-service", "pxe-prompt":
		return "berth serves no files"
	case "ra-param", "dhcp-duid":
		return "give it to the network as keys of ra or dhcp6"
	case "read-ethers", "dhcp-hostsdir", "dhcp-optsdir", "conf-dir", "conf-script", "servers-file":
		return "what it names is not read; give its files on the command line"
	}
	return "it is not about who a NIC is"
}

// scope is a dhcp-range: a subnet and what goes with it.
type scope struct {
	compat.Place
	subnet    netip.Prefix
	broadcast netip.Addr
	lease     compat.Time
	tag       string
	untold    bool // that its server is unknown is told
}
