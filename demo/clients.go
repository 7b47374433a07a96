package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

//go:embed vm4.sh
var script4 string

//go:embed vm6.sh
var script6 string

// client is how a VM asks for its identity in one family.
type client struct {
	tool      string
	stateless bool // DHCPv6 tells it servers only, and the kernel makes the address
	run       *process
}

// got says by whom a VM has its identity.
func (c *client) got() string {
	if c.stateless {
		return "SLAAC made"
	}
	return c.tool + " got"
}

// ask is a client that is to be started.
type ask struct {
	vm     *vm
	family family
}

func (a ask) client() *client { return a.vm.clients[a.family] }

// file is where the client's script, its configuration and what it was told are.
func (a ask) file(ext string) string { return fmt.Sprintf("%s-%d.%s", a.vm.name, a.family, ext) }

// startClient starts a VM's client in the foreground.
func (r *room) startClient(a ask) error {
	script := map[family]string{v4: script4, v6: script6}[a.family]
	if err := os.WriteFile(r.path(a.file("sh")), []byte(script), 0o755); err != nil {
		return err
	}
	if a.family == v6 {
		if err := r.waitLinkLocal(a.vm); err != nil {
			return err
		}
	}
	argv, err := r.clientCommand(a)
	if err != nil {
		return err
	}
	a.client().run, err = r.start(a.file("client"), a.vm.name, argv...)
	return err
}

// waitLinkLocal waits until the VM's kernel is done with detecting duplicates
// of its link-local: before that dhclient gives up.
func (r *room) waitLinkLocal(v *vm) error {
	return r.until(10*time.Second, "a link-local of "+v.name, func() bool {
		addresses, err := r.addresses(v, v6, "link")
		return err == nil && slices.ContainsFunc(addresses, func(a address) bool { return !a.Tentative })
	})
}

func (r *room) clientCommand(a ask) ([]string, error) {
	switch a.client().tool {
	case "dhclient":
		return r.dhclient(a)
	case "dhcpcd":
		return r.dhcpcd(a)
	default:
		return []string{"udhcpc", "-f", "-i", "eth0", "-s", r.path(a.file("sh")), "-t", "20", "-T", "1", "-O", "mtu", "-O", "hostname"}, nil
	}
}

// dhclient asks by DHCPv6; DHCPv4 is for the others.
func (r *room) dhclient(a ask) ([]string, error) {
	binary, err := r.copyTool("dhclient")
	if err != nil {
		return nil, err
	}
	argv := []string{
		binary, "-6", "-d", "-cf", r.path(a.file("conf")), "-sf", r.path(a.file("sh")),
		"-lf", r.path(a.file("leases")), "-pf", r.path(a.file("pid")),
	}
	if a.client().stateless {
		argv = append(argv, "-S")
	}
	return append(argv, "eth0"), r.write(a.file("conf"), "request dhcp6.name-servers;\n")
}

func (r *room) dhcpcd(a ask) ([]string, error) {
	conf := "nodelay\nnoarp\nnoipv4ll\noption host_name, interface_mtu, routers, domain_name_servers\nrequire dhcp_server_identifier\n"
	if a.family == v6 {
		conf = "nodelay\noption dhcp6_name_servers\nia_na\n"
	}
	only := fmt.Sprintf("-%d", a.family)
	return []string{"dhcpcd", only, "-B", "-f", r.path(a.file("conf")), "-c", r.path(a.file("sh")), "eth0"}, r.write(a.file("conf"), conf)
}

// copyTool makes a copy under another path. Debian confines dhclient by path
// (AppArmor) to its own script and configuration.
func (r *room) copyTool(name string) (string, error) {
	from, err := lookTool(name)
	if err != nil {
		return "", err
	}
	to := r.path(filepath.Base(from))
	if _, err := os.Stat(to); err == nil {
		return to, nil // and running: it cannot be written
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return "", err
	}
	return to, os.WriteFile(to, b, 0o755)
}

// ping asks an address for one answer, from an address or a link of the VM's
// own, and returns how long it took.
func (r *room) ping(v *vm, from, to string) (string, error) {
	out, err := r.exec(v.name, "ping", "-n", "-c1", "-W1", "-I", from, to)
	if err != nil {
		return "no answer", err
	}
	_, after, _ := strings.Cut(out, "time=")
	took, _, _ := strings.Cut(after, "\n")
	return took, nil
}

// reaches pings until there is an answer: a kernel that has just given up on a
// neighbour loses the first.
func (r *room) reaches(v *vm, from, to string) (took string, err error) {
	late := r.until(10*time.Second, "an answer to "+v.name+"'s ping", func() bool {
		took, err = r.ping(v, from, to)
		return err == nil
	})
	return took, late
}
