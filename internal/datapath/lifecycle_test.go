package datapath

import (
	"errors"
	"strconv"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/testenv"
)

func itoa(n int) string { return strconv.Itoa(n) }

// eachAttachment runs a story with clsact filters and with tcx links.
func eachAttachment(t *testing.T, f func(h *host, index int, how plan.Attach)) {
	for name, how := range map[string]plan.Attach{"clsact": plan.Clsact, "tcx": plan.TCX} {
		t.Run(name, func(t *testing.T) {
			h := newHostFor(t, how)
			index := h.ns.Index("tapA")
			h.opens("before the guard")
			h.attach(index, how)
			h.installed("at first", inForce(index, how))
			h.holds("at first")
			f(h, index, how)
		})
	}
}

// A guard follows its device through a rename and knows whose it is.
func TestRename(t *testing.T) {
	eachAttachment(t, func(h *host, index int, how plan.Attach) {
		h.ns.Sh("ip link set tapA down; ip link set tapA name tapX; ip link set tapX up")
		h.installed("after the rename", inForce(index, how))
		h.holds("after the rename")
		h.reopen()
		h.installed("after the rename and a restart", inForce(index, how))
		h.holds("after the rename and a restart")
	})
}

func TestLeavingAndEnteringTheBridge(t *testing.T) {
	eachAttachment(t, func(h *host, index int, how plan.Attach) {
		for range 3 {
			h.ns.SetMaster("tapA", "")
			h.ns.SetMaster("tapA", "br0")
			h.holds("after a change of the bridge")
		}
		h.installed("after changes of the bridge", inForce(index, how))
	})
}

// Somebody's `tc qdisc del` does nothing to tcx links; it takes clsact filters
// away, which is seen and mended.
func TestForeignQdiscDelete(t *testing.T) {
	eachAttachment(t, func(h *host, index int, how plan.Attach) {
		if how == plan.TCX {
			h.ns.Sh("tc qdisc del dev tapA clsact")
			h.installed("after the delete", inForce(index, plan.TCX))
			h.holds("after the delete")
			return
		}
		h.ns.Exec("tc", "qdisc", "del", "dev", "tapA", "clsact")
		h.opens("while nobody looks, which is what the second lock is for")
		h.installed("after the delete", inForce(index, plan.Detached))
		h.attach(index, plan.Clsact)
		h.installed("after the repair", inForce(index, plan.Clsact))
		h.holds("after the repair")
	})
}

// The filters of others at the same hooks stay.
func TestForeignFilterStays(t *testing.T) {
	for name, how := range map[string]plan.Attach{"clsact": plan.Clsact, "tcx": plan.TCX} {
		t.Run(name, func(t *testing.T) { foreignFilterStays(newHostFor(t, how), how) })
	}
}

func foreignFilterStays(h *host, how plan.Attach) {
	index := h.ns.Index("tapA")
	h.addForeignFilter(index)
	before := h.ingressFilters()
	h.attach(index, plan.Clsact)
	h.holds("beside a foreign filter")
	if how == plan.TCX {
		h.attach(index, plan.TCX)
		h.holds("in front of a foreign filter")
		if after := h.ingressFilters(); after != before {
			h.Errorf("the foreign filter changed from\n%sto\n%s", before, after)
		}
	}
	h.forget(index)
	if after := h.ingressFilters(); after != before {
		h.Errorf("the foreign filter changed from\n%sto\n%s", before, after)
	}
	h.opens("after the guard was forgotten")
}

func (h *host) ingressFilters() string {
	h.Helper()
	return h.ns.Exec("tc", "filter", "show", "dev", "tapA", "ingress")
}

// addForeignFilter hangs somebody's filter that lets everything pass behind ours.
func (h *host) addForeignFilter(index int) {
	h.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R0, 0), // TC_ACT_OK
		asm.Return(),
	}})
	if err != nil {
		h.Fatal(err)
	}
	defer p.Close()
	h.ns.Exec("tc", "qdisc", "add", "dev", "tapA", "clsact")
	h.do("add a foreign filter", func() error {
		return netlink.FilterAdd(&netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{
				LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 1, Protocol: unix.ETH_P_ALL, Priority: 7,
			},
			Fd: p.FD(), Name: "foreign", DirectAction: true,
		})
	})
}

// A device in another namespace keeps its tcx links, and its rules where it
// keeps its index; it is reported as moved, and as ordinary when it is back.
func TestMoveToAnotherNamespace(t *testing.T) {
	h := newHostFor(t, plan.TCX)
	index := h.ns.Index("tapA")
	h.attach(index, plan.TCX)
	elsewhere := testenv.NewNS(t)
	elsewhere.Sysctl("net.ipv6.conf.default.disable_ipv6", "1")
	elsewhere.Exec("ip", "link", "add", "lan1", "index", "1000", "type", "veth", "peer", "name", "eth1", "netns", h.site.Name)
	elsewhere.Exec("ip", "link", "add", "br1", "index", "1001", "type", "bridge")
	h.ns.Exec("ip", "link", "set", "tapA", "netns", elsewhere.Name)
	elsewhere.Sh("ip link set br1 up; for p in lan1 tapA; do ip link set $p master br1; ip link set $p up; done")
	h.site.SetUp("eth1")
	there := *h
	there.lan = testenv.Capture(t, h.site, "eth1", testenv.InboundOnly)
	there.holds("in another namespace")

	moved := inForce(index, plan.Detached)
	moved.Moved = true
	h.installed("while moved", moved)
	h.reopen()
	h.installed("while moved, after a restart", moved)
	there.holds("in another namespace, after a restart")

	elsewhere.Exec("ip", "link", "set", "tapA", "netns", h.ns.Name)
	h.ns.SetMaster("tapA", "br0")
	h.ns.SetUp("tapA")
	h.installed("back again", inForce(index, plan.TCX))
	h.holds("back again")
}

