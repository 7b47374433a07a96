package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/etcd"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/wire"
)

const (
	historyKeys  = "h/"
	decisionKeys = "d/"
	tenureKeys   = "w/"
	// firstSpan is how far the first look back in time goes.
	firstSpan = 10 * time.Minute
	// skew is how far apart the clocks of replicas may be: keys are in the order
	// of their clocks, revisions in that of the store.
	skew = time.Minute
)

// HistoryQuery selects revisions by what is not zero.
type HistoryQuery struct {
	Kind     fleet.Kind
	Name     string
	Actor    string
	From, To time.Time
	Limit    int
	// Sees says which edits may be shown; revisions without any are left out.
	Sees func(fleet.Edit) bool
}

// History returns changes, newest first.
func (r *Replica) History(ctx context.Context, q HistoryQuery) ([]fleet.Revision, error) {
	out := []fleet.Revision{}
	err := r.back(ctx, q.From, q.To, func(rev fleet.Revision) bool {
		if q.Actor != "" && rev.Actor != q.Actor {
			return true
		}
		rev.Changes = slices.DeleteFunc(rev.Changes, func(e fleet.Edit) bool {
			return q.Kind != "" && e.Kind != q.Kind || q.Name != "" && e.Name != q.Name || q.Sees != nil && !q.Sees(e)
		})
		if len(rev.Changes) > 0 {
			out = append(out, rev)
		}
		return q.Limit == 0 || len(out) < q.Limit
	})
	return out, err
}

// back goes through history from its end, or from a time, until the function
// says that it is enough.
func (r *Replica) back(ctx context.Context, from, to time.Time, more func(fleet.Revision) bool) error {
	return r.backKeys(ctx, span{historyKeys, from, to}, func(e etcd.Event) (bool, error) {
		rev, err := revisionOf(e)
		return err == nil && more(rev), err
	})
}

// span is part of the keys that a Moment follows.
type span struct {
	prefix   string
	from, to time.Time // zero: without bound
}

// mostRecords are read at once, but for those of the same moment: there may be
// millions, and anybody may ask for what none of them has.
const mostRecords = 500

// scans is how many go through the records at a time.
const scans = 4

// backKeys reads ever longer spans of time, as long as there is little in them:
// the store would sort all that it has, to give the newest first.
func (r *Replica) backKeys(ctx context.Context, s span, more func(etcd.Event) (bool, error)) error {
	select {
	case r.scanning <- struct{}{}:
		defer func() { <-r.scanning }()
	case <-ctx.Done():
		return fmt.Errorf("%w: too many look at what was: %w", ErrUnavailable, ctx.Err())
	}
	if latest := r.now().Add(skew); s.to.IsZero() || s.to.After(latest) {
		s.to = latest
	}
	if oldest := r.now().Add(-r.opts.Retention - 2*keepEvery); s.from.Before(oldest) {
		s.from = oldest
	}
	for width := firstSpan; s.from.Before(s.to); {
		first := s.to.Add(-width)
		if first.Before(s.from) {
			first = s.from
		}
		limit := mostRecords
		if width < time.Microsecond {
			limit = 0
		}
		events, _, err := r.store.Range(ctx, s.prefix+etcd.Moment(first), s.prefix+etcd.Moment(s.to), etcd.RangeOptions{Limit: limit})
		if err != nil {
			return unavailable(err)
		}
		if limit > 0 && len(events) == limit {
			width /= 4 // there are more, and those are the newer ones
			continue
		}
		if len(events) < mostRecords/4 {
			width *= 2
		}
		for _, e := range slices.Backward(events) {
			if len(e.Value) == 0 {
				continue // the mark of a change that was not made
			}
			if on, err := more(e); !on || err != nil {
				return err
			}
		}
		s.to = first
	}
	return nil
}

func revisionOf(e etcd.Event) (fleet.Revision, error) {
	var rev fleet.Revision
	if err := json.Unmarshal(e.Value, &rev); err != nil {
		return rev, fmt.Errorf("%s: %w", e.Key, err)
	}
	rev.Number = e.ModRevision
	return rev, nil
}

// Decisions returns answers of policies, newest first.
func (r *Replica) Decisions(ctx context.Context, limit int, sees func(project string) bool) ([]fleet.Decision, error) {
	out := []fleet.Decision{}
	err := r.backKeys(ctx, span{prefix: decisionKeys}, func(e etcd.Event) (bool, error) {
		var d fleet.Decision
		if err := json.Unmarshal(e.Value, &d); err != nil {
			return false, fmt.Errorf("%s: %w", e.Key, err)
		}
		if d.Allowed {
			d.Revision = e.ModRevision
		}
		if sees(d.Project) {
			out = append(out, d)
		}
		return len(out) < limit, nil
	})
	return out, err
}

// Had asks who had an address: at a time, or, for a zero time, ever.
type Had struct {
	Address netip.Addr
	Network string // "": whichever has it
	At      time.Time
}

// remembered are the networks of which there are tenures.
func (r *Replica) remembered(ctx context.Context) ([]string, error) {
	var names []string
	for from := tenureKeys; ; {
		events, _, err := r.store.Range(ctx, from, fleet.After(tenureKeys), etcd.RangeOptions{Limit: 1, KeysOnly: true})
		if err != nil {
			return nil, unavailable(err)
		}
		if len(events) == 0 {
			return names, nil
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(events[0].Key, tenureKeys), "/")
		names, from = append(names, name), fleet.After(tenureKeys+name+"/")
	}
}

