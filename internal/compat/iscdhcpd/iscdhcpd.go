// Package iscdhcpd reads the configuration of ISC dhcpd (dhcpd.conf(5),
// dhcp-options(5), dhcpd.leases(5)), of DHCPv4 and DHCPv6, and makes its host
// declarations and active leases into hosts.
//
// Not here: pools, classes and conditions, whose outcome depends on who asks;
// each is told in a note.
package iscdhcpd

import (
	"errors"
	"maps"
	"net/netip"
	"strings"

	"github.com/berth-net/berth/internal/compat"
)

// Parse reads configurations and leases. What stands behind a mistake of the
// grammar is not read, and the mistake is told.
func Parse(in compat.Input) compat.Result {
	r := &reader{in: in, custom: map[string]compat.Definition{}}
	root := &scope{}
	for _, f := range in.Files {
		r.block(r.load(f), root, 0)
	}
	r.finish()
	r.Sort()
	return r.Result
}

// reader collects declarations: options may stand behind the hosts that they
// are for, so hosts are made when all is read.
type reader struct {
	compat.Result
	in      compat.Input
	custom  map[string]compat.Definition // of "option NAME code N = ..."
	subnets []*scope
	hosts   []declared
}

type declared struct {
	statement
	within *scope
}

// scope is what one block says by itself.
type scope struct {
	compat.Place
	parent  *scope
	subnet  netip.Prefix // of a subnet declaration
	unknown bool         // its server identifier was missing, and that is told
	options []pending
	params  map[string]statement
}

// pending is an option whose definition may follow.
type pending struct {
	statement
	name   string
	values []token
}

func (r *reader) load(f compat.File) []statement {
	statements, err := parse(f)
	if bad, ok := errors.AsType[*syntaxError](err); ok {
		r.Note(compat.Place{File: f.Name, Line: bad.line}, "%s; the rest of the file is not read", bad.text)
	}
	return statements
}

func (r *reader) block(list []statement, s *scope, depth int) {
	for _, st := range list {
		r.statement(st, s, depth)
	}
}

func (r *reader) statement(st statement, s *scope, depth int) {
	switch keyword := st.keyword(); {
	case keyword == "include":
		r.include(st, s, depth)
	case keyword == "option":
		r.option(st, s)
	case keyword == "host" && st.isBlock:
		r.hosts = append(r.hosts, declared{st, s})
	case st.isBlock && isScope(keyword):
		r.inner(st, s, depth)
	case isParameter(keyword):
		s.set(keyword, st)
	case keyword == "min-lease-time":
		s.set(keyword, st)
		r.Note(st.Place, "%s is carried only for who asks for no time: %s", st.text(), why(&st))
	case !isProcess(&st):
		r.Note(st.Place, "%s is not carried: %s", st.text(), why(&st))
	}
}

func (s *scope) set(name string, st statement) {
	if s.params == nil {
		s.params = map[string]statement{}
	}
	s.params[name] = st
}

func (r *reader) include(st statement, s *scope, depth int) {
	name := st.word(1)
	if depth >= maxDepth {
		r.Note(st.Place, "include %q: files that include one another are nested too deep", name)
		return
	}
	if r.in.Include == nil {
		r.Note(st.Place, "include %q is not read", name)
		return
	}
	files, err := r.in.Include(st.File, name)
	if err != nil {
		r.Note(st.Place, "include %q: %v", name, err)
	}
	for _, f := range files {
		r.block(r.load(f), s, depth+1)
	}
}

// inner reads a block that gives what is in it to the hosts of it, or of its
// subnet.
func (r *reader) inner(st statement, parent *scope, depth int) {
	s := &scope{Place: st.Place, parent: parent}
	switch st.keyword() {
	case "subnet", "subnet6":
		p, err := subnet(&st)
		if err != nil {
			r.Note(st.Place, "%s: %v", st.text(), err)
			return
		}
		s.subnet = p
		r.subnets = append(r.subnets, s)
	}
	r.block(st.block, s, depth)
}

