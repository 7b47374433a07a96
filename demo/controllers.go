package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/api"
)

// The older systems' own configurations, in the demo's directory.
const (
	nfdhcpdConf = `[general]
pidfile = /run/nfdhcpd.pid
datapath = %s/nfdhcpd
logdir = /var/log
user = nobody
[dhcp]
lease_lifetime = 7200
lease_renewal = 3600
server_ip = 192.0.2.1
dhcp_queue = 42
nameservers = 192.0.2.53
[ipv6]
enable_ipv6 = false
nameservers = 2001:db8::53
`
	statichcpdConf = `[statichcpd]
dhcp_db_filename = %s/static.db
served_interface_regex = ^static
default_lease_time = 3600
`
)

// predecessors writes what the older systems had, and returns what berthd's own
// configuration says of it.
func (r *room) predecessors() (string, error) {
	err := errors.Join(
		os.Mkdir(r.path("nfdhcpd"), 0o755),
		r.write("nfdhcpd.conf", fmt.Sprintf(nfdhcpdConf, r.dir)),
		r.write("statichcpd.conf", fmt.Sprintf(statichcpdConf, r.dir)),
	)
	return fmt.Sprintf("nfdhcpd: {conf: %[1]s/nfdhcpd.conf}\nstatichcpd: {conf: %[1]s/statichcpd.conf, create: true}\n", r.dir), err
}

// controller is how one of the older systems tells of a VM, and takes it back.
type controller struct {
	system, way    string
	vm             *vm
	tells, retires string // commands
	who            string // what the identity is read from
	want           identity
}

func (s *story) controllers() []controller {
	ganeti, static, nimbus := s.more.ganeti, s.more.static, s.more.nimbus
	return []controller{
		{
			system: "nfdhcpd", way: "a hook renames a file into place, its MAC in capitals and its MTU empty",
			vm: ganeti,
			tells: fmt.Sprintf(`printf '%%s\n' INDEV=br0 IP=192.0.2.31 MAC=%s HOSTNAME=%s SUBNET=192.0.2.0/24 GATEWAY=%s MTU= > nfdhcpd/.new && mv nfdhcpd/.new nfdhcpd/%s`,
				strings.ToUpper(ganeti.mac.String()), ganeti.name, router, ganeti.tap()),
			retires: "rm nfdhcpd/" + ganeti.tap(),
			who:     "file says", want: told(ganeti, "192.0.2.31", "1500", "7200"),
		},
		{
			system: "statichcpd", way: "a controller commits rows: address, mask, router, DNS, name, server",
			vm: static,
			tells: fmt.Sprintf(`sqlite3 static.db "insert into client_configuration select '%s', null, '%s', column1, column2 from (values (256, '192.0.2.32'), (1, '255.255.255.0'), (3, '%s'), (6, '192.0.2.53'), (12, '%s'), (258, '%s'))"`,
				static.tap(), static.mac, router, static.name, router),
			retires: fmt.Sprintf(`sqlite3 static.db "delete from client_configuration where ifname = '%s'"`, static.tap()),
			who:     "rows say", want: told(static, "192.0.2.32", "1500", "3600"),
		},
		{
			system: "Nimbus", way: "workspace-control calls dhcp-config.sh, which calls",
			vm:      nimbus,
			tells:   nimbusAdd(nimbus, "192.0.2.33"),
			retires: fmt.Sprintf("berth nimbus dhcp-config rem %s 192.0.2.33", nimbus.tap()),
			who:     "words say", want: told(nimbus, "192.0.2.33", "1450", "43200"),
		},
	}
}

func nimbusAdd(v *vm, address string) string {
	return fmt.Sprintf("berth nimbus dhcp-config add %s %s br0 %s none 255.255.255.0 %s %s 192.0.2.53 none", v.tap(), address, v.mac, router, v.name)
}

// told is what a VM is to have that an older system told of.
func told(v *vm, address, mtu, lifetime string) identity {
	return identity{
		Address: address + "/24", Router: router, DNS: "192.0.2.53", MTU: mtu, Lifetime: lifetime, Hostname: v.name, Server: router,
	}
}

// predecession is the older systems' controllers at work, each in its own way.
func (s *story) predecession() error {
	s.heading("7 Three more VMs come. Controllers of three older systems tell of them, as they always did")
	if err := s.arrive(); err != nil {
		return err
	}
	for _, c := range s.controllers() {
		if err := s.beTold(c); err != nil {
			return err
		}
	}
	s.line(identityRow, "", "", "address", "router", "DNS", "MTU", "lifetime")
	for _, c := range s.controllers() {
		if err := s.compare(ask{c.vm, v4}, c.who, c.want); err != nil {
			return s.node.explain(err)
		}
	}
	if err := s.commitMore(); err != nil {
		return s.node.explain(err)
	}
	if err := s.refusal(); err != nil {
		return err
	}
	return s.unheard(s.more.ganeti, s.more.static, s.more.nimbus)
}

