package datapath

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/testenv"
)

// childEnv makes this binary a daemon to be killed: what it does, and where
// its pins are.
const (
	childEnv    = "BERTH_DATAPATH_CHILD"
	childDirEnv = "BERTH_DATAPATH_DIR"
)

// What an emulated machine does less of.
var (
	kills = flag.Int("kills", 50, "how often the daemon is killed")
	load  = flag.Int("load", 20_000, "frames a second while the programs are replaced")
)

func TestMain(m *testing.M) {
	if does := os.Getenv(childEnv); does != "" {
		fmt.Fprintln(os.Stderr, "child:", child(does, os.Getenv(childDirEnv)))
		os.Exit(1) // a child ends by being killed
	}
	testenv.Main(m)
}

// child guards tapA, says so, and goes on as told until it is killed.
func child(does, dir string) error {
	k, err := Open(dir)
	if err != nil {
		return err
	}
	if does == "open" {
		fmt.Println("ready")
		return unix.Pause()
	}
	l, err := netlink.LinkByName("tapA")
	if err != nil {
		return err
	}
	bridge, err := netlink.LinkByName("br0")
	if err != nil {
		return err
	}
	index, rules := l.Attrs().Index, guard.Compile(corpus.Binding())
	if does == "hold" {
		return hold(k, index, rules)
	}
	for first := true; ; first = false {
		if err := churn(k, l, bridge, rules); err != nil {
			return err
		}
		if first {
			fmt.Println("ready")
		}
	}
}

func hold(k *Kernel, index int, rules guard.Rules) error {
	if err := k.Guard(index, "tapA", rules); err != nil {
		return err
	}
	if err := harden(k, index); err != nil {
		return err
	}
	fmt.Println("ready")
	return unix.Pause()
}

// harden does what the plan asks for: nothing where the kernel has no tcx.
func harden(k *Kernel, index int) error {
	if !k.TCX() {
		return nil
	}
	return k.Harden(index)
}

// churn is the life of a NIC in one go. The device is in no bridge while
// nothing guards it; from then on every step must keep it closed.
func churn(k *Kernel, l, bridge netlink.Link, rules guard.Rules) error {
	index := l.Attrs().Index
	steps := []func() error{
		func() error { return netlink.LinkSetNoMaster(l) },
		func() error { return k.Forget(index) },
		func() error { return k.Guard(index, "tapA", rules) },
		func() error { return netlink.LinkSetMaster(l, bridge) },
		func() error { return k.Guard(index, "tapA", manySources(0)) },
		func() error { return harden(k, index) },
		func() error { return k.Guard(index, "tapA", manySources(1)) },
		func() error { return k.Guard(index, "tapA", rules) },
		func() error { return k.Guard(index, "tapA", guard.ClosedRules()) },
		func() error { return k.Guard(index, "tapA", rules) },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

// start runs a child in the host's namespace and returns how to kill it, once
// it is ready.
func (h *host) start(does string) (kill func()) {
	h.Helper()
	cmd, out := h.spawn(does)
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		h.Fatalf("child %s: %q, %v", does, line, err)
	}
	return func() { h.killed(cmd) }
}

// spawn runs a child in the host's namespace, and what it says can be read.
func (h *host) spawn(does string) (*exec.Cmd, io.Reader) {
	h.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"="+does, childDirEnv+"="+h.dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		h.Fatal(err)
	}
	h.ns.Start(cmd)
	return cmd, out
}

func (h *host) killed(cmd *exec.Cmd) {
	h.Helper()
	if err := cmd.Process.Signal(unix.SIGKILL); err != nil {
		h.Errorf("kill %s: %v; it ended on its own", cmd, err)
	}
	_ = cmd.Wait() // says that it was killed
}

// The guard stands when its process is killed, and the next process takes over
// the same links.
func TestKilledProcessLeavesGuard(t *testing.T) {
	h := newHost(t)
	index := h.ns.Index("tapA")
	h.opens("before the guard")
	kill := h.start("hold")
	h.holds("while the process lives")
	before := h.pinnedIDs(index)
	kill()
	h.holds("after the process was killed")
	h.reopen()
	h.installed("in the next process", inForce(index, strongest(t)))
	if got := h.pinnedIDs(index); got != before {
		t.Errorf("links %v became %v", before, got)
	}
	h.holds("in the next process")
}