func subnet(st *statement) (netip.Prefix, error) {
	if st.keyword() == "subnet6" {
		p, err := netip.ParsePrefix(st.word(1))
		if err != nil || !p.Addr().Is6() {
			return p, errors.New("want an IPv6 prefix")
		}
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(st.word(1))
	bits, ok := compat.MaskBits(st.word(3))
	if err != nil || !a.Is4() || !ok || !strings.EqualFold(st.word(2), "netmask") {
		return netip.Prefix{}, errors.New("want an address and its netmask")
	}
	return netip.PrefixFrom(a, bits).Masked(), nil
}

// option takes a value, or a definition: "option x code 121 = ...".
func (r *reader) option(st statement, s *scope) {
	switch {
	case strings.EqualFold(st.word(1), "space"):
		r.Note(st.Place, "%s is not carried: options of a vendor's own space have no key", st.text())
	case strings.EqualFold(st.word(2), "code"):
		r.define(st)
	case len(st.words) > 2 && st.words[2].is("="):
		r.Note(st.Place, "%s is not carried: its value is computed for each client", st.text())
	default:
		s.options = append(s.options, pending{st, st.word(1), st.words[min(2, len(st.words)):]})
	}
}

// finish makes hosts of declarations and leases.
func (r *reader) finish() {
	for _, d := range r.hosts {
		r.host(d)
	}
	known := map[[6]byte]bool{}
	for _, h := range r.Hosts {
		known[h.MAC] = true
	}
	for _, f := range r.in.Leases {
		r.leases(f, known)
	}
}

// settings is what applies to one host, from the outermost scope inwards.
type settings struct {
	options4, options6 compat.Options
	params             map[string]statement
}

func newSettings() settings {
	return settings{compat.Options{}, compat.Options{}, map[string]statement{}}
}

// take puts what a scope says, and first what is around it up to a limit, over
// what is there.
func (r *reader) take(into settings, s, limit *scope) {
	if s == nil || s == limit {
		return
	}
	r.take(into, s.parent, limit)
	for _, o := range s.options {
		r.value(into, o)
	}
	maps.Copy(into.params, s.params)
}

// isScope are the blocks that only hold further statements.
func isScope(keyword string) bool {
	switch keyword {
	case "shared-network", "subnet", "subnet6", "group":
		return true
	}
	return false
}

// isParameter are the statements that hosts are made of.
func isParameter(keyword string) bool {
	switch keyword {
	case "default-lease-time", "max-lease-time", "preferred-lifetime", "server-identifier", "server-name",
		"next-server", "filename", "use-host-decl-names", "deny", "allow", "ignore":
		return true
	}
	return false
}

// isProcess are the statements about dhcpd itself, or about clients that have
// no host declaration: nothing of them could be carried.
func isProcess(st *statement) bool {
	keyword := st.keyword()
	if strings.HasPrefix(keyword, "ddns-") {
		return strings.EqualFold(st.word(1), "none") || strings.EqualFold(st.word(1), "off")
	}
	switch keyword {
	case "authoritative", "not", "log-facility", "pid-file-name", "lease-file-name", "dhcpv6-lease-file-name",
		"dhcpv6-pid-file-name", "local-port", "local-address", "omapi-port", "omapi-key", "db-time-format",
		"one-lease-per-client", "ping-check", "ping-timeout", "min-secs", "stash-agent-options", "log-threshold-low",
		"log-threshold-high", "abandon-lease-time", "lease-id-format", "server-duid", "limited-broadcast-address",
		"always-broadcast", "remote-port", "dhcp-cache-threshold", "use-lease-addr-for-default-route", "get-lease-hostnames",
		"bootp-lease-length", "dynamic-bootp-lease-length", "dynamic-bootp-lease-cutoff", "boot-unknown-clients",
		"update-static-leases", "update-optimization", "update-conflict-detection", "ldap-server", "interface":
		return true
	}
	return false
}

// why says what keeps a statement from being carried.
func why(st *statement) string {
	keyword := st.keyword()
	switch {
	case strings.HasPrefix(keyword, "ddns-") || keyword == "key" || keyword == "zone" || keyword == "do-forward-updates":
		return "berth does not update DNS"
	}
	switch keyword {
	case "range", "range6", "prefix6", "pool", "pool6":
		return "addresses are not given from a pool; active leases can be, from the file of leases"
	case "class", "subclass", "match", "spawn", "vendor-option-space", "site-option-space":
		return "a binding has no classes"
	case "if", "elsif", "else", "switch", "on", "set", "execute", "log", "case":
		return "it depends on what a client sends"
	case "failover":
		return "every host answers for its own guests, so there is no peer"
	case "min-lease-time":
		return "a guest may ask for a shorter lease"
	case "fixed-address", "fixed-address6", "fixed-prefix6", "hardware", "host-identifier", "host":
		return "it belongs into the block of a host"
	}
	return "it is not understood"
}
