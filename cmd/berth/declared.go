package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/api"
)

// declared is as much of a binding, in the file format's keys, as is shown.
type declared struct {
	Suspended      bool     `json:"suspended"`
	Hostname       string   `json:"hostname"`
	Gateway        string   `json:"gateway"`
	Gateway6       string   `json:"gateway6"`
	GatewayMAC     string   `json:"gateway-mac"`
	NoDefaultRoute bool     `json:"no-default-route"`
	IPv6           string   `json:"ipv6"`
	LinkLocal      wordList `json:"link-local"`
	Routed         bool     `json:"routed"`
	Neighbours     string   `json:"neighbours"`
	DHCP4          struct {
		Off     bool   `json:"off"`
		Address string `json:"address"`
	} `json:"dhcp4"`
	DHCP6 struct {
		Mode string `json:"mode"`
	} `json:"dhcp6"`
	RA struct {
		Mode     string `json:"mode"`
		Interval string `json:"interval"`
		Lifetime string `json:"lifetime"`
	} `json:"ra"`
	Guard struct {
		Routers []string `json:"routers"`
	} `json:"guard"`
}

// wordList is one word, or a list of them.
type wordList []string

// UnmarshalJSON takes either.
func (l *wordList) UnmarshalJSON(raw []byte) error {
	if !bytes.HasPrefix(raw, []byte(`"`)) {
		return json.Unmarshal(raw, (*[]string)(l))
	}
	*l = wordList{""}
	return json.Unmarshal(raw, &(*l)[0])
}

// bindingOf reads the binding; one that is not there, or that a newer berthd
// writes in another way, says nothing.
func bindingOf(n api.NIC) (b declared) {
	if len(n.Binding) == 0 || json.Unmarshal(n.Binding, &b) != nil {
		return declared{}
	}
	return b
}

// hasIPv4 reports whether there is an IPv4 address to give.
func hasIPv4(n api.NIC) bool {
	return slices.ContainsFunc(n.Addresses, func(p netip.Prefix) bool { return p.Addr().Is4() })
}

// servesIPv6 reports whether the NIC has anything of IPv6 to be told of.
func servesIPv6(n api.NIC) bool {
	is6 := func(p netip.Prefix) bool { return p.Addr().Is6() }
	return slices.ContainsFunc(n.Addresses, is6) || len(n.SLAAC) > 0 || len(n.Delegated) > 0
}

func showDeclared(w io.Writer, n api.NIC) {
	b := bindingOf(n)
	row(w, "\ndeclared", orDash(origin(n)))
	if b.Suspended {
		row(w, "  suspended", "yes: guarded as if it had no addresses, and not answered")
	}
	row(w, "  mac", macOf(n))
	wordRow(w, "  network", n.Network)
	wordRow(w, "  hostname", b.Hostname)
	listRow(w, "  addresses", n.Addresses)
	listRowIfAny(w, "  slaac", n.SLAAC)
	listRowIfAny(w, "  delegated", n.Delegated)
	wordRow(w, "  gateway", b.Gateway)
	wordRow(w, "  gateway6", b.Gateway6)
	wordRow(w, "  routers", strings.Join(b.Guard.Routers, ","))
	wordRow(w, "  gateway-mac", b.GatewayMAC)
	if b.DHCP4.Off {
		row(w, "  dhcp4", "off")
	}
	showDeclared6(w, n, &b)
	if b.Routed {
		row(w, "  routed", "yes")
	}
	if b.Neighbours != "off" {
		wordRow(w, "  neighbours", b.Neighbours)
	}
}

// showDeclared6 has what is to be said of a NIC with IPv6 alone.
func showDeclared6(w io.Writer, n api.NIC, b *declared) {
	if b.IPv6 != "auto" {
		wordRow(w, "  ipv6", b.IPv6)
	}
	if servesIPv6(n) || b.IPv6 == "link-local" {
		wordRow(w, "  link-local", strings.Join(b.LinkLocal, ", "))
	}
	if servesIPv6(n) {
		wordRow(w, "  dhcp6", b.DHCP6.Mode+given(b.DHCP6.Mode))
		wordRow(w, "  ra", b.advertised())
	}
}

// given says what a mode of DHCPv6 gives.
func given(mode string) string {
	switch mode {
	case "both":
		return ": addresses and configuration"
	case "stateful":
		return ": addresses, and configuration with them"
	case "stateless":
		return ": configuration alone"
	default: // "off", or a newer berthd's
		return ""
	}
}

// advertised says whose router advertisements the NIC gets, and for how long
// they make a default router of the gateway.
func (b *declared) advertised() string {
	if b.RA.Mode != "serve" {
		return b.RA.Mode
	}
	router := "no default router"
	if isSet(b.Gateway6) && isSet(b.RA.Lifetime) && !b.NoDefaultRoute {
		router = "default router for " + b.RA.Lifetime
	}
	return fmt.Sprintf("serve: at least every %s, %s", b.RA.Interval, router)
}

// isSet knows the format's word for what is not there.
func isSet(s string) bool { return s != "" && s != "none" }

func wordRow(w io.Writer, label, word string) {
	if isSet(word) {
		row(w, label, printable(word))
	}
}

// showLinkLocals has a line for each, with those that the guest chose itself.
func showLinkLocals(w io.Writer, n api.NIC) {
	if n.Installed.Mode == "closed" {
		return
	}
	if !n.Installed.IPv6 {
		row(w, "  ipv6", "the NIC has none")
		return
	}
	label := "  link-local"
	for _, a := range n.Installed.LinkLocal {
		row(w, label, a.String()+choice(n, a))
		label = "  "
	}
}

func choice(n api.NIC, a netip.Addr) string {
	if slices.Equal(bindingOf(n).LinkLocal, wordList{"first-come"}) && n.MAC != nil && a != n.MAC.EUI64() {
		return " (the guest's choice)"
	}
	return ""
}

// listWidth is how many characters of a list stand on one line.
const listWidth = 66

// listRow lists values on as many lines as they need, "-" for none.
func listRow[T fmt.Stringer](w io.Writer, label string, values []T) {
	if len(values) == 0 {
		row(w, label, "-")
		return
	}
	line := values[0].String()
	for _, v := range values[1:] {
		if len(line)+len(", ")+len(v.String()) <= listWidth {
			line += ", " + v.String()
			continue
		}
		row(w, label, line+",")
		label, line = "  ", v.String()
	}
	row(w, label, line)
}

func listRowIfAny[T fmt.Stringer](w io.Writer, label string, values []T) {
	if len(values) > 0 {
		listRow(w, label, values)
	}
}
