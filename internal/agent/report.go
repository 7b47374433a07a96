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
	"github.com/berth-net/berth/internal/words"
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

func (b *book) record(index int, a api.Answer) {
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
		p.ignored[a.Reason]++
	}
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

// reportKernel is told of some of what the kernel has answered by itself: all
// that an honest guest does.
func (a *Agent) reportKernel(x datapath.Exchange) {
	e := answerer.Exchange{
		Index: x.Index, NIC: a.view.Load().name(x.Index), Request: x.Request, Answer: x.Answer, XID: x.XID, Reason: x.Reason,
	}
	if x.Address.IsValid() {
		e.Addresses = []netip.Prefix{x.Address}
	}
	a.reportExchange(e)
}

// reportExchange is told of every message. Nothing of it is logged: what
// a guest can cause at will is counted, and kept in a bounded history.
func (a *Agent) reportExchange(x answerer.Exchange) {
	now := time.Now()
	done := api.Answer{
		Time: now, Request: x.Request, Answer: x.Answer, Addresses: x.Addresses, XID: x.XID, Reason: x.Reason,
	}
	if x.Err != nil {
		done.Answer = ""
	}
	a.book.record(x.Index, done)
	if x.Unasked() {
		return
	}
	e := api.Event{Time: now, NIC: x.NIC, Index: x.Index, Kind: "ignored", Reason: x.Reason, Text: x.Request}
	if e.Text == "" {
		e.Text = "a message"
	}
	switch {
	case x.Err != nil:
		e.Kind, e.Text = "failed", fmt.Sprintf("%s: %v", x.Request, x.Err)
	case x.Answer != "":
		e.Kind, e.Text = "answered", x.Request+" -> "+x.Answer
		for _, p := range x.Addresses {
			e.Text += " " + nic.ShortPrefix(p)
		}
	case x.Reason != reason.None:
		e.Text += " ignored: " + x.Reason.Text()
	}
	// Not by the text: the guest chooses the address in it.
	if a.book.newsworthy(x.Index, x.Request+x.Answer+x.Reason.String(), now) {
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
	e.Text = s.Reason.Text() + ": " + words.Line(s.Data)
	a.Add(e)
}
