package statichcpd

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/nic"
)

// field is an option that a binding has a key for. A value that the key does
// not take, but DHCP can say, goes as an option of its own: the guest gets the
// same bytes.
type field struct {
	code  int
	key   string
	set   func(b *nic.Binding, list []value)
	clear func(b *nic.Binding)
	// exact reports whether the key alone gives the bytes that statichcpd sent.
	exact func(b *nic.Binding, list []value) bool
}

func always(*nic.Binding, []value) bool { return true }

// fields4 are in the order in which they are set: routes follow the gateway.
func fields4() []field {
	return []field{
		{
			3, "gateway",
			func(b *nic.Binding, l []value) { b.Gateway = l[0].addr },
			func(b *nic.Binding) { b.Gateway = netip.Addr{} },
			func(_ *nic.Binding, l []value) bool { return len(l) == 1 },
		},
		{
			6, "dns",
			func(b *nic.Binding, l []value) { b.DNS = slices.Concat(addrs(l), of(b.DNS, netip.Addr.Is6)) },
			func(b *nic.Binding) { b.DNS = of(b.DNS, netip.Addr.Is6) },
			always,
		},
		{
			12, "hostname", setHostname,
			func(b *nic.Binding) { b.Hostname = "" },
			func(_ *nic.Binding, l []value) bool { return isLabel(l[0].text) },
		},
		{
			15, "domain",
			func(b *nic.Binding, l []value) { b.Domain = l[0].text },
			func(b *nic.Binding) { b.Domain = "" },
			always,
		},
		{
			119, "search",
			func(b *nic.Binding, l []value) { b.Search = texts(l) },
			func(b *nic.Binding) { b.Search = nil },
			always,
		},
		{
			26, "mtu",
			func(b *nic.Binding, l []value) { b.MTU = uint16(l[0].number) },
			func(b *nic.Binding) { b.MTU = 0 },
			always,
		},
		{
			28, "broadcast",
			func(b *nic.Binding, l []value) { b.Broadcast = l[0].addr },
			func(b *nic.Binding) { b.Broadcast = netip.Addr{} },
			always,
		},
		{codeRoutes, "routes", setRoutes, func(b *nic.Binding) { b.Routes = nil }, routesExact},
	}
}

func fields6() []field {
	return []field{
		{
			23, "dns",
			func(b *nic.Binding, l []value) { b.DNS = slices.Concat(of(b.DNS, netip.Addr.Is4), addrs(l)) },
			func(b *nic.Binding) { b.DNS = of(b.DNS, netip.Addr.Is4) },
			always,
		},
		{
			31, "ntp",
			func(b *nic.Binding, l []value) { b.NTP = slices.Concat(of(b.NTP, netip.Addr.Is4), addrs(l)) },
			func(b *nic.Binding) { b.NTP = of(b.NTP, netip.Addr.Is4) },
			always,
		},
	}
}

func of(list []netip.Addr, family func(netip.Addr) bool) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(list), func(a netip.Addr) bool { return !family(a) })
}

// setHostname takes a label only: of a full name the binding would give the
// label as option 12, and statichcpd gave all of it.
func setHostname(b *nic.Binding, l []value) {
	if isLabel(l[0].text) {
		b.Hostname = l[0].text
	}
}

func isLabel(s string) bool { return !strings.Contains(s, ".") }

const codeRoutes = 121

func setRoutes(b *nic.Binding, l []value) {
	if !routesExact(b, l) {
		return
	}
	b.Routes = nil
	for _, v := range l {
		r := nic.Route{To: v.prefix}
		if !v.addr.IsUnspecified() {
			r.Via = v.addr
		}
		b.Routes = append(b.Routes, r)
	}
}

// routesExact reports whether option 121 of these routes is what the rows say.
// A binding's puts routes that are on link first, adds one for each next hop
// that is on none, and one to the gateway if there is no default route (RFC
// 3442); statichcpd did none of this, and a guest that renews keeps what it
// had.
func routesExact(b *nic.Binding, l []value) bool {
	known := []netip.Prefix{b.Delivered().Masked()}
	byRouter, hasDefault := false, !b.Gateway.IsValid() || b.NoDefaultRoute
	for _, v := range l {
		hasDefault = hasDefault || v.prefix.Bits() == 0
		if v.addr.IsUnspecified() {
			if byRouter {
				return false
			}
			known = append(known, v.prefix)
			continue
		}
		byRouter = true
		if !slices.ContainsFunc(known, func(p netip.Prefix) bool { return p.Contains(v.addr) }) {
			return false
		}
	}
	return hasDefault
}
