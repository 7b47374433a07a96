package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"

	"github.com/berth-net/berth/internal/answerer"
	"github.com/berth-net/berth/internal/datapath"
	"github.com/berth-net/berth/internal/hook"
	"github.com/berth-net/berth/internal/hostroute"
	"github.com/berth-net/berth/internal/link"
	"github.com/berth-net/berth/internal/lock"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/store"
	"github.com/berth-net/berth/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// node is an agent on a host of its own, whose passes the test makes.
type node struct {
	testing.TB
	*Agent
	ns    *testenv.NS
	guest *testenv.NS // of all guests: eth0 is at the other end of tap0
	names []string
}

// newNode makes a host with as many guests' NICs, all of them declared.
func newNode(t testing.TB, nics int) *node {
	t.Helper()
	n := &node{TB: t, ns: testenv.NewNS(t), guest: testenv.NewNS(t)}
	var all []nic.Binding
	for i := range nics {
		b := from("dir", fmt.Sprintf("tap%d", i), byte(i), byte(10+i))
		n.names = append(n.names, b.NIC)
		all = append(all, b)
		testenv.Veth(t, n.ns, b.NIC, n.guest, fmt.Sprintf("eth%d", i), b.MAC)
	}
	n.do("open", n.open)
	n.says("dir", all...)
	return n
}

func (n *node) open() (err error) {
	opt := Options{
		Links: &link.Watcher{}, Sources: []Source{named("dir")}, Hooks: hook.New(n.TempDir()), Log: slog.New(slog.DiscardHandler),
	}
	if opt.Kernel, err = datapath.Open("/sys/fs/bpf/" + n.ns.Name); err != nil {
		return err
	}
	n.Cleanup(func() { n.closed(opt.Kernel.Close()) })
	if opt.Lock, err = lock.Open(); err != nil {
		return err
	}
	n.Cleanup(func() { n.closed(opt.Lock.Close()) })
	socket, err := answerer.OpenSocket()
	if err != nil {
		return err
	}
	n.Cleanup(func() { n.closed(socket.Close()) })
	opt.Sender = socket
	if opt.Routes, err = hostroute.Open(); err != nil {
		return err
	}
	n.Cleanup(opt.Routes.Close)
	if opt.Store, err = store.Open(n.TempDir()); err != nil {
		return err
	}
	n.Agent, err = New(opt)
	return err
}

func (n *node) closed(err error) {
	if err != nil {
		n.Error(err)
	}
}

// do runs a step in the host's namespace.
func (n *node) do(what string, step func() error) {
	n.Helper()
	var err error
	n.ns.Do(func() { err = step() })
	if err != nil {
		n.Fatalf("%s: %v", what, err)
	}
}

// count says how many NICs the kernel guards and answers, and how many of them
// by pinned links.
func (n *node) count() (answered, hardened int) {
	n.Helper()
	n.do("read back", func() error {
		have, err := n.opt.Kernel.Installed()
		for _, i := range have {
			answers, e := n.opt.Kernel.Answering(i.Index)
			err = errors.Join(err, e)
			if i.Digest != 0 && i.Attach != plan.Detached && len(answers) > 0 {
				answered++
			}
			if i.Attach == plan.TCX {
				hardened++
			}
		}
		return err
	})
	return answered, hardened
}

func (n *node) want(when string, answered, hardened int) {
	n.Helper()
	if a, h := n.count(); a != answered || h != hardened {
		n.Errorf("%s: %d guarded and answered, %d hardened; want %d and %d", when, a, h, answered, hardened)
	}
}

// steps are what there is to do.
func (n *node) steps() (steps []plan.Step) {
	n.Helper()
	n.do("gather", func() error {
		in, err := n.gather()
		steps = plan.Compute(in).Steps
		return err
	})
	return steps
}

