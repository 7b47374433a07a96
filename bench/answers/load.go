package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// maxSlots is what the low octet of a transaction id can name.
const maxSlots = 256

// load keeps one exchange of every slot under way: as soon as one is over the
// next begins. The low octet of a transaction id is its slot.
type load struct {
	conn  *conn
	near  neighbours
	slots []*slot
	// giveUp is how long an answer may take before its exchange is lost.
	giveUp time.Duration
	tally
}

// slot is one outstanding exchange.
type slot struct {
	messages []*message
	at       int // the message under way
	id       uint32
	begun    time.Time // of the exchange
	sent     time.Time // of the message
}

// tally is how exchanges ended.
type tally struct {
	Exchanges int           // complete and right
	Lost      int           // an answer did not come in time
	Wrong     int           // an answer was not the right one
	FirstBad  string        // what was wrong with the first of those
	times     []uint32      // of the complete ones, in ns
	since     time.Time     // what began earlier has no time in times
	longest   time.Duration // between two ends of exchanges
	last      time.Time     // end of one
}

// newLoad makes a load of n slots; exchange returns the messages of slot i.
func newLoad(c *conn, near neighbours, n int, exchange func(i int) []*message) *load {
	l := &load{conn: c, near: near, giveUp: time.Second}
	for i := range min(n, maxSlots) {
		l.slots = append(l.slots, &slot{messages: exchange(i), id: rand.Uint32()<<8 | uint32(i)})
	}
	return l
}

// run keeps the load up until a moment. The exchanges under way at its end are
// neither complete nor lost.
func (l *load) run(until time.Time) error {
	now := time.Now()
	for _, s := range l.slots {
		if err := l.begin(s, now); err != nil {
			return err
		}
	}
	for checked := now; now.Before(until); {
		if err := l.conn.flush(); err != nil {
			return err
		}
		n, err := l.conn.receive()
		if err != nil {
			return err
		}
		now = time.Now()
		for i := range n {
			if err := l.take(l.conn.rx.frame(i), now); err != nil {
				return err
			}
		}
		if now.Sub(checked) > patience {
			checked = now
			if err := l.expire(now); err != nil {
				return err
			}
		}
	}
	return l.conn.flush()
}

func (l *load) begin(s *slot, now time.Time) error {
	s.at, s.begun = 0, now
	return l.send(s, now)
}

// send sends the slot's message under a new transaction id.
func (l *load) send(s *slot, now time.Time) error {
	s.id += maxSlots
	if s.messages[s.at].width == 3 {
		s.id &= 0xffffff
	}
	s.sent = now
	m := s.messages[s.at]
	m.stamp(s.id)
	return l.conn.queue(m.frame)
}

// take looks at one frame that came in.
func (l *load) take(frame []byte, now time.Time) error {
	id, ok := xidOf(frame)
	if !ok {
		if reply := l.near.answer(frame); reply != nil {
			return l.conn.queue(reply)
		}
		return nil
	}
	i := int(id % maxSlots)
	if i >= len(l.slots) || l.slots[i].id != id {
		return nil // late, or of an earlier load
	}
	s := l.slots[i]
	if err := s.messages[s.at].check(frame); err != nil {
		return l.refuse(s, err)
	}
	s.at++
	if s.at < len(s.messages) {
		return l.send(s, now)
	}
	l.done(s, now)
	return l.begin(s, now)
}

// refuse counts a wrong answer; its exchange waits on for the right one.
func (l *load) refuse(s *slot, err error) error {
	if errors.Is(err, errNotOurs) {
		return nil
	}
	l.Wrong++
	if l.FirstBad == "" {
		l.FirstBad = fmt.Sprintf("message %d: %v", s.at, err)
	}
	return nil
}

func (t *tally) done(s *slot, now time.Time) {
	t.Exchanges++
	if !t.last.IsZero() {
		t.longest = max(t.longest, now.Sub(t.last))
	}
	t.last = now
	if !s.begun.Before(t.since) {
		t.times = append(t.times, uint32(now.Sub(s.begun)))
	}
}

// expire gives up what has waited for too long, and begins anew.
func (l *load) expire(now time.Time) error {
	for _, s := range l.slots {
		if now.Sub(s.sent) < l.giveUp {
			continue
		}
		l.Lost++
		if err := l.begin(s, now); err != nil {
			return err
		}
	}
	return nil
}

// quantile returns the time under which a share of the exchanges was over;
// it sorts the times.
func (t *tally) quantile(share float64) time.Duration {
	if len(t.times) == 0 {
		return 0
	}
	slices.Sort(t.times)
	return time.Duration(t.times[int(share*float64(len(t.times)-1))])
}
