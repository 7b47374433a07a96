package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/fleet"
)

// clusterFile is what alice asks for.
const clusterFile = `kind: request
name: cluster
project: db
vms:
- name: db0
  image: {name: debian-13, size: 2147483648}
  nics: [{network: lan, node: n1, interface: db0-tap, hostname: db0}]
- name: db1
  image: {name: debian-13, size: 2147483648}
  nics: [{network: lan, node: n2, interface: db1-tap, hostname: db1}]
- name: db2
  image: {name: debian-13, size: 2147483648}
  nics: [{network: lan, node: n1, interface: db2-tap, hostname: db2}]
`

// request has alice ask for three VMs, starts them with what they were granted,
// and compares that with what their clients get.
func (e *estate) request() error {
	e.heading("13 alice asks for a cluster of three VMs: it is granted as a whole, or not at all")
	if err := e.write("cluster.yaml", clusterFile); err != nil {
		return err
	}
	_, _, err := e.quietly(alice, "berth context add lab "+headURL+" --ca controller/ca.crt --token-file alice/token")
	if err != nil {
		return err
	}
	said, code, err := e.as(alice, "berth request -f cluster.yaml")
	if err != nil {
		return err
	}
	e.fact("exit code of the request", code, 0)
	tools := map[string]string{"db0": "dhcpcd", "db1": "dhclient", "db2": "dhclient"}
	for _, name := range []string{"db0", "db1", "db2"} {
		v := &vm{name: name, clients: map[family]*client{v4: {tool: "udhcpc"}, v6: {tool: tools[name]}}}
		n, err := e.nic(v)
		if err != nil {
			return e.explain(err)
		}
		v.mac = n.Granted.MAC
		e.vms = append(e.vms, v)
		e.holds("the table has what "+name+" was granted", strings.Contains(said, v.mac.String()) && strings.Contains(said, n.Granted.Addresses[0].String()))
	}
	return e.boot()
}

// nic is the NIC of a VM as the controller has it.
func (e *estate) nic(v *vm) (*fleet.NIC, error) {
	doc, err := e.site.Get(e.ctx, fleet.KindNIC, v.name+"-0")
	if err != nil {
		return nil, err
	}
	n := new(fleet.NIC)
	if err := json.Unmarshal(doc, n); err != nil {
		return nil, err
	}
	if n.Granted == nil || len(n.Granted.Addresses) != 2 {
		return nil, fmt.Errorf("%s is not granted an address of either family: %s", n.Name, doc)
	}
	return n, nil
}

// boot starts the VMs where they are granted to be, and their clients.
func (e *estate) boot() error {
	started := time.Now()
	for i, v := range e.vms {
		if err := e.addNamespace(v.name); err != nil {
			return err
		}
		plug := func() error { return e.plugAt(v, []string{"n1", "n2", "n1"}[i]) }
		if i == 0 {
			plug = func() error { return e.plugMoving(v, "n1") }
		}
		if err := plug(); err != nil {
			return err
		}
		if err := e.wake(v); err != nil {
			return err
		}
	}
	for _, v := range e.vms {
		if err := e.waitInForce(v); err != nil {
			return err
		}
		for _, f := range families() {
			if err := e.startClient(ask{v, f}); err != nil {
				return err
			}
		}
	}
	e.line("The VMs are started with the MACs that they were granted, and ask:")
	e.line(identityRow, "", "", "address", "router", "DNS", "MTU", "lifetime")
	for _, v := range e.vms {
		if err := e.compare(v); err != nil {
			return e.explain(err)
		}
	}
	e.line("All of it after %.1f s.", time.Since(started).Seconds())
	return nil
}

func (e *estate) plugMoving(v *vm, node string) error {
	if err := e.plugHub(v); err != nil {
		return err
	}
	if err := e.plugTap(v, node); err != nil {
		return err
	}
	return e.passes(v, node, true)
}

// waitInForce waits until the controller knows of a VM's NIC that it is in
// force where it is to be.
func (e *estate) waitInForce(v *vm) error {
	return e.explain(e.until(10*time.Second, v.name+" in force", func() bool {
		st, err := e.site.NICStatus(e.ctx, v.name+"-0")
		return err == nil && slices.ContainsFunc(st.Nodes, func(s fleet.Status) bool { return s.State == string(api.InForce) && s.Checked })
	}))
}

// grantedTo is what a VM is to be told of what it was granted.
func (e *estate) grantedTo(a ask) (identity, error) {
	n, err := e.nic(a.vm)
	if err != nil {
		return identity{}, err
	}
	id := identity{MTU: "1450", Lifetime: strconv.Itoa(int(lease.Seconds()))}
	address := of(a.family, n.Granted.Addresses, netip.Prefix.Addr)[0]
	id.Address = address.String()
	if a.family == v6 {
		id.Router, id.DNS = gateway6, "2001:db8::53"
		return id, nil
	}
	id.Router, id.DNS, id.Hostname, id.Server = lanRouter, "10.1.0.53", n.Granted.Hostname, lanRouter
	return id, nil
}

// compare prints what a VM was granted and what it got, and has it ping the
// router.
func (e *estate) compare(v *vm) error {
	for _, f := range families() {
		a := ask{v, f}
		want, err := e.grantedTo(a)
		if err != nil {
			return err
		}
		got, err := e.waitIdentity(a)
		if err != nil {
			return err
		}
		name := v.name
		if f == v6 {
			name = ""
		}
		e.identity(name, "granted", want)
		e.identity("", a.client().got(), got)
		e.fact(fmt.Sprintf("%s of %s", f, v.name), got, want)
		_, err = e.reaches(v, got.addr(), map[family]string{v4: lanRouter, v6: lanRouter6}[f])
		e.fact(fmt.Sprintf("%s pings the router by %s: error", v.name, f), err, nil)
	}
	return nil
}
