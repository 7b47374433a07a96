package manifest

import (
	"reflect"

	"github.com/berth-net/berth/internal/nic"
)

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
	Broadcast      *string           `json:"broadcast,omitempty"`
	NoDefaultRoute *bool             `json:"no-default-route,omitempty"`
	Routes         []rawRoute        `json:"routes,omitzero"`
	DNS            []string          `json:"dns,omitzero"`
	NTP            []string          `json:"ntp,omitzero"`
	MTU            *int64            `json:"mtu,omitempty"`
	Tags           map[string]string `json:"tags,omitzero"`
	DHCP4          *rawDHCP4         `json:"dhcp4,omitempty"`
	Guard          *rawGuard         `json:"guard,omitempty"`
}

type rawRoute struct {
	To  *string `json:"to,omitempty"`
	Via *string `json:"via,omitempty"`
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
	Router          *bool      `json:"router,omitempty"`
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
	return []string{"nic", "mac", "addresses", "hostname", "suspended", "tags", "dhcp4.address"}
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

// defaultLease is one day: an agent that is down for hours costs no guest its
// address.
const defaultLease = nic.Seconds(24 * 60 * 60)

// defaults is the one place where the built-in defaults stand. Some follow the
// lease in force; RFC 2131 section 4.4.5 gives T1 and T2.
func defaults(lease nic.Seconds) raw {
	on, off := ptr(true), ptr(false)
	t1, t2 := nic.Seconds(0), nic.Seconds(0)
	if lease != nic.Infinite { // nothing to renew
		t1, t2 = lease/2, lease/8*7+lease%8*7/8
	}
	return raw{
		Suspended:      off,
		NoDefaultRoute: off,
		MTU:            ptr(int64(0)),
		DHCP4: &rawDHCP4{
			Off:                off,
			ServerID:           ptr("gateway"),
			Lease:              ptr(formatSeconds(lease)),
			MaxLease:           ptr(formatSeconds(lease)),
			T1:                 ptr(formatSeconds(t1)),
			T2:                 ptr(formatSeconds(t2)),
			OnlyRequested:      off,
			NoRouterWithRoutes: off,
			RapidCommit:        off,
			Relay:              off,
		},
		Guard: &rawGuard{
			Mode:   ptr("enforce"),
			Checks: &rawChecks{MAC: on, ARP: on, ND: on, IP: on, L2: on},
			Router: off,
			Rate:   &rawRate{PerSecond: ptr(int64(50)), Burst: ptr(int64(100))},
		},
	}
}

func ptr[T any](v T) *T { return &v }
