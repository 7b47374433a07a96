package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/datapath"
)

// renew is what makes udhcpc and dhcpcd renew at once instead of in some hours.
const renew = syscall.SIGUSR1

// removal takes every binding away, hands the NICs back, and looks for what
// is left.
func (s *story) removal() error {
	s.heading("11 Every binding is taken away where it came from, then the NICs are handed back to the site")
	guards, err := s.guards()
	if err != nil {
		return err
	}
	s.holds("there were guards to remove", guards > 0)
	states, err := s.unbind()
	if err != nil {
		return err
	}
	if err := s.reach("all removed    "+states, false); err != nil {
		return err
	}
	for _, v := range s.guarded() {
		if _, err := s.node.berth("release", "--yes", v.tap()); err != nil {
			return err
		}
	}
	left, err := s.node.client.NICs(s.ctx)
	if err != nil {
		return s.node.explain(err)
	}
	s.fact("NICs managed after the release", len(left), 0)
	if err := s.reach(fmt.Sprintf("berth release  %d NICs managed", len(left)), true); err != nil {
		return err
	}
	s.node.daemon.stop(syscall.SIGTERM)
	return s.leftovers(guards)
}

// reach prints whether web1 reaches the router in either family. In IPv6 it
// tries the link-local, for which it needs no route.
func (s *story) reach(when string, should bool) error {
	try := s.ping
	if should {
		try = s.reaches
	}
	to := map[family]string{v4: router, v6: gateway6}
	took := map[family]string{}
	for _, f := range families() {
		var err error
		took[f], err = try(s.vms[0], "eth0", to[f])
		s.fact(fmt.Sprintf("web1 reaches the router by %s (%s)", f, when), err == nil, should)
	}
	s.line("%s; web1 pings the router: IPv4 %s, IPv6 %s", when, took[v4], took[v6])
	return nil
}

// retire removes the binding files, and has the older systems take back what
// they told.
func (s *story) retire() error {
	for _, c := range s.controllers() {
		if err := s.says(c.retires); err != nil {
			return err
		}
	}
	for _, v := range s.guarded() {
		err := os.Remove(s.node.bindingFile(v))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// unbind takes every binding away and waits until every NIC is closed.
func (s *story) unbind() (string, error) {
	if err := s.retire(); err != nil {
		return "", err
	}
	closed := 0
	err := s.until(10*time.Second, "every NIC closed", func() bool {
		all, err := s.node.client.NICs(s.ctx)
		closed = 0
		for _, n := range all {
			if n.State == api.Closed {
				closed++
			}
		}
		return err == nil && closed == len(s.guarded())
	})
	return fmt.Sprintf("%d NICs closed", closed), s.node.explain(err)
}

// leftovers looks for everything berthd puts into a kernel (docs/berthd.md).
func (s *story) leftovers(before int) error {
	guards, err := s.guards()
	if err != nil {
		return err
	}
	pins, err := linkPins()
	if err != nil {
		return err
	}
	rules, err := s.exec(hypervisor, "nft", "list", "ruleset")
	if err != nil {
		return err
	}
	s.line("berthd ended   guards at the NICs: %d before, %d now; pinned links: %d; nftables lines: %d",
		before, guards, pins, strings.Count(rules, "\n"))
	s.fact("guards left at the NICs", guards, 0)
	s.fact("pinned links left", pins, 0)
	s.fact("nftables rules left", rules, "")
	return nil
}

// guards counts the programs at the tc hooks of the managed NICs.
func (s *story) guards() (int, error) {
	count := 0
	for _, v := range s.guarded() {
		l, err := netlink.LinkByName(v.tap())
		if err != nil {
			return 0, fmt.Errorf("find %s: %w", v.tap(), err)
		}
		n, err := programsAt(l)
		if err != nil {
			return 0, fmt.Errorf("programs at %s: %w", v.tap(), err)
		}
		count += n
	}
	return count, nil
}

func programsAt(l netlink.Link) (int, error) {
	count := 0
	for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		r, err := link.QueryPrograms(link.QueryOptions{Target: l.Attrs().Index, Attach: at})
		if errors.Is(err, ebpf.ErrNotSupported) {
			break // Linux before 6.6: clsact alone
		}
		if err != nil {
			return 0, err
		}
		count += len(r.Programs)
	}
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		filters, err := netlink.FilterList(l, parent)
		if err != nil {
			return 0, err
		}
		count += len(filters)
	}
	return count, nil
}

// linkPins counts the pins that hold a program at a device.
func linkPins() (int, error) {
	count := 0
	err := filepath.WalkDir(datapath.DefaultDir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && (strings.HasPrefix(d.Name(), "in_") || strings.HasPrefix(d.Name(), "out_")) {
			count++
		}
		return err
	})
	return count, err
}
