package statichcpd

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-net/berth/internal/compat"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// Config is statichcpd.conf as far as it matters, and what berth adds.
type Config struct {
	Database   string         // dhcp_db_filename
	Interfaces *regexp.Regexp // served_interface_regex, searched for anywhere in the name; nil: all
	RateLimit  uint32         // dhcp_ratelimit: messages a second
	// Lease is given to a client that asks for none, MaxLease to one that asks
	// for more.
	Lease, MaxLease               nic.Seconds
	T1, T2, Preferred, Valid      nic.Seconds // of DHCPv6, for clients without codes 259 to 262
	UseMACAsDUID                  bool        // use_mac_as_client_duid: DHCPv6 rows have a MAC, not a DUID
	DisableIAID                   bool        // disable_ia_id: addresses and prefixes are listed without an IAID
	AttributeFile, AttributeFile6 string      // additional_attributes_file, additional_v6attributes_file

	// Defaults are further keys of a binding, written as in a document of the
	// bindings directory. They win over what statichcpd gives all its clients,
	// not over what a client has of its own. Each NIC is a network by itself,
	// unless they name the network "default".
	Defaults string
}

// DefaultConfig is what statichcpd takes where its file says nothing.
func DefaultConfig() Config {
	return Config{RateLimit: 1000, Lease: 600, MaxLease: 7200, T1: 1000, T2: 2000, Preferred: 3000, Valid: 4000}
}

// maxRate is the most a binding's guard.rate can say.
const maxRate = 1_000_000

// setting is one key of the file.
type setting struct {
	key string
	set func(p *parser, key string, e entry)
}

// OfProcess reports whether a key of statichcpd.conf was about statichcpd's
// process alone, so that nothing is lost without it.
func OfProcess(key string) bool { return strings.HasPrefix(key, "disable_routing_with_") }

func settings() []setting {
	ignored := func(why string) func(*parser, string, entry) {
		return func(p *parser, key string, e entry) {
			p.bool(key, e)
			p.warn(e.problem(key, "has no effect: %s", why))
		}
	}
	const routing = "every answer goes into the NIC it belongs to, or to the relay"
	return []setting{
		{"dhcp_db_filename", func(p *parser, key string, e entry) { p.Database = p.text(key, e) }},
		{"served_interface_regex", (*parser).regexp},
		{"dhcp_ratelimit", func(p *parser, key string, e entry) { p.RateLimit = p.number(key, e, 1, maxRate) }},
		{"default_lease_time", func(p *parser, key string, e entry) { p.Lease = p.seconds(key, e) }},
		{"max_lease_time", func(p *parser, key string, e entry) { p.MaxLease = p.seconds(key, e) }},
		{"disable_routing_with_udpsock", ignored(routing)},
		{"disable_routing_with_rawsock", ignored(routing)},
		{"use_mac_as_client_duid", func(p *parser, key string, e entry) { p.UseMACAsDUID = p.bool(key, e) }},
		{"disable_ia_id", func(p *parser, key string, e entry) { p.DisableIAID = p.bool(key, e) }},
		{"default_renew_time", func(p *parser, key string, e entry) { p.T1 = p.seconds(key, e) }},
		{"default_rebind_time", func(p *parser, key string, e entry) { p.T2 = p.seconds(key, e) }},
		{"default_pref_lifetime", func(p *parser, key string, e entry) { p.Preferred = p.seconds(key, e) }},
		{"default_valid_lifetime", func(p *parser, key string, e entry) { p.Valid = p.seconds(key, e) }},
		{"additional_attributes_file", func(p *parser, key string, e entry) { p.AttributeFile = p.text(key, e) }},
		{"additional_v6attributes_file", func(p *parser, key string, e entry) { p.AttributeFile6 = p.text(key, e) }},
	}
}

// Keys are all keys of statichcpd.conf.
func Keys() []string {
	var out []string
	for _, s := range settings() {
		out = append(out, s.key)
	}
	return out
}

