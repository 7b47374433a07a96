package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/dhcp4"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// identity is what a NIC is told to be in one family: by its binding, or by
// the clients and the kernel of the VM. Lifetimes are in seconds.
type identity struct {
	Address, Router, DNS, MTU, Lifetime string
	Hostname, Server                    string // of IPv4
}

// addr is the identity's address without its prefix length.
func (id identity) addr() string {
	a, _, _ := strings.Cut(id.Address, "/")
	return a
}

// declared reads what a VM is bound to from the files themselves, not from
// berthd.
func (n *node) declared(v *vm) (*nic.Binding, error) {
	networks, err := os.ReadFile(n.networksFile())
	if err != nil {
		return nil, err
	}
	nets, problems := manifest.ParseNetworks(n.networksFile(), networks)
	data, err := os.ReadFile(n.bindingFile(v))
	if err != nil {
		return nil, err
	}
	r := manifest.Parse(n.bindingFile(v), data, nets)
	if len(problems) > 0 || len(r.Problems) > 0 || len(r.Bindings) != 1 {
		return nil, fmt.Errorf("%s: %d bindings, problems %v %v", n.bindingFile(v), len(r.Bindings), problems, r.Problems)
	}
	return &r.Bindings[0], nil
}

// identityOf is what a binding says in one family; not ok if it has none.
func identityOf(b *nic.Binding, f family) (id identity, ok bool) {
	id.MTU = strconv.Itoa(int(b.MTU))
	id.DNS = join(of(f, b.DNS, func(a netip.Addr) netip.Addr { return a }))
	addresses := of(f, slices.Concat(b.Addresses, b.SLAAC), netip.Prefix.Addr)
	if len(addresses) == 0 {
		return identity{}, false
	}
	id.Address = addresses[0].String()
	if f == v6 {
		id.Router, id.Lifetime = b.Gateway6.String(), strconv.Itoa(int(b.DHCP6.Valid))
		return id, true
	}
	server, _ := dhcp4.ServerID(b, nil)
	id.Router, id.Lifetime = b.Gateway.String(), strconv.Itoa(int(b.DHCP4.Lease))
	id.Hostname, id.Server = b.Hostname, server.String()
	return id, true
}

// of keeps what is of one family.
func of[T any](f family, all []T, addr func(T) netip.Addr) []T {
	return slices.DeleteFunc(slices.Clone(all), func(t T) bool { return addr(t).Is4() != (f == v4) })
}

func join[T fmt.Stringer](all []T) string {
	var words []string
	for _, t := range all {
		words = append(words, t.String())
	}
	return strings.Join(words, " ")
}

// waitIdentity waits until a VM has all it is told in one family.
func (r *room) waitIdentity(a ask) (identity, error) {
	var id identity
	var last error
	err := r.until(20*time.Second, fmt.Sprintf("%s of %s", a.family, a.vm.name), func() bool {
		id, last = r.has(a)
		return last == nil
	})
	if err != nil {
		return id, fmt.Errorf("%w (%w)\n%s says:\n%s", err, last, a.client().tool, a.client().run.tail())
	}
	return id, nil
}

var errNotYet = errors.New("not all of it yet")

// has reads what a VM has now in one family: servers and lease from its
// client, the rest from its kernel.
func (r *room) has(a ask) (identity, error) {
	record, err := os.ReadFile(r.path(a.file("lease")))
	if err != nil {
		return identity{}, err
	}
	said := map[string]string{}
	for _, line := range strings.Split(string(record), "\n") {
		key, value, _ := strings.Cut(line, "=")
		said[key] = value
	}
	id, err := r.kernelHas(a)
	if err != nil {
		return identity{}, err
	}
	id.DNS, id.Hostname, id.Server = said["dns"], said["hostname"], said["server"]
	if a.client().stateless {
		return id, nil
	}
	id.Lifetime = said["lease"]
	if said["address"] != id.addr() {
		return identity{}, fmt.Errorf("%w: the client has %s, the kernel %s", errNotYet, said["address"], id.addr())
	}
	return id, nil
}

// address is an address as ip(8) prints it.
type address struct {
	Local      string `json:"local"`
	Valid      int64  `json:"valid_life_time"`
	Temporary  bool   `json:"temporary"`
	Tentative  bool   `json:"tentative"`
	Deprecated bool   `json:"deprecated"`
}

