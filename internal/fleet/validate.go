package fleet

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"

	"github.com/berth-net/berth/internal/nic"
)

// Limits of one resource.
const (
	MaxName     = 63
	MaxPrefixes = 64
	MaxRanges   = 256
	MaxFixed    = 65536
	MaxVMs      = 1024
	MaxNICs     = 4096 // of one request
	MaxMembers  = 64
	MaxRules    = 256
)

// checker collects what is wrong with one resource.
type checker struct{ errs []error }

func (c *checker) bad(field, value, format string, args ...any) {
	c.errs = append(c.errs, &nic.FieldError{Field: field, Value: value, Problem: fmt.Sprintf(format, args...)})
}

func (c *checker) err() error { return errors.Join(c.errs...) }

func at(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

// nameProblem says why s cannot be the name of a resource: it is a part of
// paths, keys and addresses of certificates.
func nameProblem(s string) string {
	switch {
	case s == "":
		return "missing"
	case len(s) > MaxName:
		return fmt.Sprintf("%d bytes; at most %d are allowed", len(s), MaxName)
	case !alnum(rune(s[0])):
		return "must begin with a letter or a digit"
	}
	for _, r := range s {
		if !alnum(r) && !strings.ContainsRune("-._", r) {
			return fmt.Sprintf("character %q is not allowed; letters, digits, '-', '.' and '_' are", r)
		}
	}
	return ""
}

func alnum(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// ValidName reports whether s can be the name of a resource.
func ValidName(s string) bool { return nameProblem(s) == "" }

func (c *checker) name(field, s string) {
	if p := nameProblem(s); p != "" {
		c.bad(field, s, "%s", p)
	}
}

// names checks references, each once; "*" only where it stands for all.
func (c *checker) names(field string, list []string, all bool) {
	seen := map[string]int{}
	for i, s := range list {
		if j, dup := seen[s]; dup {
			c.bad(at(field, i), s, "the same as %s", at(field, j))
		}
		seen[s] = i
		if s != "*" || !all {
			c.name(at(field, i), s)
		}
	}
}

// Validate implements Resource.
func (p *Project) Validate() error {
	var c checker
	c.name("name", p.Name)
	c.notNegative("quota.vms", p.Quota.VMs)
	c.notNegative("quota.nics", p.Quota.NICs)
	c.notNegative("quota.addresses4", p.Quota.Addresses4)
	c.notNegative("quota.addresses6", p.Quota.Addresses6)
	c.subjects("roles.admin", p.Roles.Admin)
	c.subjects("roles.member", p.Roles.Member)
	c.subjects("roles.viewer", p.Roles.Viewer)
	return c.err()
}

func (c *checker) notNegative(field string, n *int) {
	if n != nil && *n < 0 {
		c.bad(field, fmt.Sprint(*n), "must not be negative")
	}
}

func (c *checker) subjects(field string, list []string) {
	for i, s := range list {
		kind, name, _ := strings.Cut(s, ":")
		_, err := strconv.ParseUint(name, 10, 32)
		switch {
		case kind == "local" && err == nil:
		case kind != "user" && kind != "group" || name == "" || strings.TrimSpace(name) != name || strings.ContainsFunc(name, unicode.IsControl):
			c.bad(at(field, i), s, "want user:NAME, group:NAME or local:UID")
		}
	}
}

// Validate implements Resource.
func (n *Network) Validate() error {
	var c checker
	c.name("name", n.Name)
	c.names("projects", n.Projects, true)
	c.prefixes(n.Prefixes)
	if _, err := ParseMACPrefix(n.MACPrefix); n.MACPrefix != "" && err != nil {
		c.bad("mac-prefix", n.MACPrefix, "%v", err)
	}
	for _, key := range []string{"network", "nic"} {
		if _, ok := n.Defaults[key]; ok {
			c.bad("defaults."+key, "", "follows from the resource itself")
		}
	}
	if _, ok := n.Defaults["served-by"]; ok && n.Transparent {
		c.bad("defaults.served-by", "", "a transparent network is its tenant's to serve")
	}
	return c.err()
}

func (c *checker) prefixes(list []netip.Prefix) {
	if len(list) == 0 {
		c.bad("prefixes", "", "missing: a network needs a prefix")
	}
	if len(list) > MaxPrefixes {
		c.bad("prefixes", fmt.Sprint(len(list)), "at most %d prefixes", MaxPrefixes)
		return
	}
	for i, p := range list {
		field := at("prefixes", i)
		switch {
		case !p.IsValid() || p.Addr().Is4In6():
			c.bad(field, "", "not a prefix such as 192.0.2.0/24")
			continue
		case p != p.Masked():
			c.bad(field, p.String(), "host bits are set; the prefix is %s", p.Masked())
		case p.Bits() == 0:
			c.bad(field, p.String(), "a subnet cannot be /0")
		case p.Overlaps(mapped()):
			c.bad(field, p.String(), "has addresses that stand for those of IPv4 (RFC 4291 section 2.5.5)")
		}
		for j, o := range list[:i] {
			if o.Overlaps(p) {
				c.bad(field, p.String(), "overlaps %s of %s", o, at("prefixes", j))
			}
		}
	}
}

// mapped are the IPv6 addresses that netip, and the keys of claims, do not tell
// from IPv4 addresses.
func mapped() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff}), 96)
}