// pinnedIDs are linkIDs, none where the guard hangs on filters.
func (h *host) pinnedIDs(index int) (ids [2]link.ID) {
	h.Helper()
	if strongest(h.TB) == plan.TCX {
		ids = h.linkIDs(index)
	}
	return ids
}

// Killed at any instant of any step, the process leaves nothing through which
// a spoofed frame passes, and nothing that the next process can't mend.
func TestKilledAnywhere(t *testing.T) {
	h := newHost(t)
	index := h.ns.Index("tapA")
	rules := guard.Compile(corpus.Binding())
	h.protect(index, rules)
	spoofs := h.flood(2000, corpus.B4)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	left := map[plan.Attach]int{}
	for range *kills {
		kill := h.start("churn")
		<-time.After(time.Duration(rng.IntN(60_000)) * time.Microsecond) // anywhere in the child's round
		kill()
		h.reopen()
		left[h.attachment()]++
		h.protect(index, rules)
		h.ns.SetMaster("tapA", "br0")
		h.holds("after a kill")
		h.noSets()
	}
	spoofs.stop()
	h.holds("at the end")
	if leaked := h.flooded()[corpus.B4]; len(leaked) != 0 {
		t.Errorf("%d of %d spoofed frames reached the site", len(leaked), len(spoofs.sent[corpus.B4]))
	}
	t.Logf("%d spoofed frames sent; found after a kill: %v", len(spoofs.sent[corpus.B4]), left)
}

func (h *host) attachment() (at plan.Attach) {
	h.Helper()
	h.do("read back", func() error {
		all, err := h.k.Installed()
		for _, i := range all {
			at = i.Attach
		}
		return err
	})
	return at
}

// noSets checks that no trie entry is left without rules that refer to it.
func (h *host) noSets() {
	h.Helper()
	if n := h.setEntries(); n != 0 {
		h.Errorf("%d permitted sources are left in the trie, of rules that have none there", n)
	}
}

func (h *host) setEntries() (n int) {
	h.Helper()
	var key berthSetKey
	var v uint8
	it := h.k.maps.Sets.Iterate()
	for it.Next(&key, &v) {
		n++
	}
	if err := it.Err(); err != nil {
		h.Fatal(err)
	}
	return n
}

// Another process's program takes the place of the first one's while frames
// pass: none that may not pass does, none that may is lost.
func TestReplacementUnderTraffic(t *testing.T) {
	eachAttachment(t, func(h *host, index int, how plan.Attach) {
		traffic := h.flood(*load, append(slices.Repeat([]netip.Addr{corpus.M4}, 9), corpus.B4)...)
		rounds := 0
		for start := time.Now(); time.Since(start) < 1500*time.Millisecond; rounds++ {
			next := h.open()
			if err := h.k.Close(); err != nil {
				h.Fatal(err)
			}
			h.k = next
		}
		traffic.stop()
		h.complete(corpus.M4, traffic.sent[corpus.M4])
		if leaked := h.flooded()[corpus.B4]; len(leaked) != 0 {
			h.Errorf("%d of %d spoofed frames reached the site", len(leaked), len(traffic.sent[corpus.B4]))
		}
		h.installed("after the replacements", inForce(index, how))
		h.Logf("%d replacements under %d own and %d spoofed frames", rounds, len(traffic.sent[corpus.M4]), len(traffic.sent[corpus.B4]))
	})
}

// manySources are the corpus's rules with 500 sources more, too many to be
// held beside the rules; which ones depends on the generation.
func manySources(generation byte) guard.Rules {
	b := corpus.Binding()
	for i := range 500 {
		b.Guard.AllowAddresses = append(b.Guard.AllowAddresses, source(generation, i))
	}
	return guard.Compile(b)
}
