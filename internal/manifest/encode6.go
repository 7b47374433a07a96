package manifest

import (
	"encoding/hex"
	"net/netip"
	"strconv"

	"github.com/berth-net/berth/internal/nic"
)

func linkLocalOf(l nic.LinkLocal) wordOrList {
	if l.Kind == nic.FixedLinkLocal {
		return texts(l.Fixed, netip.Addr.String)
	}
	return wordOrList{linkLocalKinds()[l.Kind]}
}

func rawDHCP6Of(d *nic.DHCP6) *rawDHCP6 {
	r := &rawDHCP6{
		Mode:        ptr(dhcp6Modes()[d.Mode]),
		Preferred:   ptr(formatSeconds(d.Preferred)),
		Valid:       ptr(formatSeconds(d.Valid)),
		T1:          ptr(formatSeconds(d.T1)),
		T2:          ptr(formatSeconds(d.T2)),
		RapidCommit: ptr(d.RapidCommit),
		Unicast:     ptr(d.Unicast),
		Relay:       ptr(d.Relay),
		Preference:  ptr(int64(d.Preference)),
		Refresh:     ptr(formatSeconds(d.Refresh)),
		SolMaxRT:    ptr(formatSeconds(d.SolMaxRT)),
		InfMaxRT:    ptr(formatSeconds(d.InfMaxRT)),
		Refuse:      ptr(d.Refuse),
		IA:          rawIAs(d.IAs),
		Temporary:   texts(d.Temporary, netip.Addr.String),
		Options:     make([]rawOption, 0, len(d.Options)),
		BootURL:     ptr(d.BootURL),
		BootArgs:    texts(d.BootArgs, func(s string) string { return s }),
		BootArch:    map[string]string{},
	}
	r.ServerDUID = ptr(own)
	if len(d.ServerDUID) > 0 {
		r.ServerDUID = ptr(hex.EncodeToString(d.ServerDUID))
	}
	if len(d.DUID) > 0 {
		r.DUID = ptr(hex.EncodeToString(d.DUID))
	}
	for _, o := range d.Options {
		r.Options = append(r.Options, hexOption(int64(o.Code), o.Data))
	}
	for arch, url := range d.BootArch {
		r.BootArch[strconv.Itoa(int(arch))] = url
	}
	return r
}

func rawIAs(list []nic.IA) []rawIA {
	out := make([]rawIA, 0, len(list))
	for _, ia := range list {
		out = append(out, rawIA{
			IAID:      ptr(int64(ia.IAID)),
			Addresses: texts(ia.Addresses, netip.Addr.String),
			Prefixes:  texts(ia.Prefixes, netip.Prefix.String),
		})
	}
	return out
}

func rawRAOf(a *nic.RA) *rawRA {
	r := &rawRA{
		Mode:       ptr(raModes()[a.Mode]),
		Interval:   ptr(formatSeconds(a.Interval)),
		Lifetime:   ptr(formatSeconds(a.Lifetime)),
		Preference: ptr(preferences()[a.Preference]),
		HopLimit:   ptr(int64(a.HopLimit)),
		Preferred:  ptr(formatSeconds(a.Preferred)),
		Valid:      ptr(formatSeconds(a.Valid)),
		OffLink:    ptr(a.OffLink),
		Autonomous: ptr(a.Autonomous),
		Multicast:  ptr(a.Multicast),
		Routes:     make([]rawRARoute, 0, len(a.Routes)),
		PREF64:     ptr(none),
	}
	for _, route := range a.Routes {
		r.Routes = append(r.Routes, rawRARoute{
			To:         ptr(route.To.String()),
			Preference: ptr(preferences()[route.Preference]),
			Lifetime:   ptr(formatSeconds(route.Lifetime)),
		})
	}
	if a.PREF64.IsValid() {
		r.PREF64 = ptr(a.PREF64.String())
	}
	return r
}
