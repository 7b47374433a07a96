package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/berth-net/berth/internal/nic"
)

// talk is what hosts say to find out who they are, and how tcpdump recognises
// it.
type talk struct{ what, filter string }

func talks() []talk {
	return []talk{
		{"DHCP", "ip and (udp port 67 or udp port 68)"},
		{"DHCPv6", "ip6 and (udp port 546 or udp port 547)"},
		{"RS", "icmp6 and ip6[40] == 133"},
		{"RA", "icmp6 and ip6[40] == 134"},
	}
}

const talkRow = "%-34s%-10s%-10s%-10s%s"

func (s *story) silence() error {
	s.heading("2 What the LAN saw of it: tcpdump on the bridge's LAN port, and the log of the site's server")
	if err := s.lan.fence(s.attacker()); err != nil {
		return err
	}
	managed := []string{"ether host " + nic.BerthMAC().String()}
	for _, v := range s.managed() {
		managed = append(managed, "ether host "+v.mac.String())
	}
	quiet, err := s.heard("to or from web1 to web4, berth", "("+strings.Join(managed, " or ")+")")
	if err != nil {
		return err
	}
	legacy, err := s.heard("from legacy", "ether src "+s.legacy().mac.String())
	if err != nil {
		return err
	}
	others, err := s.heard("from the site's server", "ether src "+serverMAC)
	if err != nil {
		return err
	}
	clients, err := s.heardBySite()
	if err != nil {
		return err
	}
	s.line(talkRow, "frames", "DHCP", "DHCPv6", "RS", "RA")
	for _, h := range []heard{quiet, legacy, others} {
		s.line(talkRow, h.whose, fmt.Sprint(h.frames["DHCP"]), fmt.Sprint(h.frames["DHCPv6"]), fmt.Sprint(h.frames["RS"]), fmt.Sprint(h.frames["RA"]))
	}
	s.line("Clients in the log of the site's server: %s", strings.Join(clients, ", "))
	s.fact("frames of managed VMs and of berth on the LAN", quiet.frames, map[string]int{"DHCP": 0, "DHCPv6": 0, "RS": 0, "RA": 0})
	s.holds("two or more frames of legacy's DHCP and of its DHCPv6 on the LAN", legacy.frames["DHCP"] >= 2 && legacy.frames["DHCPv6"] >= 2)
	s.holds("router advertisements of the site's server on the LAN", others.frames["RA"] > 0)
	s.fact("clients the site's server heard", clients, []string{"legacy"})
	return nil
}

// heard is how many frames of each talk the LAN saw of somebody.
type heard struct {
	whose  string
	frames map[string]int
}

func (s *story) heard(whose, filter string) (heard, error) {
	h := heard{whose, map[string]int{}}
	for _, t := range talks() {
		n, err := s.lan.count("(" + t.filter + ") and " + filter)
		if err != nil {
			return h, err
		}
		h.frames[t.what] = n
	}
	return h, nil
}

// heardBySite names the VMs whose MAC is in the log of the site's server; the
// DUID of a DHCPv6 client has it too.
func (s *story) heardBySite() ([]string, error) {
	log, err := os.ReadFile(s.path("dnsmasq.log"))
	var names []string
	for _, v := range s.vms {
		if strings.Contains(string(log), v.mac.String()) {
			names = append(names, v.name)
		}
	}
	return names, err
}
