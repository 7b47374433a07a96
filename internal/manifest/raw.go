package manifest

import "reflect"

// raw is one document as written: every value still text, a nil pointer or
// slice where the key is absent. The tags are the file format's keys, for
// YAML and JSON alike.
type raw struct {
	NIC            *string           `json:"nic,omitempty"`
	Network        *string           `json:"network,omitempty"`
	MAC            *string           `json:"mac,omitempty"`
	Suspended      *bool             `json:"suspended,omitempty"`
	Hostname       *string           `json:"hostname,omitempty"`
	Domain         *string           `json:"domain,omitempty"`
	Search         []string          `json:"search,omitzero"`
	Addresses      []string          `json:"addresses,omitzero"`
	Gateway        *string           `json:"gateway,omitempty"`
	Gateway6       *string           `json:"gateway6,omitempty"`
	GatewayMAC     *string           `json:"gateway-mac,omitempty"`
	Broadcast      *string           `json:"broadcast,omitempty"`
	NoDefaultRoute *bool             `json:"no-default-route,omitempty"`
	Routes         []rawRoute        `json:"routes,omitzero"`
	DNS            []string          `json:"dns,omitzero"`
	NTP            []string          `json:"ntp,omitzero"`
	MTU            *int64            `json:"mtu,omitempty"`
	CaptivePortal  *string           `json:"captive-portal,omitempty"`
	IPv6           *string           `json:"ipv6,omitempty"`
	LinkLocal      wordOrList        `json:"link-local,omitzero"`
	SLAAC          []string          `json:"slaac,omitzero"`
	Delegated      []string          `json:"delegated,omitzero"`
	Routed         *bool             `json:"routed,omitempty"`
	Routing        *rawRouting       `json:"routing,omitempty"`
	Neighbours     *string           `json:"neighbours,omitempty"`
	Group          *string           `json:"group,omitempty"`
	Shared         []rawShared       `json:"shared,omitzero"`
	ServedBy       *string           `json:"served-by,omitempty"`
	Tags           map[string]string `json:"tags,omitzero"`
	DHCP4          *rawDHCP4         `json:"dhcp4,omitempty"`
	DHCP6          *rawDHCP6         `json:"dhcp6,omitempty"`
	RA             *rawRA            `json:"ra,omitempty"`
	Guard          *rawGuard         `json:"guard,omitempty"`
}

type rawRoute struct {
	To  *string `json:"to,omitempty"`
	Via *string `json:"via,omitempty"`
}

type rawRouting struct {
	Table  *int64  `json:"table,omitempty"`
	Uplink *string `json:"uplink,omitempty"`
}

type rawShared struct {
	Group     *string  `json:"group,omitempty"`
	Addresses []string `json:"addresses,omitzero"`
	VRID      *int64   `json:"vrid,omitempty"`
}

type rawDHCP4 struct {
	Off                *bool              `json:"off,omitempty"`
	Address            *string            `json:"address,omitempty"`
	ServerID           *string            `json:"server-id,omitempty"`
	Lease              *string            `json:"lease,omitempty"`
	MaxLease           *string            `json:"max-lease,omitempty"`
	T1                 *string            `json:"t1,omitempty"`
	T2                 *string            `json:"t2,omitempty"`
	OnlyRequested      *bool              `json:"only-requested,omitempty"`
	NoRouterWithRoutes *bool              `json:"no-router-with-routes,omitempty"`
	RapidCommit        *bool              `json:"rapid-commit,omitempty"`
	Relay              *bool              `json:"relay,omitempty"`
	AnyClient          *bool              `json:"any-client,omitempty"`
	V6OnlyWait         *string            `json:"v6-only-wait,omitempty"`
	Options            []rawOption        `json:"options,omitzero"`
	Boot               *rawBoot           `json:"boot,omitempty"`
	BootArch           map[string]rawBoot `json:"boot-arch,omitzero"`
	BootIPXE           *rawBoot           `json:"boot-ipxe,omitempty"`
}

type rawOption struct {
	Code   *int64   `json:"code,omitempty"`
	Type   *string  `json:"type,omitempty"`
	Value  *string  `json:"value,omitempty"`
	Values []string `json:"values,omitzero"`
}

type rawBoot struct {
	NextServer *string `json:"next-server,omitempty"`
	ServerName *string `json:"server-name,omitempty"`
	File       *string `json:"file,omitempty"`
}

