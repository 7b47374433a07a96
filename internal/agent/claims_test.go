package agent

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/answerer"
	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/source"
	"github.com/berth-net/berth/internal/table"
)

// named is a source that the test speaks for.
type named string

func (n named) Name() string                                       { return string(n) }
func (named) Run(ctx context.Context, _ func(source.Update)) error { <-ctx.Done(); return nil }
func (named) Refresh(context.Context) error                        { return nil }

// restarted is an agent whose kernel holds, from before, what a NIC's binding
// permits, and that has not heard of any source yet.
func restarted(b nic.Binding) *Agent {
	a := &Agent{
		EventLog: api.NewEventLog(16), said: map[string]said{}, servers: map[string][]server{}, unsettled: map[string]bool{}, wake: make(chan struct{}, 1),
		opt:     Options{Sources: []Source{named("dir"), named("statichcpd")}, Log: slog.New(slog.DiscardHandler)},
		started: time.Now(),
	}
	a.answerer = answerer.New(nil, nil, nil)
	a.view.Store(&view{})
	l := plan.Link{Index: 77, Name: b.NIC}
	w := plan.NewWant(table.Entry{Binding: &b}, nil)
	a.claims = map[string]claim{b.NIC: {rules: w.DigestOn(l), link: l}}
	return a
}

func (a *Agent) says(from string, b ...nic.Binding) {
	u := source.Update{Source: from, Generation: 1}
	for i := range b {
		u.Bindings = append(u.Bindings, &b[i])
	}
	a.hear(u)
	a.takeUpdates()
}

func from(source, name string, mac, last byte) nic.Binding {
	return nic.Binding{
		NIC: name, MAC: nic.MAC{0x52, 0x54, 0, 0, 0, mac}, Origin: nic.Origin{Source: source},
		Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, last}), 24)},
	}
}

// Whoever was in force before a restart is so after it, whichever source comes
// first, and in the list or to speak.
func TestARestartChangesNoOwner(t *testing.T) {
	was := from("statichcpd", "tap7", 7, 10)
	for what, rival := range map[string]nic.Binding{
		"the same address": from("dir", "tap8", 8, 10),
		"the same NIC":     from("dir", "tap7", 9, 11),
	} {
		for _, first := range []string{"dir", "statichcpd"} {
			a := restarted(was)
			says := map[string]func(){"dir": func() { a.says("dir", rival) }, "statichcpd": func() { a.says("statichcpd", was) }}
			says[first]()
			delete(says, first)
			for _, b := range a.wants.byNIC.Values() {
				if b.Binding.Origin.Source != "statichcpd" {
					t.Errorf("%s, %s first: %s of %s is in force before all have spoken", what, first, b.Binding.NIC, b.Binding.Origin.Source)
				}
			}
			for _, last := range says {
				last()
			}
			if w := a.wants.nic("tap7"); w == nil || w.Binding.Origin.Source != "statichcpd" || a.wants.byNIC.Len() != 1 {
				t.Errorf("%s, %s first: in force %v, refused %v", what, first, a.wants.byNIC.Values(), a.wants.refused.Values())
			}
		}
	}
}
