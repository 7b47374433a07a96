// Package link is the edge to the host's interfaces: the full set of them, by
// dump, and a wake-up whenever it may have changed.
//
// Not here: which of them matter (plan).
package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
)

const (
	rcvbuf    = 4 << 20
	rescan    = 30 * time.Second
	reopen    = 100 * time.Millisecond
	maxDumps  = 10
	arphrdEth = unix.ARPHRD_ETHER
)

// Watcher reads interfaces of the namespace it is used in.
type Watcher struct{}

// Dump returns every interface. An interrupted dump is taken again.
func (*Watcher) Dump() ([]plan.Link, error) {
	links, err := retry(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("dump links: %w", err)
	}
	addrs, err := retry(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("dump addresses: %w", err)
	}
	byIndex := map[int][]netip.Addr{}
	for _, a := range addrs {
		if ip, ok := netip.AddrFromSlice(a.IP.To4()); ok {
			byIndex[a.LinkIndex] = append(byIndex[a.LinkIndex], ip)
		}
	}
	all := make([]plan.Link, 0, len(links))
	for _, l := range links {
		all = append(all, convert(l, byIndex[l.Attrs().Index]))
	}
	return all, nil
}

func retry[T any](dump func() ([]T, error)) (all []T, err error) {
	for range maxDumps {
		if all, err = dump(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	return nil, err
}

func convert(l netlink.Link, addrs []netip.Addr) plan.Link {
	a := l.Attrs()
	p := plan.Link{
		Index: a.Index, Name: a.Name, Kind: l.Type(), MTU: a.MTU, Master: a.MasterIndex,
		Ethernet: a.EncapType == "ether", Loopback: a.RawFlags&unix.IFF_LOOPBACK != 0,
		Up: a.RawFlags&unix.IFF_UP != 0, OperState: strings.ToLower(a.OperState.String()), IPv4: addrs,
	}
	if p.Kind == "device" || p.Kind == "tuntap" {
		p.Kind = map[string]string{"device": "", "tuntap": "tun"}[p.Kind]
	}
	if len(a.HardwareAddr) == 6 {
		p.MAC = nic.MAC(a.HardwareAddr)
	}
	return p
}

// Run calls wake whenever interfaces or their addresses may have changed,
// until ctx ends.
func (w *Watcher) Run(ctx context.Context, wake func()) error {
	for {
		err := w.listen(ctx, wake)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end of the context is the ordinary end
		}
		if err != nil && !errors.Is(err, errLost) {
			return err
		}
		wake()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(reopen):
		}
	}
}

var errLost = errors.New("messages lost")

func (*Watcher) listen(ctx context.Context, wake func()) error {
	done := make(chan struct{})
	defer close(done)
	lost := make(chan struct{}, 1)
	failed := func(error) {
		select {
		case lost <- struct{}{}:
		default:
		}
	}
	links := make(chan netlink.LinkUpdate, 256)
	addrs := make(chan netlink.AddrUpdate, 256)
	if err := netlink.LinkSubscribeWithOptions(links, done, netlink.LinkSubscribeOptions{ErrorCallback: failed, ReceiveBufferSize: rcvbuf, ReceiveBufferForceSize: true}); err != nil {
		return fmt.Errorf("subscribe to links: %w", err)
	}
	if err := netlink.AddrSubscribeWithOptions(addrs, done, netlink.AddrSubscribeOptions{ErrorCallback: failed, ReceiveBufferSize: rcvbuf, ReceiveBufferForceSize: true}); err != nil {
		return fmt.Errorf("subscribe to addresses: %w", err)
	}
	wake()
	tick := time.NewTicker(rescan)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-lost:
			return errLost
		case <-tick.C:
			wake()
		case _, ok := <-links:
			if !ok {
				return errLost
			}
			wake()
		case _, ok := <-addrs:
			if !ok {
				return errLost
			}
			wake()
		}
	}
}