func (r *room) addresses(v *vm, f family, scope string) ([]address, error) {
	var links []struct {
		Addrs []address `json:"addr_info"`
	}
	err := r.json(&links, "ip", "-n", v.name, fmt.Sprintf("-%d", f), "-j", "address", "show", "dev", "eth0", "scope", scope)
	var all []address
	for _, l := range links {
		all = append(all, l.Addrs...)
	}
	// What is of another scope is printed as an empty object.
	return slices.DeleteFunc(all, func(a address) bool { return a.Local == "" }), err
}

// kernelHas reads the one address that a VM's kernel prefers, its routers and
// its MTU.
func (r *room) kernelHas(a ask) (identity, error) {
	all, err := r.addresses(a.vm, a.family, "global")
	if err != nil {
		return identity{}, err
	}
	all = slices.DeleteFunc(all, func(a address) bool { return a.Deprecated })
	if slices.ContainsFunc(all, func(a address) bool { return a.Tentative }) {
		return identity{}, fmt.Errorf("%w: tentative addresses", errNotYet)
	}
	mine, told, ok := preferred(all, a.vm.private)
	if !ok {
		return identity{}, fmt.Errorf("%w: %d addresses: %+v", errNotYet, len(all), all)
	}
	rt, err := r.routes(a, mine)
	if err != nil {
		return identity{}, err
	}
	// Its kernel counts down from what it was told, a whole number of minutes.
	minutes := (told.Valid + 59) / 60
	return identity{
		Address:  fmt.Sprintf("%s/%d", mine.Local, rt.length),
		Router:   strings.Join(rt.routers, " "),
		MTU:      strconv.Itoa(rt.mtu),
		Lifetime: strconv.FormatInt(minutes*60, 10),
	}, nil
}

// preferred finds the address that a VM speaks from, and the one whose
// lifetime is as it was told: temporary addresses have shorter ones.
func preferred(all []address, private bool) (mine, told address, ok bool) {
	want := 1
	if private {
		want = 2
	}
	for _, a := range all {
		if !a.Temporary {
			told = a
		}
		if a.Temporary || mine == (address{}) {
			mine = a
		}
	}
	return mine, told, len(all) == want && told != (address{}) && mine.Temporary == private
}

// routing is what the routes of a VM say.
type routing struct {
	routers []string
	length  int // of the subnet of its address
	mtu     int
}

func (r *room) routes(a ask, mine address) (routing, error) {
	var routes []struct {
		To      string `json:"dst"`
		Via     string `json:"gateway"`
		Metrics []struct {
			MTU int `json:"mtu"`
		} `json:"metrics"`
	}
	if err := r.json(&routes, "ip", "-n", a.vm.name, fmt.Sprintf("-%d", a.family), "-j", "route", "show"); err != nil {
		return routing{}, err
	}
	var out routing
	var err error
	if out.mtu, err = r.mtu(a); err != nil {
		return routing{}, err
	}
	own, err := netip.ParseAddr(mine.Local)
	if err != nil {
		return routing{}, err
	}
	for _, rt := range routes {
		if to, err := netip.ParsePrefix(rt.To); err == nil && to.Contains(own) {
			out.length = to.Bits()
		}
		if rt.To != "default" {
			continue
		}
		out.routers = append(out.routers, rt.Via)
		if len(rt.Metrics) > 0 && rt.Metrics[0].MTU > 0 {
			out.mtu = rt.Metrics[0].MTU // dhcpcd sets it on its routes
		}
	}
	if len(out.routers) == 0 {
		return routing{}, fmt.Errorf("%w: no router", errNotYet)
	}
	slices.Sort(out.routers)
	out.routers = slices.Compact(out.routers)
	return out, nil
}

func (r *room) mtu(a ask) (int, error) {
	file := "/sys/class/net/eth0/mtu"
	if a.family == v6 {
		file = "/proc/sys/net/ipv6/conf/eth0/mtu"
	}
	out, err := r.exec(a.vm.name, "cat", file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(out))
}

// json runs a command that prints JSON.
func (r *room) json(into any, argv ...string) error {
	out, err := r.exec(hypervisor, argv...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return nil
}