// ParseMACPrefix reads one to five whole octets of a locally administered
// unicast MAC.
func ParseMACPrefix(s string) ([]byte, error) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	switch {
	case err != nil || len(s) != 3*len(b)-1:
		return nil, errors.New("want whole octets such as 02:62:65")
	case len(b) < 1 || len(b) > 5:
		return nil, errors.New("want 1 to 5 octets, so that something is left to choose")
	case b[0]&3 != 2:
		return nil, errors.New("not locally administered unicast: the second digit must be 2, 6, a or e")
	}
	return b, nil
}

// Validate implements Resource.
func (p *Pool) Validate() error {
	var c checker
	c.name("name", p.Name)
	if _, err := netip.ParseAddr(p.Name); err == nil {
		c.bad("name", p.Name, "an address: a NIC that asks for it would not mean the pool")
	}
	c.name("network", p.Network)
	c.names("projects", p.Project, true)
	if len(p.Ranges) == 0 {
		c.bad("ranges", "", "missing: a pool needs a range")
	}
	c.ranges("ranges", p.Ranges)
	c.ranges("exclude", p.Exclude)
	c.fixed(p)
	return c.err()
}

func (c *checker) ranges(field string, list []Range) {
	if len(list) > MaxRanges {
		c.bad(field, fmt.Sprint(len(list)), "at most %d ranges", MaxRanges)
		return
	}
	for i, r := range list {
		if !r.First.IsValid() {
			c.bad(at(field, i), "", "not a range")
			continue
		}
		for j, o := range list[:i] {
			if o.First.IsValid() && o.Overlaps(r) {
				c.bad(at(field, i), r.String(), "overlaps %s of %s", o, at(field, j))
			}
		}
	}
}

func (c *checker) fixed(p *Pool) {
	if len(p.Fixed) > MaxFixed {
		c.bad("fixed", fmt.Sprint(len(p.Fixed)), "at most %d entries", MaxFixed)
		return
	}
	seen, macs := map[netip.Addr]int{}, map[nic.MAC]int{}
	for i, f := range p.Fixed {
		field := at("fixed", i)
		switch {
		case !f.Address.IsValid():
			c.bad(field+".address", "", "missing")
		case !p.Contains(f.Address):
			c.bad(field+".address", f.Address.String(), "in none of the pool's ranges")
		}
		if j, dup := seen[f.Address]; dup && f.Address.IsValid() {
			c.bad(field+".address", f.Address.String(), "the same address as %s", at("fixed", j))
		}
		seen[f.Address] = i
		if f.Hostname != "" {
			c.hostname(field+".hostname", f.Hostname)
		}
		if f.MAC == nil {
			continue
		}
		c.mac(field+".mac", *f.MAC)
		// Both families of one NIC may have the same MAC.
		if j, dup := macs[*f.MAC]; dup && p.Fixed[j].Address.BitLen() == f.Address.BitLen() {
			c.bad(field+".mac", f.MAC.String(), "the same MAC as %s", at("fixed", j))
		}
		macs[*f.MAC] = i
	}
}

