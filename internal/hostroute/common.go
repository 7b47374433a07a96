package hostroute

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/route"
)

// Priority is that of our rules: before the main table's 32766, and with room
// for rules of the site before them.
const Priority = 9800

// frActToTable is FR_ACT_TO_TBL of linux/fib_rules.h.
const frActToTable = 1

// Common returns what the host has of ours outside of the guests' links. It
// costs three dumps, and one more if there are proxy entries.
func (t *Table) Common() (route.Common, error) {
	var c route.Common
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		rules, err := t.rules(family)
		if err != nil {
			return c, fmt.Errorf("read rules: %w", err)
		}
		c.Add(route.Want{Rules: rules})
	}
	proxies, err := t.proxies()
	if err != nil {
		return c, fmt.Errorf("read proxy entries: %w", err)
	}
	c.Add(route.Want{Proxies: proxies})
	return c, nil
}

// Sweep takes away rules and proxy entries of ours. One that is gone is no
// error, be it with its link.
func (t *Table) Sweep(c route.Common) error {
	var failed []error
	for r := range c.Rules {
		if err := gone(t.change(unix.RTM_DELRULE, 0, ruleMessage(r))); err != nil {
			failed = append(failed, fmt.Errorf("%v: %w", r, err))
		}
	}
	for p := range c.Proxies {
		if err := gone(t.setProxy(unix.RTM_DELNEIGH, 0, p)); err != nil && !errors.Is(err, unix.ENODEV) {
			failed = append(failed, fmt.Errorf("%v: %w", p, err))
		}
	}
	return errors.Join(failed...)
}

// addCommon adds what w wants outside of its link; of an address whose route
// another one holds, nothing: it would lead the site astray.
func (t *Table) addCommon(w route.Want, held []error) error {
	for _, r := range w.Rules {
		// Of the same protocol is ours: the caller's knowledge was old.
		err := t.change(unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, ruleMessage(r))
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("%v: %w", r, err)
		}
	}
	for _, p := range w.Proxies {
		isIt := func(err error) bool {
			h := heldError{}
			return errors.As(err, &h) && h.to.IsSingleIP() && h.to.Addr() == p.Addr
		}
		if slices.ContainsFunc(held, isIt) {
			continue
		}
		if err := t.setProxy(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE, p); err != nil {
			return fmt.Errorf("%v: %w", p, err)
		}
	}
	return nil
}

func (t *Table) rules(family uint8) ([]route.Rule, error) {
	header := &nl.RtMsg{RtMsg: unix.RtMsg{Family: family}}
	msgs, err := t.dump(unix.RTM_GETRULE, unix.RTM_NEWRULE, []nl.NetlinkRequestData{header})
	if err != nil {
		return nil, err
	}
	var all []route.Rule
	for _, m := range msgs {
		r, ours, err := parseRule(m)
		if err != nil {
			return nil, err
		}
		if ours {
			all = append(all, r)
		}
	}
	return all, nil
}

// proxies reads them by link, and then what the links are called.
func (t *Table) proxies() ([]route.Proxy, error) {
	header := &netlink.Ndmsg{Family: unix.AF_UNSPEC, Flags: netlink.NTF_PROXY}
	msgs, err := t.dump(unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, []nl.NetlinkRequestData{header})
	if err != nil {
		return nil, err
	}
	var all []route.Proxy
	names := map[int]string{}
	for _, m := range msgs {
		e, err := parseNeighbour(m)
		if err != nil {
			return nil, err
		}
		if !e.proxy || e.protocol != Protocol {
			continue
		}
		if _, asked := names[e.index]; !asked {
			names[e.index] = t.linkName(e.index)
		}
		all = append(all, route.Proxy{Addr: e.Addr, Uplink: names[e.index]})
	}
	return all, nil
}

func (t *Table) setProxy(kind, flags int, p route.Proxy) error {
	index, err := t.linkIndex(p.Uplink)
	if err != nil {
		return err
	}
	return t.change(kind, flags, []nl.NetlinkRequestData{
		&netlink.Ndmsg{Family: family(p.Addr), Index: uint32(index), Flags: netlink.NTF_PROXY},
		attr(netlink.NDA_DST, p.Addr.AsSlice()),
		attr(netlink.NDA_PROTOCOL, []byte{Protocol}),
	})
}

// linkName is "" for a link that is gone: so are its entries.
func (t *Table) linkName(index int) string {
	_, name, err := t.link(&nl.IfInfomsg{IfInfomsg: unix.IfInfomsg{Index: int32(index)}})
	if err != nil {
		return ""
	}
	return name
}

func (t *Table) linkIndex(name string) (int, error) {
	index, _, err := t.link(nl.NewIfInfomsg(unix.AF_UNSPEC), attr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	return index, err
}

func (t *Table) link(which ...nl.NetlinkRequestData) (index int, name string, err error) {
	msgs, err := t.request(unix.RTM_GETLINK, 0, which).Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil {
		return 0, "", err
	}
	if len(msgs) != 1 || len(msgs[0]) < unix.SizeofIfInfomsg {
		return 0, "", unix.ENODEV
	}
	attrs, err := nl.ParseRouteAttr(msgs[0][unix.SizeofIfInfomsg:])
	if err != nil {
		return 0, "", fmt.Errorf("link message: %w", err)
	}
	for _, a := range attrs {
		if a.Attr.Type == unix.IFLA_IFNAME {
			name = unix.ByteSliceToString(a.Value)
		}
	}
	return number(msgs[0][4:]), name, nil
}

func ruleFamily(r route.Rule) uint8 {
	if r.IPv6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// ruleMessage is struct fib_rule_hdr, which has rtmsg's layout with the action
// in place of the type, and its attributes.
func ruleMessage(r route.Rule) []nl.NetlinkRequestData {
	return []nl.NetlinkRequestData{
		&nl.RtMsg{RtMsg: unix.RtMsg{Family: ruleFamily(r), Type: frActToTable}},
		attr(nl.FRA_IIFNAME, nl.ZeroTerminated(r.Link)),
		attr(nl.FRA_TABLE, native32(int(r.Table))),
		attr(nl.FRA_PRIORITY, native32(Priority)),
		attr(nl.FRA_PROTOCOL, []byte{Protocol}),
	}
}

// parseRule takes a rule for ours by its protocol, and whatever else it says:
// one that we would not make is not wanted, and swept away.
func parseRule(b []byte) (r route.Rule, ours bool, err error) {
	if len(b) < unix.SizeofRtMsg {
		return r, false, fmt.Errorf("rule message of %d bytes", len(b))
	}
	attrs, err := nl.ParseRouteAttr(b[unix.SizeofRtMsg:])
	if err != nil {
		return r, false, fmt.Errorf("rule message: %w", err)
	}
	r.IPv6 = b[0] == unix.AF_INET6
	for _, a := range attrs {
		switch v := a.Value; {
		case a.Attr.Type == nl.FRA_IIFNAME:
			r.Link = unix.ByteSliceToString(v)
		case a.Attr.Type == nl.FRA_TABLE && len(v) == 4:
			r.Table = binary.NativeEndian.Uint32(v)
		case a.Attr.Type == nl.FRA_PROTOCOL && len(v) == 1:
			ours = v[0] == Protocol
		}
	}
	return r, ours, nil
}
