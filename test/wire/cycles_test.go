package wire

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/berth-net/berth/internal/arp"
	"github.com/berth-net/berth/internal/datapath"
	"github.com/berth-net/berth/internal/dhcp4"
	"github.com/berth-net/berth/internal/dhcp6"
	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/lock"
	"github.com/berth-net/berth/internal/nd"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
)

var cycles = flag.Int("cycles", 10_000, "NICs that TestCyclesLeaveNothing creates and deletes")

// batch is how many NICs live at once. They are deleted in one message: the
// kernel waits for its readers once for all of them.
const batch = 100

// NICs that come and go leave nothing behind: no program, link, pin, map
// entry, queueing discipline, rule or descriptor (R34).
func TestCyclesLeaveNothing(t *testing.T) {
	testenv.NeedTCX(t)
	c := &cycler{site: &site{TB: t, host: quietNS(t), rules: guard.Compile(corpus.Binding())}}
	c.loadKernel()
	c.lock = c.openLock()
	c.arm(c.lock, "uplink0")
	var before, after census
	for range 2 { // the first round warms the kernel and the runtime
		before = c.census()
		c.round(0)
	}
	start := time.Now()
	for n := 0; n < *cycles; n += batch {
		c.round(n)
	}
	took := time.Since(start)
	// The kernel takes links and programs down behind the caller's back.
	testenv.Wait(t, patience, "the kernel to clean up", func() bool {
		after = c.census()
		return cmp.Equal(before, after)
	})
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("after %d NICs (-before +after):\n%s", *cycles, diff)
	}
	t.Logf("%d NICs in %v; each: guard by clsact %v, harden to tcx %v, forget %v", *cycles, took.Round(time.Millisecond),
		c.guarded.each(), c.hardened.each(), c.forgotten.each())
}

// cycler lets NICs live and die.
type cycler struct {
	*site
	lock                         *lock.Lock
	guarded, hardened, forgotten stopwatch
}

// stopwatch adds up what one kind of step takes.
type stopwatch struct {
	sum time.Duration
	n   int
}

func (w *stopwatch) time(f func() error) error {
	start := time.Now()
	err := f()
	w.sum += time.Since(start)
	w.n++
	return err
}

func (w *stopwatch) each() time.Duration {
	return (w.sum / time.Duration(max(w.n, 1))).Round(time.Microsecond)
}

// round is the life of one batch. Every other one is forgotten before its
// devices are deleted, as if released.
func (c *cycler) round(first int) {
	c.Helper()
	var names []string
	for i := range batch {
		names = append(names, fmt.Sprintf("n%d", first+i))
	}
	c.arm(c.lock, append([]string{"uplink0"}, names...)...)
	var err error
	c.host.Do(func() { err = c.live(names, first/batch%2 == 0) })
	if err != nil {
		c.Fatal(err)
	}
	c.arm(c.lock, "uplink0")
}

const group = 77

func (c *cycler) live(names []string, release bool) error {
	var indices []int
	for i, name := range names {
		index, err := c.born(name, i == 0)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		indices = append(indices, index)
	}
	if release {
		return errors.Join(c.forgetAll(indices), deleteGroup())
	}
	return errors.Join(deleteGroup(), c.forgetAll(indices))
}

// born makes a NIC and guards it; one of a batch is hardened, too.
func (c *cycler) born(name string, harden bool) (int, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Group = name, group
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: name + "p"}); err != nil {
		return 0, err
	}
	l, err := netlink.LinkByName(name)
	if err != nil {
		return 0, err
	}
	index := l.Attrs().Index
	err = c.guarded.time(func() error { return c.k.Guard(index, name, c.rules) })
	if err == nil {
		err = c.k.Answer(index, answers())
	}
	if err == nil && harden {
		err = c.hardened.time(func() error { return c.k.Harden(index) })
	}
	return index, err
}

// answers are of every protocol.
func answers() datapath.Answers {
	b := corpus.Binding()
	four, _ := dhcp4.Compile(dhcp4.Server{Binding: b, ID: corpus.G4})
	six, _ := dhcp6.Compile(dhcp6.Server{Binding: b, DUID: []byte{0, 3, 0, 1, 2, 0, 0, 0, 0, 1}, Addr: nic.BerthLinkLocal()})
	who, _ := arp.Compile(arp.Responder{Binding: b, ServerID: corpus.G4, GatewayMAC: corpus.G})
	told, _ := nd.Compile(nd.Router{Binding: b, GatewayMAC: corpus.G}, nd.Withdrawn{})
	return datapath.Answers{DHCP4: &four, DHCP6: &six, ARP: &who, ND: &told}
}

