package compat

import (
	"net/netip"
	"strconv"

	"github.com/berth-net/berth/internal/nic"
)

// Host is one machine's network interface as another system knows it: a
// binding's document with only what is known. Who asks what a document means
// asks manifest.
type Host struct {
	Place
	Name string // what the other system calls it, for messages
	Document
}

// Document has the keys of docs/binding.md that an import can fill.
type Document struct {
	NIC            string         `json:"nic"`
	Network        string         `json:"network,omitempty"`
	MAC            nic.MAC        `json:"mac"`
	Hostname       string         `json:"hostname,omitempty"`
	Domain         string         `json:"domain,omitempty"`
	Search         []string       `json:"search,omitempty"`
	Addresses      []netip.Prefix `json:"addresses,omitempty"`
	Gateway        netip.Addr     `json:"gateway,omitzero"`
	Gateway6       netip.Addr     `json:"gateway6,omitzero"`
	GatewayMAC     nic.MAC        `json:"gateway-mac,omitzero"`
	Broadcast      netip.Addr     `json:"broadcast,omitzero"`
	NoDefaultRoute bool           `json:"no-default-route,omitempty"`
	Routes         []Route        `json:"routes,omitempty"`
	DNS            []netip.Addr   `json:"dns,omitempty"`
	NTP            []netip.Addr   `json:"ntp,omitempty"`
	MTU            uint16         `json:"mtu,omitempty"`
	CaptivePortal  string         `json:"captive-portal,omitempty"`
	Delegated      []netip.Prefix `json:"delegated,omitempty"`
	DHCP4          DHCP4          `json:"dhcp4,omitzero"`
	DHCP6          DHCP6          `json:"dhcp6,omitzero"`
	RA             RA             `json:"ra,omitzero"`
}

// Route is an entry of routes; a zero Via is on link.
type Route struct {
	To  netip.Prefix `json:"to"`
	Via netip.Addr   `json:"via,omitzero"`
}

// DHCP4 has keys of dhcp4.
type DHCP4 struct {
	Off        bool        `json:"off,omitempty"`
	ServerID   netip.Addr  `json:"server-id,omitzero"`
	Lease      Time        `json:"lease,omitzero"`
	MaxLease   Time        `json:"max-lease,omitzero"`
	T1         Time        `json:"t1,omitzero"`
	T2         Time        `json:"t2,omitzero"`
	V6OnlyWait Time        `json:"v6-only-wait,omitzero"`
	Options    []HexOption `json:"options,omitempty"`
	Boot       Boot        `json:"boot,omitzero"`
}

// Boot has the keys of dhcp4.boot.
type Boot struct {
	NextServer netip.Addr `json:"next-server,omitzero"`
	ServerName string     `json:"server-name,omitempty"`
	File       string     `json:"file,omitempty"`
}

// DHCP6 has keys of dhcp6.
type DHCP6 struct {
	Preferred   Time        `json:"preferred,omitzero"`
	Valid       Time        `json:"valid,omitzero"`
	T1          Time        `json:"t1,omitzero"`
	T2          Time        `json:"t2,omitzero"`
	RapidCommit bool        `json:"rapid-commit,omitempty"`
	Preference  uint8       `json:"preference,omitempty"`
	Refresh     Time        `json:"refresh,omitzero"`
	SolMaxRT    Time        `json:"sol-max-rt,omitzero"`
	InfMaxRT    Time        `json:"inf-max-rt,omitzero"`
	DUID        string      `json:"duid,omitempty"`
	Options     []HexOption `json:"options,omitempty"`
	BootURL     string      `json:"boot-url,omitempty"`
}

// SetLease sets the times as dnsmasq has them: both lifetimes are the lease, T1
// is half of it and T2 seven eighths. Of an infinite one they are infinite.
func (d *DHCP6) SetLease(t Time) {
	d.Preferred, d.Valid, d.T1, d.T2 = t, t, t, t
	if t != Time(nic.Infinite) {
		d.T1, d.T2 = t/2, t/8*7
	}
}

// RA has keys of ra.
type RA struct {
	Mode string `json:"mode,omitempty"`
}

// HexOption is a DHCP option by its bytes.
type HexOption struct {
	Code  uint16 `json:"code"`
	Type  string `json:"type"`
	Value string `json:"value"`
}

// Time is a number of seconds as a document has it; 0 is not said.
type Time nic.Seconds

// String is the seconds, or infinite.
func (t Time) String() string {
	if t == Time(nic.Infinite) {
		return "infinite"
	}
	return strconv.FormatUint(uint64(t), 10)
}

// MarshalText is String.
func (t Time) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
