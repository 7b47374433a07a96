package agent

import (
	"strings"
	"time"

	"github.com/berth-net/berth/internal/answerer"
	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/hostroute"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/route"
)

// announce tells the site of the addresses that the host answers for since the
// pass began, as read back: one that another route holds is not among them.
func (a *Agent) announce(in plan.Input, steps []plan.Step) {
	if !tellsSite(steps) {
		return
	}
	now, err := a.opt.Routes.Common()
	if err != nil {
		a.opt.Log.Error("cannot read back what is answered for", "err", err)
		return
	}
	for p := range now.Proxies {
		if l := a.links.byName[p.Uplink]; l.Up && !in.Common.Proxies[p] {
			a.announceOne(l, p)
		}
	}
}

func tellsSite(steps []plan.Step) bool {
	for _, s := range steps {
		if s.Verb == plan.Route && len(s.Want.Proxies) > 0 {
			return true
		}
	}
	return false
}

func (a *Agent) announceOne(l plan.Link, p route.Proxy) {
	for _, frame := range answerer.Announcement(p.Addr, l.MAC) {
		if err := a.opt.Sender.Send(l.Index, frame); err != nil {
			a.opt.Log.Warn("cannot announce", "iface", l.Name, "addr", p.Addr, "err", err)
			return
		}
	}
}

// watchUplinks says once what keeps the site from finding the NICs behind an
// uplink. None of it is berth's to change.
func (a *Agent) watchUplinks(in plan.Input) {
	faults := map[string]string{}
	proxies := map[string][]route.Proxy{}
	for p := range in.Common.Proxies {
		proxies[p.Uplink] = append(proxies[p.Uplink], p)
	}
	for name := range a.wants.uplinks {
		if name == "" {
			continue
		}
		faults[name] = uplinkFault(a.links.byName[name], proxies[name])
		if text := faults[name]; text != "" && text != a.uplinks[name] {
			a.opt.Log.Warn("uplink", "iface", name, "fault", text)
			a.Add(api.Event{Time: time.Now(), Kind: "uplink", Text: name + ": " + text})
		}
	}
	a.uplinks = faults
}

func uplinkFault(l plan.Link, proxies []route.Proxy) string {
	if !l.Up {
		return "it is not there, or down: the site does not find the NICs behind it"
	}
	off := hostroute.Unanswered(l.Name, proxies)
	if len(off) == 0 {
		return ""
	}
	return strings.Join(off, ", ") + " off: the host does not answer for all addresses of the NICs behind it"
}