// What was installed for a device is not in force on another that got its
// index, and is said to be gone.
func TestIndexReuse(t *testing.T) {
	eachAttachment(t, func(h *host, index int, how plan.Attach) {
		h.ns.Delete("tapA")
		gone := inForce(index, plan.Detached)
		gone.Gone = how == plan.TCX // filters leave nothing behind that could tell
		h.installed("after the delete", gone)
		if got := h.plug("tapA", index); got != index {
			h.Fatalf("the new device has index %d, want %d again", got, index)
		}
		h.installed("on the next device", gone)
		h.reopen()
		h.installed("on the next device after a restart", gone)
		h.opens("on the next device, which is what the second lock is for")
		h.attach(index, how)
		h.installed("after the repair", inForce(index, how))
		h.holds("after the repair")
	})
}

func TestForgetLeavesNothing(t *testing.T) {
	eachAttachment(t, func(h *host, index int, _ plan.Attach) {
		h.forget(index)
		h.installed("after forgetting", []plan.Installed{}...)
		if out := h.ns.Exec("tc", "qdisc", "show", "dev", "tapA", "clsact"); out != "" {
			h.Errorf("left behind: %s", out)
		}
		if _, found, err := h.k.Counters(index); found || err != nil {
			h.Errorf("counters after forgetting: %t, %v", found, err)
		}
		h.opens("after forgetting")
		h.forget(index) // once more is no error
	})
}

// A restart finds what the last process left and attaches nothing anew.
func TestRestartKeepsLinks(t *testing.T) {
	h := newHostFor(t, plan.TCX)
	index := h.ns.Index("tapA")
	h.attach(index, plan.TCX)
	before := h.linkIDs(index)
	for range 3 {
		h.reopen()
		h.installed("after a restart", inForce(index, plan.TCX))
		if got := h.linkIDs(index); got != before {
			t.Errorf("links %v became %v", before, got)
		}
		h.attach(index, plan.Clsact) // Guard alone: nothing to attach
		h.installed("after guarding again", inForce(index, plan.TCX))
		h.attach(index, plan.TCX) // and nothing to harden
		h.installed("after hardening again", inForce(index, plan.TCX))
		h.holds("after a restart")
	}
	if got := h.linkIDs(index); got != before {
		t.Errorf("links %v became %v", before, got)
	}
}

// linkIDs are the kernel's numbers of the NIC's pinned links.
func (h *host) linkIDs(index int) (ids [2]link.ID) {
	h.Helper()
	for d := range directions {
		l, err := link.LoadPinnedLink(h.k.pin(d, index), nil)
		if err != nil {
			h.Fatal(err)
		}
		info, err := l.Info()
		if err != nil {
			h.Fatal(err)
		}
		ids[d] = info.ID
		if err := l.Close(); err != nil {
			h.Fatal(err)
		}
	}
	return ids
}

// Whatever step a crash comes after, the next process mends what it left, and
// nothing that stood opens.
func TestInterruptedSteps(t *testing.T) {
	r := guard.Compile(corpus.Binding())
	fill := func(k *Kernel, index int) error { return k.fill(index, "tapA", &r) }
	filters := func(k *Kernel, index int) error { return k.addFilters(index) }
	links := func(k *Kernel, index int) error { return k.attachTCX(index) }
	for _, c := range []struct {
		name   string
		steps  []func(*Kernel, int) error
		want   plan.Attach // after the restart
		closed bool        // the guard stands already
		needs  plan.Attach
	}{
		{"tables without a program", []func(*Kernel, int) error{fill}, plan.Detached, false, plan.Clsact},
		{"one filter of two", []func(*Kernel, int) error{fill, filters, dropOutFilter}, plan.Detached, true, plan.Clsact},
		{"both filters", []func(*Kernel, int) error{fill, filters}, plan.Clsact, true, plan.Clsact},
		{"filters and one link", []func(*Kernel, int) error{fill, filters, attachInLink}, plan.Clsact, true, plan.TCX},
		{"filters and both links", []func(*Kernel, int) error{fill, filters, links}, plan.TCX, true, plan.TCX},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHostFor(t, c.needs)
			index := h.ns.Index("tapA")
			for _, step := range c.steps {
				h.do("step", func() error { return step(h.k, index) })
			}
			if c.closed {
				h.holds("after the crash")
			}
			h.reopen()
			h.installed("after the restart", inForce(index, c.want))
			if c.closed {
				h.holds("after the restart")
			}
			h.attach(index, strongest(t))
			h.installed("after the repair", inForce(index, strongest(t)))
			if out := h.ingressFilters(); (out != "") != (strongest(t) == plan.Clsact) {
				t.Errorf("filters beside the links, or none without: %q", out)
			}
			h.holds("after the repair")
		})
	}
}

// dropOutFilter leaves what a crash leaves between the two filters.
func dropOutFilter(k *Kernel, index int) error { return k.nl.FilterDel(k.filter(out, index)) }

// attachInLink leaves what a crash leaves between the two links.
func attachInLink(k *Kernel, index int) error {
	l, err := link.AttachTCX(link.TCXOptions{
		Interface: index, Program: k.program(in), Attach: directions[in].tcx, Anchor: link.Head(),
	})
	if err != nil {
		return err
	}
	return errors.Join(l.Pin(k.pin(in, index)), l.Close())
}
