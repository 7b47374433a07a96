package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/dhcp4"
	"github.com/berth-net/berth/internal/manifest"
)

//go:embed vm.sh
var vmScript string

// identity is what a NIC is told to be: by its binding, or by DHCP.
type identity struct {
	Address, Gateway, DNS, Hostname, MTU, Lease, Server string
}

// declared reads an identity from the file itself, not from berthd.
func declared(file string) (identity, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return identity{}, err
	}
	r := manifest.Parse(file, data, manifest.Networks{})
	if len(r.Problems) > 0 || len(r.Bindings) != 1 {
		return identity{}, fmt.Errorf("%s: %d bindings, problems %v", file, len(r.Bindings), r.Problems)
	}
	b := &r.Bindings[0]
	id, _ := dhcp4.ServerID(b, nil)
	var dns []string
	for _, a := range b.DNS {
		dns = append(dns, a.String())
	}
	return identity{
		Address: b.Addresses[0].String(), Gateway: b.Gateway.String(), DNS: strings.Join(dns, " "), Hostname: b.Hostname,
		MTU: strconv.Itoa(int(b.MTU)), Lease: strconv.Itoa(int(b.DHCP4.Lease)), Server: id.String(),
	}, nil
}

// startClient starts the VM's DHCP client in the foreground.
func (r *room) startClient(v *vm) error {
	script := r.path(v.name + ".sh")
	if err := os.WriteFile(script, []byte(vmScript), 0o755); err != nil {
		return err
	}
	argv, err := r.clientCommand(v, script)
	if err != nil {
		return err
	}
	v.run, err = r.start(v.name, v.name, argv...)
	return err
}

func (r *room) clientCommand(v *vm, script string) ([]string, error) {
	conf := v.name + ".conf"
	switch v.client {
	case "dhclient":
		binary, err := r.copyTool("dhclient")
		if err != nil {
			return nil, err
		}
		err = r.write(conf, "request subnet-mask, routers, domain-name-servers, host-name, interface-mtu;\ninitial-interval 1;\nretry 1;\n")
		return []string{binary, "-4", "-d", "-cf", r.path(conf), "-sf", script, "-lf", r.path("leases"), "-pf", r.path("pid"), "eth0"}, err
	case "dhcpcd":
		err := r.write(conf, "nodelay\nnoarp\nnoipv4ll\noption host_name, interface_mtu, routers, domain_name_servers\nrequire dhcp_server_identifier\n")
		return []string{"dhcpcd", "-4", "-B", "-f", r.path(conf), "-c", script, "eth0"}, err
	default:
		return []string{"udhcpc", "-f", "-i", "eth0", "-s", script, "-t", "20", "-T", "1", "-O", "mtu", "-O", "hostname"}, nil
	}
}

// copyTool makes a copy under another path. Debian confines dhclient by path
// (AppArmor) to its own script and configuration.
func (r *room) copyTool(name string) (string, error) {
	from, err := lookTool(name)
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return "", err
	}
	to := r.path(filepath.Base(from))
	return to, os.WriteFile(to, b, 0o755)
}

// waitLease waits until the client has told its script of a lease, and
// returns what the VM has then: address, route and MTU from its kernel.
func (r *room) waitLease(v *vm, limit time.Duration) (identity, error) {
	var id identity
	err := r.until(limit, "a lease for "+v.name, func() bool {
		var err error
		id, err = r.has(v)
		return err == nil
	})
	if err != nil {
		return id, fmt.Errorf("%w\n%s says:\n%s", err, v.client, v.run.tail())
	}
	return id, nil
}

var errNoLease = errors.New("no lease yet")

// has reads what a VM has now.
func (r *room) has(v *vm) (identity, error) {
	record, err := os.ReadFile(r.path(v.name + ".lease"))
	if err != nil {
		return identity{}, err
	}
	said := map[string]string{}
	for _, line := range strings.Split(string(record), "\n") {
		key, value, _ := strings.Cut(line, "=")
		said[key] = value
	}
	id := identity{DNS: said["dns"], Hostname: said["hostname"], Lease: said["lease"], Server: said["server"]}
	if err := r.readKernel(v, &id); err != nil {
		return identity{}, err
	}
	if !strings.HasPrefix(id.Address, said["address"]+"/") || id.Gateway == "" {
		return identity{}, errNoLease // the client is not done
	}
	return id, nil
}

func (r *room) readKernel(v *vm, id *identity) error {
	var links []struct {
		MTU   int `json:"mtu"`
		Addrs []struct {
			Local  string `json:"local"`
			Length int    `json:"prefixlen"`
		} `json:"addr_info"`
	}
	var routes []struct {
		Gateway string `json:"gateway"`
		Metrics []struct {
			MTU int `json:"mtu"`
		} `json:"metrics"`
	}
	if err := r.json(&links, "ip", "-n", v.name, "-4", "-j", "address", "show", "dev", "eth0"); err != nil {
		return err
	}
	if err := r.json(&routes, "ip", "-n", v.name, "-4", "-j", "route", "show", "default"); err != nil {
		return err
	}
	if len(links) != 1 || len(links[0].Addrs) != 1 || len(routes) != 1 {
		return errNoLease
	}
	a, mtu := links[0].Addrs[0], links[0].MTU
	if m := routes[0].Metrics; len(m) > 0 && m[0].MTU > 0 {
		mtu = m[0].MTU // dhcpcd sets option 26 on its routes
	}
	id.Address, id.MTU, id.Gateway = fmt.Sprintf("%s/%d", a.Local, a.Length), strconv.Itoa(mtu), routes[0].Gateway
	return nil
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

// ping asks the router for one answer and returns how long it took.
func (r *room) ping(v *vm) (string, error) {
	out, err := r.exec(v.name, "ping", "-n", "-c1", "-W1", router)
	if err != nil {
		return "no answer", err
	}
	_, after, _ := strings.Cut(out, "time=")
	took, _, _ := strings.Cut(after, "\n")
	return took, nil
}