// ParseConfig reads the files of statichcpd.conf in order, of which the later
// ones win. With an error the configuration is of no use; a warning costs
// nothing.
func ParseConfig(files []File) (cfg Config, errs, warnings []manifest.Problem) {
	p := parser{Config: DefaultConfig()}
	var in sections
	for _, f := range files {
		in.read(f)
	}
	values := in.merged("statichcpd")
	p.errs = in.problems
	if in.of["statichcpd"] == nil {
		p.errs = append(p.errs, manifest.Problem{File: nameOf(files), Text: "has no section [statichcpd]"})
	}
	for _, s := range settings() {
		if e, ok := values[s.key]; ok {
			s.set(&p, s.key, e)
			delete(values, s.key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		p.warn(values[key].problem(key, "not a key of statichcpd"))
	}
	p.finish(nameOf(files))
	return p.Config, p.errs, p.warnings
}

func nameOf(files []File) string {
	if len(files) == 0 {
		return "statichcpd.conf"
	}
	return files[0].Name
}

// parser collects what is wrong.
type parser struct {
	Config
	errs, warnings []manifest.Problem
}

func (p *parser) fail(q manifest.Problem) { p.errs = append(p.errs, q) }
func (p *parser) warn(q manifest.Problem) { p.warnings = append(p.warnings, q) }

// finish checks what is between keys, and that the needed ones are there.
func (p *parser) finish(file string) {
	need := func(key string, missing bool) {
		if missing && len(p.errs) == 0 {
			p.fail(manifest.Problem{File: file, Field: key, Text: "missing: statichcpd has no default for it"})
		}
	}
	need("dhcp_db_filename", p.Database == "")
	need("served_interface_regex", p.Interfaces == nil)
	if p.MaxLease < p.Lease {
		p.warn(manifest.Problem{File: file, Field: "max_lease_time", Value: strconv.Itoa(int(p.MaxLease)), Text: fmt.Sprintf("shorter than default_lease_time, taken as %d", p.Lease)})
		p.MaxLease = p.Lease
	}
	l := lifetimes{p.T1, p.T2, p.Preferred, p.Valid}
	keys := []string{"default_renew_time", "default_rebind_time", "default_pref_lifetime", "default_valid_lifetime"}
	for _, r := range l.repair() {
		p.warn(manifest.Problem{File: file, Field: keys[r.of], Text: r.text})
	}
	p.T1, p.T2, p.Preferred, p.Valid = l.t1, l.t2, l.preferred, l.valid
}

func (p *parser) text(key string, e entry) string {
	if e.value == "" {
		p.fail(e.problem(key, "has no value"))
	}
	return e.value
}

// bool is statichcpd's: what it does not know is false.
func (p *parser) bool(key string, e entry) bool {
	switch strings.ToLower(e.value) {
	case "true", "1":
		return true
	case "false", "0":
		return false
	}
	p.warn(e.problem(key, "taken as false: only true and 1 are true"))
	return false
}

func (p *parser) number(key string, e entry, least, most uint32) uint32 {
	n, err := strconv.ParseUint(e.value, 10, 32)
	if err != nil || n < uint64(least) || n > uint64(most) {
		p.fail(e.problem(key, "must be a number from %d to %d", least, most))
		return least
	}
	return uint32(n)
}

// seconds leaves the range to what is made of it: DHCPv6 times are repaired.
func (p *parser) seconds(key string, e entry) nic.Seconds {
	least := uint32(1)
	if strings.HasSuffix(key, "lease_time") {
		least = minTime
	}
	return nic.Seconds(p.number(key, e, least, uint32(nic.Infinite)))
}

func (p *parser) regexp(key string, e entry) {
	re, err := regexp.Compile(e.value)
	if err != nil {
		p.fail(e.problem(key, "cannot be used here: %v", err))
		return
	}
	p.Interfaces = re
}

// ownNetwork is the network of Defaults that name none: each NIC is one by
// itself, as statichcpd lets any number of interfaces have the same address.
const ownNetwork = "*"

// network is the line that Defaults leave out.
func (c *Config) network() string {
	for line := range strings.Lines(c.Defaults) {
		if strings.HasPrefix(line, "network:") {
			return ""
		}
	}
	return "network: \"" + ownNetwork + "\"\n"
}

// template is a binding with everything that does not depend on the client:
// manifest's defaults, statichcpd's settings over them, and Defaults over
// those. The document's own keys stand behind Defaults, so that a mistake in
// these has their line.
func template(cfg Config) (nic.Binding, []manifest.Problem) {
	base := fmt.Sprintf(`neighbours: server
dhcp4: {server-id: interface, lease: %s, max-lease: %s, t1: none, t2: none}
dhcp6: {preferred: %s, valid: %s, t1: %s, t2: %s, relay: %t}
ra: {mode: site}
guard: {rate: {per-second: %d, burst: %d}}
`, compat.Time(cfg.Lease), compat.Time(cfg.MaxLease), compat.Time(cfg.Preferred), compat.Time(cfg.Valid), compat.Time(cfg.T1), compat.Time(cfg.T2),
		!cfg.UseMACAsDUID, cfg.RateLimit, cfg.RateLimit)
	networks := "network: default\n" + base + "---\nnetwork: \"" + ownNetwork + "\"\n" + base
	nets, problems := manifest.ParseNetworks("statichcpd", []byte(networks))
	if len(problems) > 0 {
		return nic.Binding{}, problems
	}
	doc := cfg.Defaults + "\n" + cfg.network() + "nic: statichcpd\nmac: 52:54:00:00:00:01\n"
	r := manifest.Parse("statichcpd.defaults", []byte(doc), nets)
	if len(r.Problems) > 0 || len(r.Bindings) != 1 {
		return nic.Binding{}, r.Problems
	}
	return r.Bindings[0], nil
}