func (c *cycler) forgetAll(indices []int) error {
	for _, i := range indices {
		if err := c.forgotten.time(func() error { return c.k.Forget(i) }); err != nil {
			return fmt.Errorf("forget ifindex %d: %w", i, err)
		}
	}
	return nil
}

// layout is the directory of the pins, as datapath names it.
const layout = "v4"

// census is everything a NIC might leave behind.
type census struct {
	Programs, Links  int // of this test's kernel object
	Entries          map[string]int
	Pins             []string
	Installed, Files int
	Qdiscs, Rules    string
}

func (c *cycler) census() census {
	c.Helper()
	n := census{
		Entries: map[string]int{},
		Qdiscs:  c.host.Exec("tc", "qdisc", "show"),
		Rules:   c.host.Exec("nft", "list", "ruleset"),
		Files:   len(c.list("/proc/self/fd")),
		Pins:    c.list(filepath.Join("/sys/fs/bpf", c.host.Name, layout)),
	}
	installed, err := c.readInstalled()
	if err != nil {
		c.Fatal(err)
	}
	n.Installed = installed
	ours := c.ourPrograms(c.mapID("nics"))
	n.Programs, n.Links = len(ours), c.linksOf(ours)
	for _, name := range []string{"nics", "states", "sets", "sets6", "locals", "answers4", "answers6", "answersarp", "answersnd"} {
		n.Entries[name] = c.entries(name)
	}
	return n
}

func (c *cycler) readInstalled() (n int, err error) {
	c.host.Do(func() {
		all, e := c.k.Installed()
		n, err = len(all), e
	})
	return n, err
}

func (c *cycler) list(dir string) []string {
	c.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		c.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (c *cycler) pinnedMap(name string) *ebpf.Map {
	c.Helper()
	m, err := ebpf.LoadPinnedMap(filepath.Join("/sys/fs/bpf", c.host.Name, layout, name), nil)
	if err != nil {
		c.Fatal(err)
	}
	return m
}

func (c *cycler) mapID(name string) ebpf.MapID {
	c.Helper()
	m := c.pinnedMap(name)
	defer m.Close()
	info, err := m.Info()
	if err != nil {
		c.Fatal(err)
	}
	id, _ := info.ID()
	return id
}

func (c *cycler) entries(name string) (n int) {
	c.Helper()
	m := c.pinnedMap(name)
	defer m.Close()
	key, value := make([]byte, m.KeySize()), make([]byte, m.ValueSize())
	it := m.Iterate()
	for it.Next(&key, &value) {
		n++
	}
	if err := it.Err(); err != nil {
		c.Fatal(err)
	}
	return n
}

// ourPrograms are the programs in the kernel that use a map.
func (c *cycler) ourPrograms(user ebpf.MapID) map[ebpf.ProgramID]bool {
	c.Helper()
	ours := map[ebpf.ProgramID]bool{}
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			return ours
		}
		if err != nil {
			c.Fatal(err)
		}
		id = next
		if programUses(id, user) {
			ours[id] = true
		}
	}
}

// programUses is false of a program that ended in between: it wasn't ours.
func programUses(id ebpf.ProgramID, user ebpf.MapID) bool {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return false
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return false
	}
	maps, _ := info.MapIDs()
	for _, m := range maps {
		if m == user {
			return true
		}
	}
	return false
}

func (c *cycler) linksOf(programs map[ebpf.ProgramID]bool) (n int) {
	c.Helper()
	it := new(link.Iterator)
	defer it.Close()
	for it.Next() {
		if info, err := it.Link.Info(); err == nil && programs[info.Program] {
			n++
		}
	}
	if err := it.Err(); err != nil {
		c.Fatal(err)
	}
	return n
}

// deleteGroup deletes every device of the batch, and with each its peer.
func deleteGroup() error {
	// The library can't delete by group.
	out, err := execIP("link", "delete", "group", fmt.Sprint(group))
	if err != nil {
		return fmt.Errorf("delete the devices: %w: %s", err, strings.TrimSpace(out))
	}
	return nil
}

// execIP runs ip in the namespace of the calling thread.
func execIP(args ...string) (string, error) {
	out, err := exec.Command("ip", args...).CombinedOutput()
	return string(out), err
}
