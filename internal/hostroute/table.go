// Package hostroute is the edge to the host's routes and neighbours: it brings
// one link's to what package route derives for a routed NIC.
//
// Not here: forwarding as such, which is the host's to switch on (ip_forward,
// net.ipv6.conf.all.forwarding) and so is proxy_ndp on the link to the site,
// what a routing table leads to besides the guests, and the guest's own ARP requests and solicitations, which the
// guard's program takes before the host's stack sees them (datapath).
package hostroute

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/route"
)

// Protocol marks our routes and neighbours; iproute2's rt_protos names no 98.
const Protocol = 98

// maxDumps bounds the dumps that a changing kernel may interrupt in a row.
const maxDumps = 20

// Table is the routes and neighbours of one network namespace. Its methods
// may be called from any goroutine.
type Table struct {
	sockets map[int]*nl.SocketHandle
}

// Open takes hold of the calling thread's network namespace.
func Open() (*Table, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open routes: %w", err)
	}
	if err := setUp(s); err != nil {
		s.Close()
		return nil, fmt.Errorf("open routes: %w", err)
	}
	return &Table{sockets: map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: s}}}, nil
}

func setUp(s *nl.NetlinkSocket) error {
	wait := nl.SocketTimeoutTv
	err := errors.Join(s.SetSendTimeout(&wait), s.SetReceiveTimeout(&wait), s.SetExtAck(true))
	if err != nil {
		return err
	}
	// With it the kernel filters dumps (Linux 4.20); what it does not filter we do.
	err = unix.SetsockoptInt(s.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	if errors.Is(err, unix.ENOPROTOOPT) {
		return nil
	}
	return err
}

// Close gives the namespace up; what is installed stays.
func (t *Table) Close() { t.sockets[unix.NETLINK_ROUTE].Close() }

// Installed returns what every link has of ours, by ifindex. It costs three
// dumps; the kernel filters the two of routes.
func (t *Table) Installed() (map[int]route.State, error) {
	all, err := t.read(0)
	if err != nil {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	return all, nil
}

// Apply makes one link's routes and neighbours those of w, given what
// Installed said of the link, and adds w's rules and proxy entries; those not
// wanted any more are for Sweep. What stays wanted stays in force throughout:
// additions come first. The link must be up. A destination that has another
// route, be it a stranger's or ours on another link, is left to that and named
// in the error; everything else is done nevertheless. So serve links that lose
// something before those that gain it.
func (t *Table) Apply(have route.State, w route.Want) error {
	if w.Index <= 0 {
		return fmt.Errorf("routes of link %d: no such link", w.Index)
	}
	var failed []error
	for _, s := range route.Diff(have, w) {
		err := t.do(w.Index, s)
		if err == nil {
			continue
		}
		failed = append(failed, err)
		// Later steps rely on every other kind: no route without its neighbour.
		if held := (heldError{}); !errors.As(err, &held) {
			return fmt.Errorf("link %d: %w", w.Index, errors.Join(failed...))
		}
	}
	if err := errors.Join(append(failed, t.addCommon(w, failed))...); err != nil {
		return fmt.Errorf("link %d: %w", w.Index, err)
	}
	return nil
}

// Remove takes everything of ours from one link, as read from the kernel. A
// link that is gone has taken it along, which is no error.
func (t *Table) Remove(index int) error {
	all, err := t.read(index)
	if err == nil {
		err = t.Apply(all[index], route.Want{Index: index})
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove routes: %w", err)
	}
	return nil
}

func (t *Table) do(index int, s route.Step) error {
	var err error
	switch s.Verb {
	case route.SetNeighbour:
		err = t.change(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, neighbourMessage(index, s.Neighbour))
	case route.AddRoute:
		return t.add(index, s.Route)
	case route.SetRoute:
		err = t.change(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, routeMessage(index, s.Route))
	case route.DelRoute:
		err = gone(t.change(unix.RTM_DELROUTE, 0, goneRouteMessage(index, s.Route)))
	case route.DelNeighbour:
		err = gone(t.change(unix.RTM_DELNEIGH, 0, neighbourMessage(index, s.Neighbour)))
	}
	if err != nil {
		return fmt.Errorf("%v: %w", s, err)
	}
	return nil
}

// gone accepts what the kernel says of something that is not there any more.
func gone(err error) error {
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// add looks before it adds: the kernel refuses only what has the same metric.
func (t *Table) add(index int, r route.Route) error {
	by, found := t.holder(r)
	mine := found && by.ours() && by.index == index // the caller's knowledge was old
	if found && !mine {
		return heldError{to: r.To, by: by.String()}
	}
	if r.Table != 0 {
		return t.addIn(index, r)
	}
	return t.put(index, r, mine)
}

// put adds a route, or replaces one.
func (t *Table) put(index int, r route.Route, replace bool) error {
	flags := unix.NLM_F_CREATE | unix.NLM_F_EXCL
	if replace {
		flags = unix.NLM_F_CREATE | unix.NLM_F_REPLACE
	}
	err := t.change(unix.RTM_NEWROUTE, flags, routeMessage(index, r))
	switch {
	case errors.Is(err, unix.EEXIST):
		return heldError{to: r.To}
	case err != nil:
		return fmt.Errorf("route %v: %w", r, err)
	}
	return nil
}

// addIn adds to a table of its own, which a lookup comes to only for what the
// guest sends, so it has to be searched; and after the adding, for a table
// that is empty is none.
func (t *Table) addIn(index int, r route.Route) error {
	held := heldError{}
	err := t.put(index, r, false)
	exists := errors.As(err, &held)
	if err != nil && !exists {
		return err
	}
	by, found, err := t.otherIn(index, r)
	switch {
	case err != nil:
		return fmt.Errorf("route %v: %w", r, err)
	case found && !exists:
		err = gone(t.change(unix.RTM_DELROUTE, 0, goneRouteMessage(index, r)))
		return errors.Join(heldError{to: r.To, by: by.String()}, err)
	case found:
		return heldError{to: r.To, by: by.String()}
	case exists:
		return t.put(index, r, true)
	}
	return nil
}

// otherIn returns a route to the same destination in r's table that is not the
// link's and ours.
func (t *Table) otherIn(index int, r route.Route) (entry, bool, error) {
	msgs, err := t.dump(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, tableFilter(family(r.To.Addr()), r.Table))
	if err != nil {
		return entry{}, false, err
	}
	for _, m := range msgs {
		e, err := parseRoute(m)
		if err != nil {
			return entry{}, false, err
		}
		mine := e.ours() && e.index == index
		if e.To == r.To && e.Table == r.Table && !e.cached && !mine {
			return e, true, nil
		}
	}
	return entry{}, false, nil
}

// holder returns the route to exactly r's destination, if a lookup of its
// first address ends there; a longer one hides it. Without any route, and
// under an unreachable one, the lookup fails, and so nothing is held. For a
// route in a table of its own only the host's own addresses count, which come
// before any table.
func (t *Table) holder(r route.Route) (entry, bool) {
	req := t.request(unix.RTM_GETROUTE, 0, lookupMessage(r.To.Addr()))
	msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE)
	if err != nil || len(msgs) != 1 {
		return entry{}, false
	}
	e, err := parseRoute(msgs[0])
	return e, err == nil && e.To == r.To && (r.Table == 0 || e.Table == unix.RT_TABLE_LOCAL)
}

// read returns the state of one link, or of all for index 0.
func (t *Table) read(index int) (map[int]route.State, error) {
	all := map[int]route.State{}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		if err := t.readRoutes(all, family, index); err != nil {
			return nil, err
		}
	}
	if err := t.readNeighbours(all, index); err != nil {
		return nil, err
	}
	for i, s := range all {
		s.Sort()
		all[i] = s
	}
	return all, nil
}

func (t *Table) readRoutes(all map[int]route.State, family uint8, index int) error {
	msgs, err := t.dump(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, routeFilter(family, index))
	if err != nil {
		return err
	}
	for _, m := range msgs {
		e, err := parseRoute(m)
		if err != nil {
			return err
		}
		if e.ours() && (index == 0 || e.index == index) {
			s := all[e.index]
			s.Routes = append(s.Routes, e.Route)
			all[e.index] = s
		}
	}
	return nil
}

func (t *Table) readNeighbours(all map[int]route.State, index int) error {
	msgs, err := t.dump(unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, neighbourFilter(index))
	if err != nil {
		return err
	}
	for _, m := range msgs {
		e, err := parseNeighbour(m)
		if err != nil {
			return err
		}
		if e.permanent && e.protocol == Protocol && (index == 0 || e.index == index) {
			s := all[e.index]
			s.Neighbours = append(s.Neighbours, e.Neighbour)
			all[e.index] = s
		}
	}
	return nil
}

// dump makes a dump again that changes interrupted: it is not a set.
func (t *Table) dump(kind int, answer uint16, data []nl.NetlinkRequestData) ([][]byte, error) {
	var err error
	for range maxDumps {
		var msgs [][]byte
		msgs, err = t.request(kind, unix.NLM_F_DUMP, data).Execute(unix.NETLINK_ROUTE, answer)
		if err == nil {
			return msgs, nil
		}
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return nil, err
}

func (t *Table) change(kind, flags int, data []nl.NetlinkRequestData) error {
	_, err := t.request(kind, flags|unix.NLM_F_ACK, data).Execute(unix.NETLINK_ROUTE, 0)
	return err
}

func (t *Table) request(kind, flags int, data []nl.NetlinkRequestData) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(kind, flags)
	req.Sockets = t.sockets
	req.Data = data
	return req
}

func native32(v int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(v)) }
