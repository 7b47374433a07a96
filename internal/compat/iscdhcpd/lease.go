package iscdhcpd

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/compat"
	"github.com/berth-net/berth/internal/nic"
)

// leases makes clients with an active lease into hosts with that address
// fixed, unless a declaration has them. The last entry of an address counts
// (dhcpd.leases(5)).
func (r *reader) leases(f compat.File, known map[[6]byte]bool) {
	last := map[string]statement{}
	var order []string
	for _, st := range r.load(f) {
		switch st.keyword() {
		case "lease":
			if _, again := last[st.word(1)]; !again {
				order = append(order, st.word(1))
			}
			last[st.word(1)] = st
		case "ia-na", "ia-pd", "ia-ta":
			r.Note(st.Place, "%s: leases of DHCPv6 are not carried", st.keyword())
		}
	}
	for _, address := range order {
		r.lease(last[address], known)
	}
}

func (r *reader) lease(st statement, known map[[6]byte]bool) {
	var mac nic.MAC
	active := false
	for _, s := range st.block {
		switch {
		case s.keyword() == "hardware":
			mac, _ = compat.MAC(s.word(2)) // dhcpd wrote it
		case s.keyword() == "binding" && s.word(1) == "state":
			active = strings.EqualFold(s.word(2), "active")
		}
	}
	if !active || known[mac] {
		return
	}
	address, err := netip.ParseAddr(st.word(1))
	if err != nil || mac.IsZero() {
		r.Note(st.Place, "lease %s is not carried: it has no address or no Ethernet address", st.word(1))
		return
	}
	if slices.ContainsFunc(r.Hosts, func(h compat.Host) bool { return h.Addresses[0].Addr() == address }) {
		r.Note(st.Place, "lease %s is not carried: a host declaration has its address", st.word(1))
		return
	}
	known[mac] = true
	r.add(st.Place, st.word(1), identity{mac: mac}, []netip.Addr{address}, &scope{})
}