type rawDHCP6 struct {
	Mode        *string           `json:"mode,omitempty"`
	Preferred   *string           `json:"preferred,omitempty"`
	Valid       *string           `json:"valid,omitempty"`
	T1          *string           `json:"t1,omitempty"`
	T2          *string           `json:"t2,omitempty"`
	RapidCommit *bool             `json:"rapid-commit,omitempty"`
	Unicast     *bool             `json:"unicast,omitempty"`
	Relay       *bool             `json:"relay,omitempty"`
	Preference  *int64            `json:"preference,omitempty"`
	Refresh     *string           `json:"refresh,omitempty"`
	SolMaxRT    *string           `json:"sol-max-rt,omitempty"`
	InfMaxRT    *string           `json:"inf-max-rt,omitempty"`
	ServerDUID  *string           `json:"server-duid,omitempty"`
	DUID        *string           `json:"duid,omitempty"`
	Refuse      *bool             `json:"refuse,omitempty"`
	IA          []rawIA           `json:"ia,omitzero"`
	Temporary   []string          `json:"temporary,omitzero"`
	Options     []rawOption       `json:"options,omitzero"`
	BootURL     *string           `json:"boot-url,omitempty"`
	BootArgs    []string          `json:"boot-args,omitzero"`
	BootArch    map[string]string `json:"boot-arch,omitzero"`
}

type rawIA struct {
	IAID      *int64   `json:"iaid,omitempty"`
	Addresses []string `json:"addresses,omitzero"`
	Prefixes  []string `json:"prefixes,omitzero"`
}

type rawRA struct {
	Mode       *string      `json:"mode,omitempty"`
	Interval   *string      `json:"interval,omitempty"`
	Lifetime   *string      `json:"lifetime,omitempty"`
	Preference *string      `json:"preference,omitempty"`
	HopLimit   *int64       `json:"hop-limit,omitempty"`
	Preferred  *string      `json:"preferred,omitempty"`
	Valid      *string      `json:"valid,omitempty"`
	OffLink    *bool        `json:"off-link,omitempty"`
	Autonomous *bool        `json:"autonomous,omitempty"`
	Multicast  *bool        `json:"multicast,omitempty"`
	Routes     []rawRARoute `json:"routes,omitzero"`
	PREF64     *string      `json:"pref64,omitempty"`
}

type rawRARoute struct {
	To         *string `json:"to,omitempty"`
	Preference *string `json:"preference,omitempty"`
	Lifetime   *string `json:"lifetime,omitempty"`
}

type rawRate struct {
	PerSecond *int64 `json:"per-second,omitempty"`
	Burst     *int64 `json:"burst,omitempty"`
}

type rawGuard struct {
	Mode            *string    `json:"mode,omitempty"`
	Checks          *rawChecks `json:"checks,omitempty"`
	AllowAddresses  []string   `json:"allow-addresses,omitzero"`
	AllowMACs       []string   `json:"allow-macs,omitzero"`
	AllowEthertypes []string   `json:"allow-ethertypes,omitzero"`
	AllowVLANs      []string   `json:"allow-vlans,omitzero"`
	Router          *bool      `json:"router,omitempty"`
	Advertise       *bool      `json:"advertise,omitempty"`
	Peers           []string   `json:"peers,omitzero"`
	Routers         []string   `json:"routers,omitzero"`
	Rate            *rawRate   `json:"rate,omitempty"`
}

type rawChecks struct {
	MAC *bool `json:"mac,omitempty"`
	ARP *bool `json:"arp,omitempty"`
	ND  *bool `json:"nd,omitempty"`
	IP  *bool `json:"ip,omitempty"`
	L2  *bool `json:"l2,omitempty"`
}

// nicOnly are the keys that say who a NIC is; a network cannot give them.
func nicOnly() []string {
	return []string{
		"nic", "mac", "addresses", "slaac", "delegated", "hostname", "suspended", "tags",
		"group", "shared",
		"dhcp4.address", "dhcp6.duid", "dhcp6.ia", "dhcp6.temporary",
	}
}

// inherit fills what dst leaves out from src: keys one by one, lists and maps
// as a whole. Both point to the same struct type; src is never shared with
// dst, so that one NIC's document cannot reach another's.
func inherit(dst, src reflect.Value) {
	for i := range dst.NumField() {
		d, s := dst.Field(i), src.Field(i)
		if s.IsNil() {
			continue
		}
		isStruct := d.Kind() == reflect.Pointer && d.Type().Elem().Kind() == reflect.Struct
		switch {
		case isStruct:
			if d.IsNil() {
				d.Set(reflect.New(d.Type().Elem()))
			}
			inherit(d.Elem(), s.Elem())
		case d.IsNil():
			d.Set(s)
		}
	}
}

// merged returns r with everything it leaves out taken from under.
func merged(r, under raw) raw {
	inherit(reflect.ValueOf(&r).Elem(), reflect.ValueOf(&under).Elem())
	return r
}

func ptr[T any](v T) *T { return &v }