// beTold has a controller tell of its VM, waits until that is in force, and
// starts the VM's client.
func (s *story) beTold(c controller) error {
	s.line("%s: %s", c.system, c.way)
	if err := s.says(c.tells); err != nil {
		return err
	}
	if err := s.node.waitState(c.vm, api.InForce); err != nil {
		return err
	}
	return s.startClient(ask{c.vm, v4})
}

// says shows a command, runs it on the hypervisor, and prints what it says.
func (s *story) says(command string) error {
	out, err := s.types(hypervisor, command)
	for l := range strings.Lines(out) {
		s.wrap(l)
	}
	return s.node.explain(err)
}

// compare prints what a VM got under what it was to get, and has it ping its
// router.
func (s *story) compare(a ask, who string, want identity) error {
	got, err := s.waitIdentity(a)
	if err != nil {
		return err
	}
	s.identity(a.vm.name, who, want)
	s.identity("", a.client().got(), got)
	s.fact(fmt.Sprintf("%s of %s", a.family, a.vm.name), got, want)
	_, err = s.reaches(a.vm, got.addr(), want.Router)
	s.fact(a.vm.name+" pings its router: error", err, nil)
	return nil
}

// commitMore shows that a renewal is answered from the commit before it.
func (s *story) commitMore() error {
	const dns = "192.0.2.54"
	a := ask{s.more.static, v4}
	s.line("A commit more, and %s renews (SIGUSR1):", a.vm.name)
	if _, err := s.types(hypervisor, fmt.Sprintf(`sqlite3 static.db "update client_configuration set attr_val = '%s' where ifname = '%s' and attr_code = 6"`, dns, a.vm.tap())); err != nil {
		return err
	}
	err := s.until(10*time.Second, "the commit to be read", func() bool {
		nic, err := s.node.show(a.vm)
		return err == nil && nic.State == api.InForce && strings.Contains(string(nic.Binding), dns)
	})
	if err != nil {
		return err
	}
	started := time.Now()
	if err := s.renew(a, func(got identity) bool { return got.DNS == dns }); err != nil {
		return err
	}
	answers, err := s.dialogue(a.vm, started)
	s.holds("static was acknowledged, and nothing else", acknowledged(answers))
	s.line("%s was answered %s after %.1f s: its DNS server is %s.", a.vm.name, strings.Join(answers, ", "), time.Since(started).Seconds(), dns)
	return err
}

// acknowledged is whether somebody asked, perhaps again, and was given an ACK.
func acknowledged(answers []string) bool {
	return slices.Equal(slices.Compact(slices.Clone(answers)), []string{"REQUEST: ACK"})
}

// renew has a client ask again and waits until it has what is new.
func (r *room) renew(a ask, is func(identity) bool) error {
	if err := a.client().run.cmd.Process.Signal(renew); err != nil {
		return err
	}
	err := r.until(20*time.Second, a.vm.name+" to have what is new", func() bool {
		got, err := r.has(a)
		return err == nil && is(got)
	})
	if err != nil {
		return fmt.Errorf("%w\n%s says:\n%s", err, a.client().tool, a.client().run.tail())
	}
	return nil
}

// refusal shows what a caller gets for an argument that is none.
func (s *story) refusal() error {
	v := s.more.nimbus
	out, err := s.types(hypervisor, nimbusAdd(v, "192.0.2.300")+"")
	var exit *exec.ExitError
	s.holds("dhcp-config with a wrong address fails", errors.As(err, &exit))
	if exit == nil {
		return err
	}
	for l := range strings.Lines(out) {
		s.wrap(l)
	}
	s.line("  exit code %d", exit.ExitCode())
	s.fact("exit code of dhcp-config with a wrong address", exit.ExitCode(), 1)
	s.holds("dhcp-config names what is wrong", strings.Contains(out, "192.0.2.300"))
	nic, err := s.node.show(v)
	s.fact("nimbus after what was refused", join(nic.Addresses), "192.0.2.33/24")
	return err
}

// unheard counts what the LAN heard of the DHCP of these VMs.
func (s *story) unheard(vms ...*vm) error {
	if err := s.lan.fence(s.hostile()); err != nil {
		return err
	}
	n, err := s.lan.count(dhcpOf(vms))
	s.fact("DHCP of what older systems told of, on the LAN", n, 0)
	s.line("The LAN heard %d frames of the DHCP of these.", n)
	return err
}

func dhcpOf(vms []*vm) string {
	hosts := make([]string, 0, len(vms))
	for _, v := range vms {
		hosts = append(hosts, "ether host "+v.mac.String())
	}
	return "udp port 67 and (" + strings.Join(hosts, " or ") + ")"
}
