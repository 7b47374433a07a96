package agent

import (
	"github.com/berth-net/berth/internal/answerer"
	"github.com/berth-net/berth/internal/arp"
	"github.com/berth-net/berth/internal/datapath"
	"github.com/berth-net/berth/internal/dhcp4"
	"github.com/berth-net/berth/internal/dhcp6"
	"github.com/berth-net/berth/internal/nd"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// letAnswer lets the kernel answer what it can of a setting by itself; the rest
// it hands up, as it does everything without.
func (a *Agent) letAnswer(index int, s answerer.Setting) error {
	if a.opt.DaemonAnswers {
		return a.opt.Kernel.Unanswer(index)
	}
	gone := a.answerer.Withdrawn(index)
	err := a.opt.Kernel.Answer(index, datapath.Answers{
		DHCP4: compiled(dhcp4.Compile(dhcp4.Server{Binding: s.Binding, ID: s.ServerID})),
		DHCP6: compiled(dhcp6.Compile(dhcp6.Server{Binding: s.Binding, DUID: a.opt.DUID, Addr: nic.BerthLinkLocal()})),
		ARP:   compiled(arp.Compile(arp.Responder{Binding: s.Binding, ServerID: s.ServerID, Former: s.FormerIDs, GatewayMAC: s.GatewayMAC})),
		ND:    compiled(nd.Compile(nd.Router{Binding: s.Binding, GatewayMAC: s.GatewayMAC}, gone)),
	})
	if err != nil || !gone.IsZero() {
		a.outstanding[index] = true
	}
	return err
}

// compiled is nil for what there is no answer to.
func compiled[C any](c C, ok bool) *C {
	if !ok {
		return nil
	}
	return &c
}

// letAnswerMore gives the kernel those answers that it did not get with the last
// setting: advertisements while something is withdrawn from them, and what
// failed.
func (a *Agent) letAnswerMore() {
	for index, s := range a.due() {
		if err := a.letAnswer(index, s); err != nil {
			a.opt.Log.Error("cannot update what the kernel answers", "ifindex", index, "err", err)
		}
	}
}

// due takes out of what is outstanding what the kernel can be given now, and
// what is silent, or on hold until the next answer.
func (a *Agent) due() map[int]answerer.Setting {
	list := map[int]answerer.Setting{}
	for index := range a.outstanding {
		s, ok := a.answerer.Setting(index)
		answered := ok && s.Digest != 0
		if answered && !a.answerer.Withdrawn(index).IsZero() {
			continue
		}
		delete(a.outstanding, index)
		if answered {
			list[index] = s
		}
	}
	return list
}

// tally adds what the kernel has answered by itself to what the daemon has.
func tally(count, ignored map[string]uint64, kinds map[datapath.Kind]uint64) {
	for k, n := range kinds {
		if k.Answer != "" {
			count[k.Answer] += n
		} else {
			ignored[k.Reason.String()] += n
		}
	}
}

// protocols are the protocols that the kernel answers, for people.
func protocols(taken []reason.Reason) []string {
	list := make([]string, len(taken))
	for i, r := range taken {
		list[i] = r.String()
	}
	return list
}
