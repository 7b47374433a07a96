package controller

import (
	"context"
	"slices"
	"time"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/nodelink"
)

const (
	// together is how long changes are gathered after a report, but for those of
	// documents: somebody may wait for them.
	together = 50 * time.Millisecond
	// again is how often everything is told, with what is counted.
	again = time.Minute
	// later is the pause after a report that failed.
	later = time.Second
)

// reporter is what the controller has been told.
type reporter struct {
	*Source
	via  *link
	sent map[string]fleet.Status // by interface, as of Standings
	full time.Time               // when everything was told last
	last time.Time               // when anything was
}

// report tells the controller what came of its documents, as it changes.
func (s *Source) report(ctx context.Context) error {
	r := reporter{Source: s}
	for ctx.Err() == nil {
		now, generation, changed := s.Node.Standings(name)
		l, linked := s.linkNow()
		pause := time.Duration(0)
		if l != nil {
			pause = r.tell(ctx, l, standing{now, generation})
		}
		if pause > 0 {
			wait(ctx, pause)
			continue
		}
		minute := time.NewTimer(again)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-linked:
		case <-minute.C:
		}
		minute.Stop()
	}
	return nil
}

// standing is what the node said of its NICs.
type standing struct {
	nics       map[string]fleet.Status
	generation uint64
}

func (s *Source) linkNow() (*link, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link, s.linked
}

// tell sends what is news, and returns how long to wait before the next time.
func (r *reporter) tell(ctx context.Context, l *link, now standing) time.Duration {
	full := l != r.via || time.Since(r.full) >= again
	news, urgent := r.news(now.nics, full)
	switch gap := time.Since(r.last); {
	case len(news) == 0 && !full:
		return 0
	case !urgent && !full && gap < together:
		return together - gap
	}
	for _, report := range r.reports(news, now, full) {
		line, err := nodelink.Encode(&report)
		if err == nil {
			err = l.client.Report(ctx, l.node, line)
		}
		if err != nil {
			return later // the stream says what is wrong with the link
		}
	}
	r.via, r.sent, r.last = l, now.nics, time.Now()
	if full {
		r.full = r.last
	}
	return 0
}

// news are the NICs to tell of; urgent if a document has come into force.
func (r *reporter) news(now map[string]fleet.Status, full bool) (news []string, urgent bool) {
	for iface, is := range now {
		was, told := r.sent[iface]
		if full || !told || !same(was, is) {
			news = append(news, iface)
			urgent = urgent || !told || was.Revision != is.Revision
		}
	}
	slices.Sort(news)
	return news, urgent
}

func same(a, b fleet.Status) bool {
	return a.State == b.State && a.Reason == b.Reason && a.Why == b.Why && a.Revision == b.Revision
}

// reports puts together what to send, in parts that a controller takes.
func (r *reporter) reports(news []string, now standing, full bool) []nodelink.Report {
	head := r.head(now.generation)
	var list []nodelink.Report
	for part := range slices.Chunk(news, nodelink.MaxStatuses) {
		one := head
		for _, iface := range part {
			s := now.nics[iface]
			if s.NIC = r.named(iface); s.NIC == "" {
				continue // gone since
			}
			s.Node, s.Reported = head.Node, time.Now().UTC()
			r.Node.Describe(iface, &s)
			one.NICs = append(one.NICs, s)
		}
		list = append(list, one)
	}
	if len(list) == 0 {
		list = []nodelink.Report{head}
	}
	list[0].Full = full && len(list) == 1
	return list
}

// head is a report of the set that an update of ours was made of. What is said
// of it is on the disk by then.
func (r *reporter) head(update uint64) nodelink.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.reached) > 1 && r.reached[1].update <= update {
		r.reached = r.reached[1:]
	}
	h := nodelink.Report{Node: r.mark.Node, Version: r.host.Version, Kernel: r.host.Kernel}
	if len(r.reached) > 0 && r.reached[0].update <= update {
		at := r.reached[0].at
		h.Epoch, h.Generation, h.Digest = at.Epoch, at.Generation, at.Digest
	}
	for _, p := range r.prev.Problems[:min(len(r.prev.Problems), nodelink.MaxProblems)] {
		h.Problems = append(h.Problems, p.Error())
	}
	return h
}

// named is the controller's name of a NIC.
func (r *reporter) named(iface string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.set.entries[iface]; e != nil {
		return e.doc.Name
	}
	return ""
}