// tenures reads those of an address in some networks, newest first.
func (r *Replica) tenures(ctx context.Context, w Had, networks []string) ([]fleet.Tenure, error) {
	out := []fleet.Tenure{}
	for _, network := range networks {
		prefix := fleet.TenuresKey(network, w.Address)
		events, _, err := r.store.Range(ctx, prefix, fleet.After(prefix), etcd.RangeOptions{})
		if err != nil {
			return nil, unavailable(err)
		}
		for _, e := range events {
			var t fleet.Tenure
			if err := json.Unmarshal(e.Value, &t); err != nil {
				return nil, fmt.Errorf("%s: %w", e.Key, err)
			}
			if w.At.IsZero() || !w.At.Before(t.From) && (t.To == nil || w.At.Before(*t.To)) {
				out = append(out, t)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b fleet.Tenure) int { return b.From.Compare(a.From) })
	return out, nil
}

// Point is a moment: a revision or, if that is 0, a time; neither is now.
type Point struct {
	Revision int64
	Time     time.Time
}

// after reports whether a change came behind the point.
func (p Point) after(rev *fleet.Revision) bool {
	switch {
	case p.Revision != 0:
		return rev.Number > p.Revision
	case !p.Time.IsZero():
		return rev.Time.After(p.Time)
	default:
		return false
	}
}

// past reports whether all changes before this one were at or before the point.
func (p Point) past(rev *fleet.Revision, seen *time.Time) bool {
	if p.after(rev) {
		return false
	}
	if seen.IsZero() {
		*seen = rev.Time
	}
	return rev.Time.Before(seen.Add(-skew))
}

// Diff returns what is different between two moments, one edit for each
// resource that is. It goes back as far as the history does.
func (r *Replica) Diff(ctx context.Context, from, to Point) (wire.Diff, error) {
	d := wire.Diff{From: from.Revision, To: to.Revision, Edits: []fleet.Edit{}}
	at := map[string]int{}
	var seen time.Time
	err := r.back(ctx, time.Time{}, time.Time{}, func(rev fleet.Revision) bool {
		if from.after(&rev) && !to.after(&rev) {
			d.To = max(d.To, rev.Number)
			gather(&d, at, rev.Changes)
		}
		if !from.after(&rev) {
			d.From = max(d.From, rev.Number)
		}
		return !from.past(&rev, &seen)
	})
	d.Edits = slices.DeleteFunc(d.Edits, func(e fleet.Edit) bool { return string(e.Before) == string(e.After) })
	return d, err
}

// gather joins older edits to those that are there.
func gather(d *wire.Diff, at map[string]int, older []fleet.Edit) {
	for _, e := range older {
		key := string(e.Kind) + "/" + e.Name
		i, known := at[key]
		if !known {
			at[key] = len(d.Edits)
			d.Edits = append(d.Edits, e)
			continue
		}
		d.Edits[i].Before = e.Before
	}
}

// ErrNever says that a resource was not there at that revision.
var ErrNever = errors.New("it was not there then")

// as returns a resource as it was right after a revision.
func (r *Replica) as(ctx context.Context, kind fleet.Kind, name string, revision int64) (fleet.Resource, error) {
	var doc json.RawMessage
	var newer *fleet.Edit // the oldest one behind the revision
	known := false
	point, seen := Point{Revision: revision}, time.Time{}
	best := int64(-1)
	err := r.back(ctx, time.Time{}, time.Time{}, func(rev fleet.Revision) bool {
		for _, e := range rev.Changes {
			switch {
			case e.Kind != kind || e.Name != name:
			case point.after(&rev):
				newer = &e
			case rev.Number > best:
				best, doc, known = rev.Number, e.After, true
			}
		}
		return !known || !point.past(&rev, &seen)
	})
	if err != nil {
		return nil, err
	}
	switch {
	case known:
	case newer != nil:
		doc = newer.Before
	default:
		// Whatever it is now, it is since before the history begins.
		if res := r.Get(kind, name); res != nil {
			return res, nil
		}
	}
	if doc == nil {
		return nil, fmt.Errorf("%s %s at revision %d: %w", kind, name, revision, ErrNever)
	}
	return fleet.Load(kind, doc)
}

// wish is what is written to have a resource as it was. A NIC that does not have
// what it was granted then asks for exactly that.
func wish(then, now fleet.Resource) (fleet.Resource, error) {
	doc, err := fleet.Encode(then)
	if err != nil {
		return nil, err
	}
	res, err := fleet.Load(then.Header().Kind, doc)
	if err != nil {
		return nil, err
	}
	res.Header().Meta = nil
	if n, ok := res.(*fleet.NIC); ok {
		has, _ := now.(*fleet.NIC)
		if n.Granted != nil && (has == nil || has.Granted == nil || !sameGrant(has.Granted, n.Granted)) {
			n.MAC, n.Addresses = &n.Granted.MAC, nil
			for _, p := range n.Granted.Addresses {
				n.Addresses = append(n.Addresses, p.Addr().String())
			}
		}
		n.Granted, n.Migration = nil, nil
	}
	return res, nil
}

func sameGrant(a, b *fleet.Granted) bool {
	// A prefix may have got another length since.
	return a.MAC == b.MAC && slices.EqualFunc(a.Addresses, b.Addresses, func(a, b netip.Prefix) bool { return a.Addr() == b.Addr() })
}

// Then returns what is to be written to restore a resource to what it was right
// after a revision.
func (r *Replica) Then(ctx context.Context, kind fleet.Kind, name string, revision int64) (fleet.Resource, error) {
	then, err := r.as(ctx, kind, name, revision)
	if err != nil {
		return nil, err
	}
	return wish(then, r.Get(kind, name))
}
