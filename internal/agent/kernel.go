package agent

import (
	"github.com/berth-net/berth/internal/answerer"
	"github.com/berth-net/berth/internal/datapath"
	"github.com/berth-net/berth/internal/dhcp4"
	"github.com/berth-net/berth/internal/reason"
)

// letAnswer lets the kernel answer what it can of a setting by itself; the rest
// it hands up, as it does everything without.
func (a *Agent) letAnswer(index int, s answerer.Setting) error {
	if a.opt.DaemonAnswers {
		return a.opt.Kernel.Unanswer(index)
	}
	var compiled datapath.Answers
	if c, ok := dhcp4.Compile(dhcp4.Server{Binding: s.Binding, ID: s.ServerID}); ok {
		compiled.DHCP4 = &c
	}
	return a.opt.Kernel.Answer(index, compiled)
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
