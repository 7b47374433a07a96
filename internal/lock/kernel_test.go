package lock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/testenv"
)

func open(t testing.TB, ns *testenv.NS) *Lock {
	t.Helper()
	var l *Lock
	var err error
	ns.Do(func() { l, err = Open() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func apply(t testing.TB, l *Lock, d Desired) {
	t.Helper()
	if err := l.Apply(d); err != nil {
		t.Fatal(err)
	}
}

func ruleset(ns *testenv.NS) string { return ns.Exec("nft", "-s", "list", "ruleset") }

// ours lists our tables in a fixed order: one made again moves to the end of
// the ruleset.
func ours(ns *testenv.NS) string {
	var all string
	for _, family := range []string{"bridge", "inet", "arp"} {
		all += ns.Exec("nft", "-s", "list", "table", family, TableName)
	}
	return all
}

func load(t testing.TB, ns *testenv.NS, script string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rules.nft")
	if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	ns.Exec("nft", "-f", file)
}

func TestKernelTextIsWhatApplyInstalls(t *testing.T) {
	for _, d := range []Desired{sample(), {Mark: 1}, {Mark: 1 << 31, Names: []string{"a.b-c_d"}}} {
		text, err := d.Text()
		if err != nil {
			t.Fatal(err)
		}
		byText, byApply := testenv.NewNS(t), testenv.NewNS(t)
		load(t, byText, text)
		apply(t, open(t, byApply), d)
		if diff := cmp.Diff(ruleset(byText), ruleset(byApply)); diff != "" {
			t.Errorf("-text +applied:\n%s", diff)
		}
		// And the text is the state in every detail that Read looks at.
		got, err := open(t, byText).Read()
		want, _ := d.Normal()
		if err != nil || !cmp.Equal(want, got) {
			t.Errorf("Read of the loaded text: %+v, %v", got, err)
		}
	}
}

func TestKernelApplyReadRemove(t *testing.T) {
	ns := testenv.NewNS(t)
	load(t, ns, foreign)
	before := ruleset(ns)
	l := open(t, ns)
	for _, d := range []Desired{
		sample(),
		{Mark: DefaultMark, Names: []string{"tap7"}, Patterns: []string{"vnet*"}},
		{Mark: 1, Names: []string{"tap7", "tap8"}},
		{Mark: 1},
		{Mark: 1, Patterns: []string{"tap*"}},
	} {
		apply(t, l, d)
		want, _ := d.Normal()
		got, err := open(t, ns).Read() // by somebody who remembers nothing
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.Transformer("nil", func(s []string) string { return strings.Join(s, " ") })); diff != "" {
			t.Errorf("-applied +read:\n%s", diff)
		}
		if got := without(ruleset(ns)); got != before {
			t.Errorf("foreign tables changed (-want +got):\n%s", cmp.Diff(before, got))
		}
	}
	for range 2 { // a second time there is nothing, and that is fine
		if err := l.Remove(); err != nil {
			t.Fatal(err)
		}
		if got := ruleset(ns); got != before {
			t.Errorf("after Remove (-want +got):\n%s", cmp.Diff(before, got))
		}
	}
	if got, err := l.Read(); err != nil || got.Mark != 0 {
		t.Errorf("Read without a lock: %+v, %v", got, err)
	}
	if n, err := l.Drops(); n != 0 || err != nil {
		t.Errorf("Drops without a lock: %d, %v", n, err)
	}
}

// foreign is what others have on a host, with the names and hooks of ours.
const foreign = `
table bridge filter {
	chain prerouting {
		type filter hook prerouting priority -2147483648;
		iifname "tap7" counter
	}
}
table inet berth_other {
	set names {
		type ifname
		elements = { "tap7" }
	}
	chain prerouting {
		type filter hook prerouting priority raw;
		iifname @names accept
	}
}
table arp filter {
	chain input {
		type filter hook input priority 0; policy accept;
	}
}
table ip berth_lock {
	chain forward {
		type filter hook forward priority 0; policy drop;
	}
}
`

// without cuts our tables out of a listing.
func without(listing string) string {
	for _, f := range []string{"bridge", "inet", "arp"} {
		if head, rest, ok := strings.Cut(listing, "table "+f+" "+TableName+" {\n"); ok {
			_, tail, _ := strings.Cut(rest, "\n}\n")
			listing = head + tail
		}
	}
	return listing
}

func TestKernelApplyAgainSendsNothing(t *testing.T) {
	ns := testenv.NewNS(t)
	l := open(t, ns)
	apply(t, l, sample())
	gen, err := l.nl.GetGen()
	if err != nil {
		t.Fatal(err)
	}
	apply(t, l, with(sample(), func(d *Desired) { d.Names[0], d.Names[1] = d.Names[1], d.Names[0] }))
	if after, err := l.nl.GetGen(); err != nil || after.ID != gen.ID {
		t.Errorf("generation went from %d to %d, %v", gen.ID, after.ID, err)
	}
}

func TestKernelApplyOfBadStateChangesNothing(t *testing.T) {
	ns := testenv.NewNS(t)
	l := open(t, ns)
	apply(t, l, sample())
	before := ruleset(ns)
	if err := l.Apply(Desired{Mark: 1, Names: []string{"bad name"}}); err == nil {
		t.Fatal("a bad name was accepted")
	}
	if got := ruleset(ns); got != before {
		t.Errorf("-want +got:\n%s", cmp.Diff(before, got))
	}
}

// TestKernelVandals: whatever somebody does to the lock is noticed, named and
// repaired to the byte.
func TestKernelVandals(t *testing.T) {
	const bridge = "bridge " + TableName
	for _, c := range []struct {
		cmd     string
		damaged string // part of Read's error; "" if Read returns another state
	}{
		{"flush ruleset", ""},
		{"delete table " + bridge, "table bridge berth_lock is missing"},
		{"delete table inet berth_lock", "table inet berth_lock is missing"},
		{"flush table arp berth_lock", "table arp berth_lock: chain check has other rules"},
		{"flush chain bridge berth_lock check", "chain check has other rules"},
		{"insert rule " + bridge + " prerouting accept", "chain prerouting has other rules"},
		{"insert rule " + bridge + " check iifname tap7 accept", "chain check has other rules"},
		{"flush set " + bridge + " names", "holds other names"},
		{"delete element inet berth_lock names { tap7 }", "holds other names"},
		{"add element arp berth_lock names { eth0 }", "holds other names"},
		{"add table " + bridge + " { flags dormant; }", "has flags 0x1"},
		{"add chain " + bridge + " prerouting { policy drop; }", "hooked elsewhere or has another policy"},
		{"add chain " + bridge + " extra", `has a chain "extra"`},
		{"add set " + bridge + " more { type ifname; }", "its set is not"},
		{"delete table bridge berth_lock; add table bridge berth_lock", "lacks a chain"},
	} {
		t.Run(c.cmd, func(t *testing.T) { vandal(t, c.cmd, c.damaged) })
	}
}

func vandal(t *testing.T, cmd, damaged string) {
	ns := testenv.NewNS(t)
	l := open(t, ns)
	apply(t, l, sample())
	whole := ours(ns)
	wakes := watch(t, ns, l)
	before := wakes.Load()
	ns.Exec("nft", cmd)
	testenv.Wait(t, 10*time.Second, "a wake", func() bool { return wakes.Load() > before })
	d, err := l.Read()
	switch {
	case damaged == "" && (err != nil || d.Mark != 0):
		t.Errorf("Read: %+v, %v; want nothing", d, err)
	case damaged != "" && (!errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), damaged)):
		t.Errorf("Read: %v; want ErrDamaged with %q", err, damaged)
	}
	apply(t, l, sample())
	if diff := cmp.Diff(whole, ours(ns)); diff != "" {
		t.Errorf("after Apply (-want +got):\n%s", diff)
	}
	if _, err := l.Read(); err != nil {
		t.Errorf("after Apply: %v", err)
	}
}

