package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/fleet"
)

// heads are the titles of a kind's columns, and the further ones of the wide
// table. cellsOf and wideCellsOf have them in the same order.
func heads(k fleet.Kind) (narrow, wide []string) {
	last := []string{"REVISION", "CHANGED", "BY"}
	switch k {
	case fleet.KindProject:
		narrow, wide = []string{"PROJECT", "QUOTA"}, []string{"ADMIN", "MEMBER", "VIEWER"}
	case fleet.KindNetwork:
		narrow, wide = []string{"NETWORK", "PREFIXES", "PROJECTS"}, []string{"KIND", "HOLD", "MACS"}
	case fleet.KindPool:
		narrow, wide = []string{"POOL", "NETWORK", "RANGES", "DEFAULT"}, []string{"EXCLUDE", "FIXED", "PROJECTS"}
	case fleet.KindNode:
		narrow, wide = []string{"NODE", "STATE", "NETWORKS"}, []string{"LABELS"}
	case fleet.KindPolicy:
		narrow, wide = []string{"POLICY", "PROJECTS", "RULES"}, []string{"LIMITS"}
	case fleet.KindNIC:
		narrow = []string{"NIC", "PROJECT", "NETWORK", "NODE", "INTERFACE", "MAC", "ADDRESSES"}
		wide = []string{"VM", "HOSTNAME", "REQUEST", "MIGRATION"}
	case fleet.KindFailover:
		narrow, wide = []string{"FAILOVER", "PROJECT", "NETWORK", "ADDRESSES", "MEMBERS"}, []string{"VRID"}
	case fleet.KindRequest:
		narrow, wide = []string{"REQUEST", "PROJECT", "VMS", "NICS", "DURATION"}, []string{"LABELS"}
	}
	return narrow, append(wide, last...)
}

func cellsOf(r fleet.Resource) []string {
	name := printable(r.Header().Name)
	switch v := r.(type) {
	case *fleet.Project:
		return []string{name, quotaText(v.Quota)}
	case *fleet.Network:
		return []string{name, orDash(join(v.Prefixes)), listed(v.Projects)}
	case *fleet.Pool:
		return []string{name, orDash(v.Network), ranges(v.Ranges), yesOrDash(v.Default)}
	case *fleet.Node:
		return []string{name, orDash(string(v.State)), listed(v.Networks)}
	case *fleet.Policy:
		return []string{name, listed(v.Projects), strconv.Itoa(len(v.Rules))}
	case *fleet.NIC:
		mac, addresses := grantedOf(v)
		return []string{name, orDash(v.Project), orDash(v.Network), orDash(v.Node), orDash(v.Interface), mac, orDash(brief(addresses))}
	case *fleet.Failover:
		return []string{name, orDash(v.Project), orDash(v.Network), orDash(join(v.Granted)), listed(v.Members)}
	case *fleet.Request:
		return []string{name, orDash(v.Project), strconv.Itoa(len(v.VMs)), strconv.Itoa(countNICs(v)), lasting(v.Duration)}
	}
	return []string{name}
}

func wideCellsOf(r fleet.Resource) []string {
	var cells []string
	switch v := r.(type) {
	case *fleet.Project:
		cells = []string{listed(v.Roles.Admin), listed(v.Roles.Member), listed(v.Roles.Viewer)}
	case *fleet.Network:
		cells = []string{networkKind(v), lasting(v.Hold), orDash(v.MACPrefix)}
	case *fleet.Pool:
		cells = []string{ranges(v.Exclude), strconv.Itoa(len(v.Fixed)), listed(v.Project)}
	case *fleet.Node:
		cells = []string{pairs(v.Labels)}
	case *fleet.Policy:
		cells = []string{limitsText(v.Limits)}
	case *fleet.NIC:
		cells = []string{orDash(v.VM), orDash(hostnameOf(v)), orDash(v.Request), migrationText(v.Migration)}
	case *fleet.Failover:
		cells = []string{strconv.Itoa(int(v.VRID))}
	case *fleet.Request:
		cells = []string{pairs(v.Labels)}
	}
	m := orZero(r.Header().Meta)
	return append(cells, strconv.FormatInt(m.Revision, 10), moment(m.Changed), orDash(m.By))
}

// grantedOf is what a NIC has got, in cells.
func grantedOf(n *fleet.NIC) (mac string, addresses []netip.Prefix) {
	if n.Granted == nil {
		return "-", nil
	}
	return n.Granted.MAC.String(), n.Granted.Addresses
}

func hostnameOf(n *fleet.NIC) string {
	if n.Granted != nil && n.Granted.Hostname != "" {
		return n.Granted.Hostname
	}
	return n.Hostname
}

func migrationText(m *fleet.Migration) string {
	if m == nil {
		return "-"
	}
	return printable(fmt.Sprintf("%s from %s to %s", m.Phase, m.From, m.To))
}

func countNICs(r *fleet.Request) (n int) {
	for i := range r.VMs {
		n += len(r.VMs[i].NICs)
	}
	return n
}

// ranges is the first and how many more there are.
func ranges(all []fleet.Range) string {
	if len(all) == 0 {
		return "-"
	}
	text, err := all[0].MarshalText()
	if err != nil {
		return "-"
	}
	if len(all) > 1 {
		return fmt.Sprintf("%s,+%d", text, len(all)-1)
	}
	return string(text)
}

func networkKind(n *fleet.Network) string {
	var kinds []string
	if n.Isolated {
		kinds = append(kinds, "isolated")
	}
	if n.Transparent {
		kinds = append(kinds, "transparent")
	}
	return orDash(strings.Join(kinds, ","))
}

// quotaText has those limits that there are.
func quotaText(q fleet.Quota) string {
	return limits(named{"vms", q.VMs}, named{"nics", q.NICs}, named{"addresses4", q.Addresses4}, named{"addresses6", q.Addresses6})
}

func limitsText(l fleet.Limits) string {
	text := limits(named{"vms", l.VMs}, named{"nics-per-vm", l.NICsPerVM})
	for _, b := range []struct {
		name string
		is   *bool
	}{{"exact-addresses", l.ExactAddresses}, {"macs", l.MACs}, {"binding", l.Binding}} {
		if b.is != nil {
			text += fmt.Sprintf(",%s=%t", b.name, *b.is)
		}
	}
	return orDash(strings.TrimPrefix(strings.TrimPrefix(text, "-"), ","))
}

type named struct {
	name  string
	limit *int
}

func limits(all ...named) string {
	var texts []string
	for _, n := range all {
		if n.limit != nil {
			texts = append(texts, fmt.Sprintf("%s=%d", n.name, *n.limit))
		}
	}
	return orDash(strings.Join(texts, ","))
}

func lasting(d fleet.Duration) string {
	text, err := d.MarshalText()
	if d == 0 || err != nil {
		return "-"
	}
	short := string(text)
	for _, zero := range []string{"0s", "0m"} { // 1h0m0s is 1h
		if cut, found := strings.CutSuffix(short, zero); found && strings.HasSuffix(cut, map[string]string{"0s": "m", "0m": "h"}[zero]) {
			short = cut
		}
	}
	return short
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return stamp(t)
}

func yesOrDash(yes bool) string {
	if yes {
		return "yes"
	}
	return "-"
}
