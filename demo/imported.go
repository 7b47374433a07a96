package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// siteConf is what the site's DHCP server is told: a host and two pools.
const siteConf = `dhcp-authoritative
dhcp-range=192.0.2.200,192.0.2.220,255.255.255.0,1h
dhcp-host=52:54:00:00:00:98,192.0.2.98,crm,2h
dhcp-option=option:router,` + router + `
dhcp-option=option:dns-server,` + server + `
enable-ra
dhcp-range=2001:db8:1::200,2001:db8:1::2ff,64,1h
dhcp-option=option6:dns-server,[` + server6 + `]
`

// imported takes a VM over from the site's server, which runs on.
func (s *story) imported() error {
	crm := s.more.crm
	a := ask{crm, v4}
	s.heading("10 crm is served by the site's dnsmasq. What that was told is imported, and crm is berth's")
	if err := s.startClient(a); err != nil {
		return err
	}
	before, err := s.waitIdentity(a)
	if err != nil {
		return err
	}
	s.fact("who has told crm", before.Server, server)
	if err := s.lan.fence(s.hostile()); err != nil {
		return err
	}
	heard, err := s.lan.count(dhcpOf([]*vm{crm}))
	if err != nil {
		return err
	}
	s.holds("the LAN heard crm while the site served it", heard > 0)
	if err := s.importSite(); err != nil {
		return err
	}
	started := time.Now()
	if err := s.renewed(a); err != nil {
		return err
	}
	return s.handedOver(a, before, started, heard)
}

// importSite makes crm's file of the site's configuration, and prints it and
// what is left out.
func (s *story) importSite() error {
	file := filepath.Base(s.node.bindingFile(s.more.crm))
	_, err := s.types(hypervisor, fmt.Sprintf(
		"berth import dnsmasq site.conf --links --server %s/24 --networks networks.yaml >%s/.%s 2>left-out", server, nicsDir, file))
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("an import that leaves something out: %w", err)
	}
	s.fact("exit code of an import that leaves something out", exit.ExitCode(), 9)
	var told []string
	for _, name := range []string{nicsDir + "/." + file, "left-out"} {
		text, err := os.ReadFile(s.path(name))
		if err != nil {
			return err
		}
		told = append(told, strings.Split(strings.TrimSpace(string(text)), "\n")...)
	}
	for _, l := range told {
		s.verbatim(l)
	}
	_, err = s.types(hypervisor, fmt.Sprintf("mv %s/.%s %s/%s", nicsDir, file, nicsDir, file))
	if err == nil {
		err = s.node.waitInForce(s.more.crm)
	}
	return err
}

// renewed has a client renew, and waits until that is answered.
func (s *story) renewed(a ask) error {
	if err := os.Remove(s.path(a.file("lease"))); err != nil {
		return err
	}
	return s.node.explain(s.renew(a, func(identity) bool { return true }))
}

// handedOver compares what crm was told by berth with what the site told it.
func (s *story) handedOver(a ask, before identity, started time.Time, heard int) error {
	after, err := s.has(a)
	if err != nil {
		return err
	}
	s.line(identityRow, "", "", "address", "router", "DNS", "MTU", "lifetime")
	s.identity(a.vm.name, "before", before)
	s.identity("", "renewed", after)
	s.fact("crm after its renewal", after, before)
	answers, err := s.dialogue(a.vm, started)
	if err != nil {
		return err
	}
	s.holds("berth acknowledged crm's address, and nothing else", acknowledged(answers))
	if err := s.lan.fence(s.hostile()); err != nil {
		return err
	}
	now, err := s.lan.count(dhcpOf([]*vm{a.vm}))
	s.fact("frames of crm's DHCP on the LAN since", now-heard, 0)
	s.line("It was answered %s, by berth; the LAN heard %d frames of that.", strings.Join(answers, ", "), now-heard)
	return err
}
