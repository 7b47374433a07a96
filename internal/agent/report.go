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
// an honest guest asks. It is counted there. Of a NIC that is gone since, nothing
// is kept.
func (a *Agent) reportKernel(x datapath.Exchange) {
	name := a.nameOf(x.Index)
	if name == "" {
		return
	}
	done := api.Answer{Time: time.Now().Add(-x.Age), Request: x.Request, Answer: x.Answer, XID: x.XID, Reason: x.Reason}
	if x.Address.IsValid() {
		done.Addresses = []netip.Prefix{x.Address}
	}
	a.book.keep(x.Index, done)
	a.tell(x.Index, name, done, nil)
}

// nameOf is the name of the NIC on an ifindex, also of one that has come with the
// pass under way; "" if there is none.
func (a *Agent) nameOf(index int) string {
	if s, ok := a.answerer.Setting(index); ok {
		return s.Binding.NIC
	}
	return a.view.Load().name(index)
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
	e.Text = s.Reason.Text() + ": " + words.Line(s.Data)
	a.Add(e)
}
