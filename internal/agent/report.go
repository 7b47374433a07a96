package agent

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/berth-net/berth/internal/answerer"
	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/datapath"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/wire"
)

// keptAnswers is how many exchanges of a NIC are shown.
const keptAnswers = 8

// book counts answers, by ifindex; the ring's reader writes it, requests read.
type book struct {
	mu    sync.Mutex
	pages map[int]*page
}

// page is one NIC's answers.
type page struct {
	count   map[string]uint64
	ignored map[reason.Reason]uint64
	last    []api.Answer         // oldest first
	told    map[string]time.Time // by kind of exchange: when the history was last told
}

// record counts an exchange and keeps it.
func (b *book) record(index int, a api.Answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.page(index)
	if a.Answer != "" {
		p.count[a.Answer]++
	} else {
		p.ignored[a.Reason]++
	}
	p.keep(a)
}

// keep keeps an exchange that the kernel has counted.
func (b *book) keep(index int, a api.Answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.page(index).keep(a)
}

// page is a NIC's; b.mu is held.
func (b *book) page(index int) *page {
	p := b.pages[index]
	if p == nil {
		p = &page{count: map[string]uint64{}, ignored: map[reason.Reason]uint64{}, told: map[string]time.Time{}}
		b.pages[index] = p
	}
	return p
}

func (p *page) keep(a api.Answer) {
	if a.Request == "" && a.Reason == reason.None {
		return // an advertisement nobody asked for is no exchange
	}
	if len(p.last) == keptAnswers {
		p.last = p.last[1:]
	}
	p.last = append(p.last, a)
}

// newsworthy reports whether the history may be told: once a second for each
// kind of exchange of a NIC, so that one guest cannot wash out what others did.
func (b *book) newsworthy(index int, kind string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.pages[index]
	if p == nil || now.Sub(p.told[kind]) < time.Second {
		return false
	}
	p.told[kind] = now
	return true
}

func (b *book) forget(index int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pages, index)
}

// read returns copies for showing, newest exchange first.
func (b *book) read(index int) (*api.Answers, map[string]uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ignored := map[string]uint64{}
	p := b.pages[index]
	if p == nil {
		return &api.Answers{Count: map[string]uint64{}, Last: []api.Answer{}}, ignored
	}
	for r, n := range p.ignored {
		ignored[r.String()] = n
	}
	last := slices.Clone(p.last)
	slices.Reverse(last)
	return &api.Answers{Count: maps.Clone(p.count), Last: last}, ignored
}

// punt hands what the kernel took to the answerer.
func (a *Agent) punt(p datapath.Punt) {
	a.answerer.Punt(p.Index, answerer.Packet{Reason: p.Reason, Frame: p.Frame})
}

// reportExchange is told of every message that the daemon has dealt with.
// Nothing of it is logged: what a guest can cause at will is counted, and kept
// in a bounded history.
func (a *Agent) reportExchange(x answerer.Exchange) {
	done := api.Answer{
		Time: time.Now(), Request: x.Request, Answer: x.Answer, Addresses: x.Addresses, XID: x.XID, Reason: x.Reason,
	}
	if x.Err != nil {
		done.Answer = ""
	}
	a.book.record(x.Index, done)
	if !x.Unasked() {
		a.tell(x.Index, x.NIC, done, x.Err)
	}
}

// reportKernel is told of what the kernel has dealt with by itself: of all that
// an honest guest asks. It is counted there.
func (a *Agent) reportKernel(x datapath.Exchange) {
	done := api.Answer{Time: time.Now().Add(-x.Age), Request: x.Request, Answer: x.Answer, XID: x.XID, Reason: x.Reason}
	if x.Address.IsValid() {
		done.Addresses = []netip.Prefix{x.Address}
	}
	a.book.keep(x.Index, done)
	a.tell(x.Index, a.view.Load().name(x.Index), done, nil)
}

// tell puts an exchange into the history, if it is news.
func (a *Agent) tell(index int, name string, x api.Answer, failed error) {
	e := api.Event{Time: x.Time, NIC: name, Index: index, Kind: "ignored", Reason: x.Reason, Text: x.Request}
	if e.Text == "" {
		e.Text = "a message"
	}
	switch {
	case failed != nil:
		e.Kind, e.Text = "failed", fmt.Sprintf("%s: %v", x.Request, failed)
	case x.Answer != "":
		e.Kind, e.Text = "answered", x.Request+" -> "+x.Answer
		for _, p := range x.Addresses {
			e.Text += " " + nic.ShortPrefix(p)
		}
	case x.Reason != reason.None:
		e.Text += " ignored: " + x.Reason.Text()
	}
	// Not by the text: the guest chooses the address in it.
	if a.book.newsworthy(index, x.Request+x.Answer+x.Reason.String(), x.Time) {
		a.Add(e)
	}
}