func (c *checker) mac(field string, m nic.MAC) {
	switch {
	case m.IsZero() || m.IsGroup():
		c.bad(field, m.String(), "not a MAC that one NIC can have")
	case m == nic.BerthMAC():
		c.bad(field, m.String(), "berth's own, the sender of every answer")
	}
}

func (c *checker) hostname(field, s string) {
	if p := HostnameProblem(s); p != "" {
		c.bad(field, s, "%s", p)
	}
}

// HostnameProblem says why s is not a name as RFC 1123 section 2.1 has them,
// "" if it is one.
func HostnameProblem(s string) string {
	if len(s) > 253 {
		return fmt.Sprintf("%d bytes; a domain name has at most 253 (RFC 1035 section 2.3.4)", len(s))
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(r rune) bool { return !alnum(r) && r != '-' }) {
			return fmt.Sprintf("label %q is not letters, digits and inner hyphens (RFC 1123 section 2.1)", label)
		}
	}
	return ""
}

// Validate implements Resource. What the keys of Binding must be is told when
// the NIC's document is made.
func (n *NIC) Validate() error {
	var c checker
	n.check(&c, "")
	return c.err()
}

// check notes what is wrong, for a NIC of a request under its path.
func (n *NIC) check(c *checker, path string) {
	c.name(path+"name", n.Name)
	c.name(path+"project", n.Project)
	c.name(path+"network", n.Network)
	if n.Node != "" {
		c.name(path+"node", n.Node)
	}
	if n.VM != "" {
		c.name(path+"vm", n.VM)
	}
	switch {
	case n.Interface == "":
		c.bad(path+"interface", "", "missing: the name of the host interface, which cannot be the NIC's here")
	case !nic.ValidName(n.Interface):
		c.bad(path+"interface", n.Interface, "not the name of an interface, which has 1 to 15 bytes without '/', ':', '%%' and white space")
	}
	c.asked(path+"addresses", n.Addresses, nic.MaxAddresses)
	if n.MAC != nil {
		c.mac(path+"mac", *n.MAC)
	}
	if n.Hostname != "" {
		c.hostname(path+"hostname", n.Hostname)
	}
	for _, key := range granted() {
		if _, ok := n.Binding[key]; ok {
			c.bad(path+"binding."+key, "", "follows from the resource itself")
		}
	}
}

// granted are keys of a binding that the controller writes.
func granted() []string {
	return []string{"nic", "network", "mac", "addresses", "hostname", "suspended", "group", "shared", "tags"}
}

// asked checks what a NIC or a fail-over asks for: pools and addresses.
func (c *checker) asked(field string, list []string, most int) {
	if len(list) > most {
		c.bad(field, fmt.Sprint(len(list)), "at most %d addresses", most)
		return
	}
	seen := map[netip.Addr]int{}
	for i, s := range list {
		a, err := netip.ParseAddr(s)
		switch {
		case err != nil:
			if p := nameProblem(s); p != "" {
				c.bad(at(field, i), s, "neither an address nor the name of a pool: %s", p)
			}
			continue
		case a.Zone() != "" || a.Is4In6():
			c.bad(at(field, i), s, "not an address of one host")
		}
		if j, dup := seen[a]; dup {
			c.bad(at(field, i), s, "the same address as %s", at(field, j))
		}
		seen[a] = i
	}
}

