package nfdhcpd

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/manifest"
)

// document is a binding in berth's own format, with what a binding file and
// nfdhcpd.conf say; manifest gives the rest.
type document struct {
	NIC            string            `json:"nic"`
	MAC            string            `json:"mac"`
	Hostname       string            `json:"hostname,omitempty"`
	Domain         string            `json:"domain,omitempty"`
	Search         []string          `json:"search,omitempty"`
	Addresses      []string          `json:"addresses,omitempty"`
	Gateway        string            `json:"gateway,omitempty"`
	Gateway6       string            `json:"gateway6,omitempty"`
	GatewayMAC     string            `json:"gateway-mac,omitempty"`
	NoDefaultRoute bool              `json:"no-default-route"`
	Routes         []keysRoute       `json:"routes,omitempty"`
	DNS            []string          `json:"dns,omitempty"`
	MTU            json.Number       `json:"mtu,omitempty"`
	IPv6           string            `json:"ipv6,omitempty"`
	Routed         bool              `json:"routed"`
	Neighbours     string            `json:"neighbours,omitempty"`
	Tags           map[string]string `json:"tags,omitempty"`
	DHCP4          keys4             `json:"dhcp4"`
	DHCP6          keys6             `json:"dhcp6"`
	RA             keysRA            `json:"ra"`
	Guard          keysGuard         `json:"guard"`
}

type keysRoute struct {
	To string `json:"to"` // on link
}

type keys4 struct {
	Off      bool         `json:"off"`
	Any      bool         `json:"any-client"`
	ServerID string       `json:"server-id"`
	Lease    string       `json:"lease"`
	MaxLease string       `json:"max-lease"`
	T1       string       `json:"t1"`
	T2       string       `json:"t2"`
	Options  []keysOption `json:"options,omitempty"`
}

type keysOption struct {
	Code  uint8  `json:"code"`
	Type  string `json:"type"`
	Value string `json:"value"`
}

type keys6 struct {
	Mode string `json:"mode"`
}

type keysRA struct {
	Interval   string `json:"interval"`
	Lifetime   string `json:"lifetime"`
	HopLimit   uint8  `json:"hop-limit"`
	Preferred  string `json:"preferred"`
	Valid      string `json:"valid"`
	OffLink    bool   `json:"off-link"`
	Autonomous bool   `json:"autonomous"`
}

type keysGuard struct {
	Checks keysChecks `json:"checks"`
}

type keysChecks struct {
	MAC bool `json:"mac"`
	ARP bool `json:"arp"`
	ND  bool `json:"nd"`
}

// build makes the binding. A mistake that berth's own format finds is told at
// the key it came from, unless one was found there already.
func (d *draft) build() manifest.Result {
	text, err := json.Marshal(d.doc)
	if err != nil { // never: the document is text and numbers
		d.problem("", "", err.Error())
	}
	r := manifest.Parse(d.file, text, manifest.Networks{})
	for i := range r.Bindings {
		r.Bindings[i].Network = d.network()
	}
	told := d.problems
	for _, p := range r.Problems {
		key := d.origin(p.Field)
		if slices.ContainsFunc(d.problems, func(o manifest.Problem) bool { return o.Field == key }) {
			continue
		}
		value := p.Value
		if e, ok := d.keys[key]; ok {
			value = e.value
		}
		told = append(told, d.at(key, value, p.Text))
	}
	slices.SortStableFunc(told, func(x, y manifest.Problem) int { return cmp.Compare(x.Line, y.Line) })
	r.Problems = told
	return r
}

// network is the bridge: nfdhcpd knew a NIC by its interface, so that each
// bridge could have the same addresses. It gives no defaults, so the document
// does not name it.
func (d *draft) network() string {
	if d.routed() {
		return ""
	}
	return d.indev()
}

// origin is the key, of the file or of nfdhcpd.conf, that gave a field of the
// document.
func (d *draft) origin(field string) string {
	name, _, _ := strings.Cut(field, "[")
	switch name {
	case "nic":
		return ""
	case "mac":
		return keyMAC
	case "hostname":
		return d.hostnameKey()
	case "addresses":
		return d.addressKey(field)
	case "gateway", "routes":
		return keyGateway
	case "gateway6":
		return d.gateway6Key()
	case "gateway-mac":
		return d.gatewayMACKey()
	case "mtu":
		return keyMTU
	case "dns":
		return d.dnsKey(field)
	}
	return confOrigin(name)
}

func (d *draft) hostnameKey() string {
	if !d.set(keyHostname) {
		return keyInstance
	}
	return keyHostname
}

// addressKey: IP comes first in the document if there is one.
func (d *draft) addressKey(field string) string {
	switch {
	case field == "addresses[0]" && d.set(keyIP):
		return keyIP
	case d.set(keyEUI64):
		return keyEUI64
	}
	return keySubnet6
}

func (d *draft) gateway6Key() string {
	if d.doc.Gateway6 == d.get(keyGateway6) {
		return keyGateway6
	}
	return d.gatewayMACKey()
}

func (d *draft) gatewayMACKey() string {
	if d.set(keyGateway6MAC) {
		return keyGateway6MAC
	}
	return keyIndev
}

func (d *draft) dnsKey(field string) string {
	i := indexIn(field)
	four := len(d.dns(keyServers, d.config.Nameservers, 4))
	switch {
	case i < four && d.set(keyServers):
		return keyServers
	case i < four:
		return "dhcp.nameservers"
	case d.set(keyServers6):
		return keyServers6
	}
	return "ipv6.nameservers"
}