// reportSample is told of some of the frames that were dropped, at most one a
// second for each NIC and reason (the kernel's own limit).
func (a *Agent) reportSample(s datapath.Sample) {
	e := api.Event{Time: time.Now(), Index: s.Index, NIC: a.view.Load().name(s.Index), Kind: "dropped", Reason: s.Reason}
	if s.Audit {
		e.Kind = "audited"
	}
	e.Text = s.Reason.Text() + ": " + describe(s.Data)
	a.Add(e)
}

// describe says in a few words what a frame claims to be. The bytes are a
// stranger's: only numbers and addresses are printed.
func describe(f []byte) string {
	if len(f) < 14 {
		return fmt.Sprintf("%d bytes", len(f))
	}
	text := fmt.Sprintf("%s to %s", nic.MAC(f[6:12]), nic.MAC(f[0:6]))
	kind := uint16(f[12])<<8 | uint16(f[13])
	switch {
	case kind == 0x0806 && len(f) >= 42:
		return fmt.Sprintf("%s, ARP %s is at %s", text, addr4(f[28:32]), nic.MAC(f[22:28]))
	case kind == 0x0800 && len(f) >= 34:
		return text + fmt.Sprintf(", IPv4 %s to %s protocol %d", addr4(f[26:30]), addr4(f[30:34]), f[23]) + describePorts4(f[14:])
	case kind == 0x86dd && len(f) >= 54:
		text += fmt.Sprintf(", IPv6 %s to %s", addr6(f[22:38]), addr6(f[38:54]))
		return text + describeUpper6(f)
	default:
		return fmt.Sprintf("%s, type 0x%04x", text, kind)
	}
}

// describePorts4 reads UDP's ports, if the packet has any: what it says of its
// lengths does not matter, since only its beginning is here.
func describePorts4(p []byte) string {
	header := int(p[0]&0x0f) * 4
	first := be16(p[6:])&0x1fff == 0 // of a datagram's fragments
	if p[9] != 17 || !first || header < 20 || len(p) < header+4 {
		return ""
	}
	return fmt.Sprintf(" port %d to %d", be16(p[header:]), be16(p[header+2:]))
}

// describeUpper6 looks behind extension headers, if that can be done.
func describeUpper6(f []byte) string {
	f = slices.Clone(f)
	if here := uint16(len(f) - 54); be16(f[18:]) > here {
		binary.BigEndian.PutUint16(f[18:], here) // the kernel hands up a frame's beginning
	}
	p, err := wire.ParseIP6(f)
	switch {
	case err != nil && f[20] == 44:
		return " fragment"
	case err != nil:
		return fmt.Sprintf(" next header %d", f[20])
	case p.Protocol == 17 && len(p.Payload) >= 4:
		return fmt.Sprintf(" protocol 17 port %d to %d", be16(p.Payload), be16(p.Payload[2:]))
	case p.Protocol == 58 && len(p.Payload) >= 24 && 135 <= p.Payload[0] && p.Payload[0] <= 137:
		return fmt.Sprintf(" %s for %s", icmp6Name(p.Payload[0]), addr6(p.Payload[8:24]))
	case p.Protocol == 58 && len(p.Payload) > 0:
		return " " + icmp6Name(p.Payload[0])
	default:
		return fmt.Sprintf(" protocol %d", p.Protocol)
	}
}

// icmp6Name names the ICMPv6 messages that the guard has an opinion on.
func icmp6Name(kind byte) string {
	switch kind {
	case 128:
		return "echo request"
	case 129:
		return "echo reply"
	case 130:
		return "MLD query"
	case 133:
		return "router solicitation"
	case 134:
		return "router advertisement"
	case 135:
		return "neighbour solicitation"
	case 136:
		return "neighbour advertisement"
	case 137:
		return "redirect"
	default:
		return fmt.Sprintf("ICMPv6 type %d", kind)
	}
}

func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }

func addr6(b []byte) netip.Addr { return netip.AddrFrom16([16]byte(b)) }

func addr4(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b)) }
