package kea

import (
	"encoding/csv"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/compat"
	"github.com/berth-net/berth/internal/nic"
)

// leases makes the clients of a memfile with a lease of state 0 into hosts.
// The last line of an address counts.
func (r *reader) leases(f compat.File) {
	lines := csv.NewReader(strings.NewReader(string(f.Data)))
	lines.FieldsPerRecord, lines.LazyQuotes = -1, true
	head, err := lines.Read()
	top := compat.Place{File: f.Name, Line: 1}
	switch {
	case err != nil || !slices.Contains(head, "address"):
		r.Note(top, "is no file of leases: its first line does not name the columns")
		return
	case slices.Contains(head, "duid"):
		r.Note(top, "leases of DHCPv6 are not carried")
		return
	}
	last, order := map[string]lease{}, []string{}
	for {
		l, err := line(lines, f.Name, head)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			r.Note(l.Place, "%v; the rest of the file is not read", err)
			break
		}
		a := l.of["address"]
		if _, again := last[a]; !again {
			order = append(order, a)
		}
		last[a] = l
	}
	for _, a := range order {
		r.lease(last[a])
	}
}

func line(lines *csv.Reader, file string, head []string) (lease, error) {
	l := lease{compat.Place{File: file}, map[string]string{}}
	fields, err := lines.Read()
	if err != nil {
		return l, err
	}
	l.Line, _ = lines.FieldPos(0)
	for i, v := range fields[:min(len(fields), len(head))] {
		l.of[head[i]] = v
	}
	return l, nil
}

type lease struct {
	compat.Place
	of map[string]string
}

func (r *reader) lease(l lease) {
	if l.of["state"] != "0" || l.of["valid_lifetime"] == "0" {
		return
	}
	a, err := netip.ParseAddr(l.of["address"])
	mac, err2 := compat.MAC(l.of["hwaddr"])
	if err != nil || err2 != nil {
		r.Note(l.Place, "lease %s is not carried: it has no address or no Ethernet address", l.of["address"])
		return
	}
	if r.reserved(a, mac) {
		return
	}
	for _, s := range r.subnets {
		if s.subnet.Contains(a) {
			h := compat.Host{Place: l.Place, Name: "lease " + a.String()}
			h.MAC, h.Addresses = mac, []netip.Prefix{netip.PrefixFrom(a, s.subnet.Bits())}
			r.fill(&h, s)
			r.Hosts = append(r.Hosts, h)
			return
		}
	}
	r.Note(l.Place, "lease %v is not carried: no subnet has it", a)
}

// reserved reports whether a client or its address has a reservation: then
// that is what the next answer gives.
func (r *reader) reserved(a netip.Addr, mac nic.MAC) bool {
	return slices.ContainsFunc(r.Hosts, func(h compat.Host) bool {
		return slices.ContainsFunc(h.Addresses, func(p netip.Prefix) bool {
			return p.Addr() == a || h.MAC == mac && p.Addr().Is4()
		})
	})
}
