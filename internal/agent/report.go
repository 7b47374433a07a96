package agent

import (
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

func (b *book) record(index int, why reason.Reason, a api.Answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.pages[index]
	if p == nil {
		p = &page{count: map[string]uint64{}, ignored: map[reason.Reason]uint64{}, told: map[string]time.Time{}}
		b.pages[index] = p
	}
	if a.Answer != "" {
		p.count[a.Answer]++
	} else {
		p.ignored[why]++
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

// reportExchange is told of every DHCP message. Nothing of it is logged: what
// a guest can cause at will is counted, and kept in a bounded history.
func (a *Agent) reportExchange(x answerer.Exchange) {
	now, o := time.Now(), x.Outcome
	done := api.Answer{
		Time: now, Request: o.Request, Answer: o.Answer, Address: o.Address,
		XID: fmt.Sprintf("%08x", o.XID), Reason: o.Reason,
	}
	if x.Err != nil {
		done.Answer = ""
	}
	a.book.record(x.Index, o.Reason, done)
	e := api.Event{Time: now, NIC: x.NIC, Index: x.Index, Kind: "ignored", Reason: o.Reason, Text: o.Request}
	if e.Text == "" {
		e.Text = "a message"
	}
	switch {
	case x.Err != nil:
		e.Kind, e.Text = "failed", fmt.Sprintf("%s: %v", o.Request, x.Err)
	case o.Answer != "":
		e.Kind, e.Text = "answered", o.Request+" -> "+o.Answer
		if o.Address.IsValid() && !o.Address.IsUnspecified() {
			e.Text += " " + o.Address.String()
		}
	case o.Reason != reason.None:
		e.Text += " ignored: " + o.Reason.Text()
	}
	// Not by the text: the guest chooses the address in it.
	if a.book.newsworthy(x.Index, o.Request+o.Answer+o.Reason.String(), now) {
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
		text += fmt.Sprintf(", IPv4 %s to %s protocol %d", addr4(f[26:30]), addr4(f[30:34]), f[23])
		if u, err := wire.ParseUDP4(f); err == nil {
			text += fmt.Sprintf(" port %d to %d", u.SrcPort, u.DstPort)
		}
		return text
	default:
		return fmt.Sprintf("%s, type 0x%04x", text, kind)
	}
}

func addr4(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b)) }