// Validate implements Resource.
func (f *Failover) Validate() error {
	var c checker
	c.name("name", f.Name)
	c.name("project", f.Project)
	c.name("network", f.Network)
	if len(f.Addresses) == 0 {
		c.bad("addresses", "", "missing: shares nothing; list addresses or pools")
	}
	c.asked("addresses", f.Addresses, nic.MaxSharedAddresses)
	c.names("members", f.Members, false)
	if len(f.Members) > MaxMembers {
		c.bad("members", fmt.Sprint(len(f.Members)), "at most %d members", MaxMembers)
	}
	return c.err()
}

// Validate implements Resource.
func (n *Node) Validate() error {
	var c checker
	c.name("name", n.Name)
	c.names("networks", n.Networks, true)
	switch n.State {
	case "", NodeEnabled, NodeDraining, NodeDisabled:
	default:
		c.bad("state", string(n.State), "must be enabled, draining or disabled")
	}
	return c.err()
}

// Validate implements Resource.
func (r *Request) Validate() error {
	var c checker
	c.name("name", r.Name)
	c.name("project", r.Project)
	if len(r.VMs) == 0 {
		c.bad("vms", "", "missing: a request needs a machine")
	}
	if len(r.VMs) > MaxVMs {
		c.bad("vms", fmt.Sprint(len(r.VMs)), "at most %d machines", MaxVMs)
		return c.err()
	}
	vms, nics := map[string]int{}, map[string]string{}
	for i := range r.VMs {
		vm := &r.VMs[i]
		if j, dup := vms[vm.Name]; dup {
			c.bad(at("vms", i)+".name", vm.Name, "the same name as %s", at("vms", j))
		}
		vms[vm.Name] = i
		c.vm(r, vm, at("vms", i), nics)
	}
	if len(nics) > MaxNICs {
		c.bad("vms", fmt.Sprint(len(nics)), "at most %d NICs", MaxNICs)
	}
	return c.err()
}

func (c *checker) vm(r *Request, vm *VM, path string, nics map[string]string) {
	c.name(path+".name", vm.Name)
	for _, n := range []struct {
		field string
		value int64
	}{{".memory", vm.Memory}, {".cpus", int64(vm.CPUs)}, {".bandwidth", vm.Bandwidth}, {".image.size", vm.Image.Size}} {
		if n.value < 0 {
			c.bad(path+n.field, fmt.Sprint(n.value), "must not be negative")
		}
	}
	for i := range vm.NICs {
		n, field := &vm.NICs[i], at(path+".nics", i)
		n.check(c, field+".")
		if n.Project != r.Project {
			c.bad(field+".project", n.Project, "another project's than the request")
		}
		if n.VM != vm.Name {
			c.bad(field+".vm", n.VM, "another machine than the one it is listed at")
		}
		if first, dup := nics[n.Name]; dup {
			c.bad(field+".name", n.Name, "the same name as %s", first)
		}
		nics[n.Name] = field
	}
}

// Validate implements Resource. The expressions are not compiled here.
func (p *Policy) Validate() error {
	var c checker
	c.name("name", p.Name)
	c.names("projects", p.Projects, true)
	c.notNegative("limits.vms", p.Limits.VMs)
	c.notNegative("limits.nics-per-vm", p.Limits.NICsPerVM)
	if len(p.Rules) > MaxRules {
		c.bad("rules", fmt.Sprint(len(p.Rules)), "at most %d rules", MaxRules)
		return c.err()
	}
	seen := map[string]int{}
	for i, r := range p.Rules {
		field := at("rules", i)
		c.name(field+".name", r.Name)
		if j, dup := seen[r.Name]; dup {
			c.bad(field+".name", r.Name, "the same name as %s", at("rules", j))
		}
		seen[r.Name] = i
		if r.Effect != Allow && r.Effect != Deny {
			c.bad(field+".effect", string(r.Effect), "must be allow or deny")
		}
		if strings.TrimSpace(r.When) == "" {
			c.bad(field+".when", "", "missing: the condition, a CEL expression")
		}
	}
	return c.err()
}
