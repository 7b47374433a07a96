package dhcp4

import (
	"testing"

	"github.com/berth-net/berth/internal/nic"
)

// Option 121 (RFC 3442), computed by hand: width, significant octets, router.
func TestClasslessRoutes(t *testing.T) {
	const defaultRoute = "00" + "c0000201"
	for name, c := range map[string]struct {
		changes []func(*nic.Binding)
		want    string // the data of option 121; "" for none
	}{
		"gateway on link": {nil, ""},
		"RFC 3442 widths": {changes: []func(*nic.Binding){
			route("10.0.0.0/8", "192.0.2.254"), route("10.0.0.0/24", "192.0.2.254"),
			route("10.17.0.0/16", "192.0.2.254"), route("10.27.129.0/24", "192.0.2.254"),
			route("10.229.0.128/25", "192.0.2.254"), route("10.198.122.47/32", "192.0.2.254"),
		}, want: "080a" + "c00002fe" + "180a0000" + "c00002fe" + "100a11" + "c00002fe" +
			"180a1b81" + "c00002fe" + "190ae50080" + "c00002fe" + "200ac67a2f" + "c00002fe" + defaultRoute},
		"on-link route":   {[]func(*nic.Binding){route("198.51.100.0/24", "")}, "18c63364" + "00000000" + defaultRoute},
		"host bits clear": {[]func(*nic.Binding){route("198.51.100.9/24", "192.0.2.254")}, "18c63364" + "c00002fe" + defaultRoute},
		"host bits in the last octet sent": {
			[]func(*nic.Binding){route("10.229.0.200/25", "192.0.2.254")},
			"190ae50080" + "c00002fe" + defaultRoute,
		},
		"no gateway": {[]func(*nic.Binding){
			route("198.51.100.0/24", "192.0.2.254"), func(b *nic.Binding) { b.Gateway = ip("") },
		}, "18c63364" + "c00002fe"},
		"gateway not announced": {[]func(*nic.Binding){
			route("198.51.100.0/24", "192.0.2.254"), func(b *nic.Binding) { b.NoDefaultRoute = true },
		}, "18c63364" + "c00002fe"},
		"own default route": {[]func(*nic.Binding){route("0.0.0.0/0", "192.0.2.254")}, "00" + "c00002fe"},
		"/32 with its gateway off link": {
			[]func(*nic.Binding){address("192.0.2.10/32")},
			"20c0000201" + "00000000" + defaultRoute,
		},
		"/32 without default route": {[]func(*nic.Binding){
			address("192.0.2.10/32"), func(b *nic.Binding) { b.NoDefaultRoute = true },
		}, ""},
		"/32 with routes through the gateway": {[]func(*nic.Binding){
			address("192.0.2.10/32"), route("10.0.0.0/8", "192.0.2.1"),
		}, "20c0000201" + "00000000" + "080a" + "c0000201" + defaultRoute},
		"next hop on a declared on-link route": {[]func(*nic.Binding){
			route("198.51.100.0/24", ""), route("10.0.0.0/8", "198.51.100.1"),
		}, "18c63364" + "00000000" + "080a" + "c6336401" + defaultRoute},
		"next hop on no link, twice": {[]func(*nic.Binding){
			route("10.0.0.0/8", "198.51.100.1"), route("10.0.0.0/16", "198.51.100.1"),
		}, "20c6336401" + "00000000" + "080a" + "c6336401" + "100a00" + "c6336401" + defaultRoute},
		"IPv6 route is not for here": {[]func(*nic.Binding){route("2001:db8::/32", "2001:db8::1")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := changed(func(b *nic.Binding) { b.DHCP4.OnlyRequested = true })
			for _, change := range c.changes {
				change(b)
			}
			got := Answer(server(b), asks(t, packet{options: "350101 3702f979"}))
			want := isOffer + serverID + lease1d
			if c.want != "" { // 249 has the same bytes
				want += withLength("f9", c.want) + withLength("79", c.want)
			}
			wantOptions(t, want, got)
		})
	}
}

// withLength puts code and length before an option's data.
func withLength(code, data string) string {
	const digits = "0123456789abcdef"
	n := len(data) / 2
	return code + string(digits[n>>4]) + string(digits[n&15]) + data
}

func TestMicrosoftRoutes(t *testing.T) {
	only := func(change func(*nic.Binding)) *nic.Binding {
		b := changed(change)
		b.DHCP4.OnlyRequested = true
		return b
	}
	toTen := "080a" + "c00002fe" + "00" + "c0000201"
	head := isOffer + serverID + lease1d
	for name, c := range map[string]struct {
		b         *nic.Binding
		ask, want string
	}{
		"not asked for": {only(route("10.0.0.0/8", "192.0.2.254")), "370179", head + withLength("79", toTen)},
		"alone":         {only(route("10.0.0.0/8", "192.0.2.254")), "3701f9", head + withLength("f9", toTen)},
		"of own 121":    {only(own(121, "080ac00002fe")), "3701f9", head + "f906080ac00002fe"},
		"own 249":       {only(own(249, "080ac00002fe")), "3702f979", head + "f906080ac00002fe"},
	} {
		t.Run(name, func(t *testing.T) {
			wantOptions(t, c.want, Answer(server(c.b), asks(t, packet{options: "350101" + c.ask})))
		})
	}
}

// NoRouterWithRoutes leaves the router out exactly when option 121 is there.
func TestNoRouterWithRoutes(t *testing.T) {
	toTen := withLength("79", "080a"+"c00002fe"+"00"+"c0000201")
	noRouter := func(b *nic.Binding) { b.DHCP4.NoRouterWithRoutes = true }
	routed := func(b *nic.Binding) { noRouter(b); route("10.0.0.0/8", "192.0.2.254")(b) }
	quiet := func(b *nic.Binding) { routed(b); b.DHCP4.OnlyRequested = true }
	head := isOffer + serverID + lease1d
	for name, c := range map[string]struct {
		change    func(*nic.Binding)
		ask, want string
	}{
		"no routes":                {noRouter, "", head + basicSet},
		"routes, nothing asked":    {routed, "", head + mask24 + dns + hostname + domain + broadcast + t1Half + t2 + toTen},
		"both asked":               {quiet, "37020379", head + toTen},
		"both asked, routes first": {quiet, "37027903", head + toTen},
		"only the router asked":    {quiet, "370103", head + gateway},
	} {
		t.Run(name, func(t *testing.T) {
			wantOptions(t, c.want, Answer(server(changed(c.change)), asks(t, packet{options: "350101" + c.ask})))
		})
	}
}