// TestHardeningIsNotApplied: a pass guards and answers every NIC without waiting
// for the grace periods of one. What it leaves is hardened behind it.
func TestHardeningIsNotApplied(t *testing.T) {
	testenv.NeedTCX(t)
	n := newNode(t, 3)
	var harden []plan.Step
	n.do("apply", func() error {
		steps := n.steps()
		select {
		case <-n.begun:
			t.Error("guests can be answered before any of them")
		default:
		}
		harden, _ = n.apply(steps)
		return nil
	})
	select {
	case <-n.begun:
	default:
		t.Error("who asked before waits for the end of the pass")
	}
	n.want("when the steps are made", 3, 0)
	var left []string
	for _, s := range harden {
		left = append(left, s.Verb.String()+" "+s.NIC)
	}
	if want := []string{"harden tap0", "harden tap1", "harden tap2"}; !slices.Equal(left, want) {
		t.Fatalf("left to harden is %q, want %q", left, want)
	}
	n.do("harden", func() error {
		for len(harden) > 0 {
			n.harden(harden[:1])
			harden = harden[1:]
		}
		return nil
	})
	n.want("when it is hardened", 3, 3)
}

// TestNICByNIC: a pass without time completes the NIC that it began, and begins
// no other; nothing is hardened as long as a guest waits.
func TestNICByNIC(t *testing.T) {
	testenv.NeedTCX(t)
	const nics = 3
	n := newNode(t, nics)
	n.slice = 0
	pass := func() { n.do("pass", func() error { n.pass(); return nil }) }
	for i := range nics - 1 {
		pass()
		n.want(fmt.Sprintf("after pass %d", i+1), i+1, 0)
		if !n.pending || len(n.failed) > 0 {
			t.Fatalf("after pass %d: more is to be done: %t; failed %v", i+1, n.pending, slices.Collect(maps.Keys(n.failed)))
		}
	}
	for range 10 * nics { // one each, and what hardening leaves
		pass()
	}
	n.want("in the end", nics, nics)
}

// TestHardeningThatFails: whoever cannot be hardened holds up neither a request
// nor, for longer than one try, who can.
func TestHardeningThatFails(t *testing.T) {
	testenv.NeedTCX(t)
	n := newNode(t, 1)
	harden := []plan.Step{{Verb: plan.Harden, NIC: "gone", Index: 1 << 20}}
	n.do("apply", func() error {
		left, _ := n.apply(n.steps())
		harden = append(harden, left...)
		return nil
	})
	n.waiting.Add(1)
	n.do("harden", func() error { n.harden(harden); return nil })
	n.want("as a request waits", 1, 0)
	n.do("harden", func() error { n.harden(harden); return nil })
	n.want("as another waits", 1, 1)
	if want := map[int]int{1 << 20: 1}; !maps.Equal(n.soft, want) {
		t.Errorf("failed so far: %v, want %v", n.soft, want)
	}
}

// TestLeftForTheNextPass: of a NIC that is put off nothing is done, not even
// what is no part of bringing it up; what nobody's coming costs is never put off.
func TestLeftForTheNextPass(t *testing.T) {
	fresh := func(name string) plan.Step { return plan.Step{Verb: plan.Guard, NIC: name, Fresh: true} }
	route := func(name string) plan.Step { return plan.Step{Verb: plan.Route, NIC: name} }
	l := putOff{nics: map[string]bool{}}
	for _, c := range []struct {
		step  plan.Step
		begun string
		over  bool
		want  bool
	}{
		{fresh("tap0"), "", true, false},
		{fresh("tap1"), "tap0", false, false},
		{fresh("tap2"), "tap1", true, true},
		{fresh("tap1"), "tap1", true, false},
		{route("tap1"), "tap1", true, false},
		{route("tap2"), "tap1", false, true},
		{plan.Step{Verb: plan.Quiet, NIC: "tap0", Late: true}, "tap1", true, true},
		{route("tap0"), "tap1", true, false},
	} {
		if got := l.leave(c.step, c.begun, c.over); got != c.want {
			t.Errorf("%s with %q begun, time over: %t: left: %t, want %t", c.step, c.begun, c.over, got, c.want)
		}
	}
	if want := map[string]bool{"tap2": true}; !l.any || !maps.Equal(l.nics, want) {
		t.Errorf("left are %v (%t), want %v", l.nics, l.any, want)
	}
}