// watch counts the wakes, starting when the subscription stands.
func watch(t testing.TB, ns *testenv.NS, l *Lock) *atomic.Int64 {
	t.Helper()
	var wakes atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	ns.Go(func() {
		if err := l.Watch(ctx, func() { wakes.Add(1) }); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(cancel)
	testenv.Wait(t, 10*time.Second, "the subscription", func() bool { return wakes.Load() == 1 })
	return &wakes
}

func TestKernelWatchLeavesOutItsOwn(t *testing.T) {
	ns := testenv.NewNS(t)
	l := open(t, ns)
	wakes := watch(t, ns, l)
	apply(t, l, sample())
	apply(t, l, Desired{Mark: 1})
	ns.Exec("nft", "add table ip foreign") // comes after ours on the same socket
	testenv.Wait(t, 10*time.Second, "the foreign change", func() bool { return wakes.Load() > 1 })
	if got := wakes.Load(); got != 2 {
		t.Errorf("%d wakes, want one for the start and one for the foreign change", got)
	}
}

// TestKernelWatchSurvivesOverflow floods the watcher with its own changes,
// which alone never wake: what wakes is the loss.
func TestKernelWatchSurvivesOverflow(t *testing.T) {
	ns := testenv.NewNS(t)
	l := open(t, ns)
	own, err := l.nl.GetPortID()
	if err != nil {
		t.Fatal(err)
	}
	var wakes atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	subscribed, flooded := make(chan struct{}), make(chan struct{})
	ns.Go(func() {
		nl, err := subscribe()
		if err != nil {
			t.Error(err)
			return
		}
		defer nl.Close()
		if err := nl.SetReadBuffer(1); err != nil { // the kernel's minimum
			t.Error(err)
		}
		close(subscribed)
		<-flooded
		receive(ctx, nl, own, func() { wakes.Add(1) })
	})
	t.Cleanup(cancel)
	<-subscribed
	for i := range 20 {
		apply(t, l, Desired{Mark: 1 << i})
	}
	close(flooded)
	testenv.Wait(t, 10*time.Second, "a wake for the loss", func() bool { return wakes.Load() == 1 })
	ns.Exec("nft", "add table ip later")
	testenv.Wait(t, 10*time.Second, "a wake for a later change", func() bool { return wakes.Load() == 2 })
}

func names(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("tap%d", i)
	}
	return out
}

// Ten times the names take about ten times as long, on any machine: not the
// hundred times of a transaction whose cost grows with its square.
func TestKernelThousandsOfNames(t *testing.T) {
	ns := testenv.NewNS(t)
	l := open(t, ns)
	var before time.Duration
	for _, n := range []int{1000, 10_000} {
		d := Desired{Mark: DefaultMark, Names: names(n)}
		start := time.Now()
		apply(t, l, d)
		took := time.Since(start)
		t.Logf("%d names in %v", n, took)
		if before > 0 && took > 60*before {
			t.Errorf("%d names took %v, a tenth of them %v", n, took, before)
		}
		before = took
		want, _ := d.Normal()
		if got, err := l.Read(); err != nil || !cmp.Equal(want.Names, got.Names) {
			t.Errorf("%d names: read back %d, %v", n, len(got.Names), err)
		}
	}
	apply(t, l, Desired{Mark: DefaultMark, Names: names(10_000)[9_999:]})
	if got, err := l.Read(); err != nil || !cmp.Equal([]string{"tap9999"}, got.Names) {
		t.Errorf("read back %v, %v", got.Names, err)
	}
}

func BenchmarkApply1000(b *testing.B) {
	ns := testenv.NewNS(b)
	l := open(b, ns)
	for b.Loop() {
		if err := l.Remove(); err != nil {
			b.Fatal(err)
		}
		apply(b, l, Desired{Mark: DefaultMark, Names: names(1000)})
	}
}

func BenchmarkOneNameOf1000(b *testing.B) {
	ns := testenv.NewNS(b)
	l := open(b, ns)
	all := names(1001)
	i := 0
	for b.Loop() {
		apply(b, l, Desired{Mark: DefaultMark, Names: all[i%2 : 1000+i%2]})
		i++
	}
}
