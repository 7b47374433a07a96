package api

import (
	"context"
	"sync"
)

// EventLog keeps the newest events in a ring for any number of readers. The
// ring is every reader's buffer: a reader holds only its place in it, so Add
// never waits for one and a thousand slow readers cost no memory. A reader
// that falls behind by more than the ring learns how many events it missed,
// because sequence numbers have no gaps.
type EventLog struct {
	mu   sync.Mutex
	ring []Event // the event with number s is at s % len
	last uint64  // number of the newest event, 0 before the first
	more chan struct{}
}

// NewEventLog returns a log that keeps the newest keep events, at least one.
func NewEventLog(keep int) *EventLog {
	return &EventLog{ring: make([]Event, max(keep, 1)), more: make(chan struct{})}
}

// Add numbers an event, keeps it and wakes the readers. It returns the number.
func (l *EventLog) Add(e Event) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	e.Seq = l.last
	l.ring[l.last%uint64(len(l.ring))] = e
	close(l.more)
	l.more = make(chan struct{})
	return l.last
}

// After returns up to max of the kept events above seq, and how many above seq
// are lost. A seq that was never given out is one of an earlier agent: then
// everything kept is news.
func (l *EventLog) After(_ context.Context, seq uint64, max int) (Batch, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if seq > l.last {
		seq = 0
	}
	b := Batch{More: l.more}
	if size := uint64(len(l.ring)); l.last > size && seq < l.last-size {
		b.Missed = l.last - size - seq
		seq = l.last - size
	}
	for s := seq + 1; s <= l.last && len(b.Events) < max; s++ {
		b.Events = append(b.Events, l.ring[s%uint64(len(l.ring))])
	}
	return b, nil
}
