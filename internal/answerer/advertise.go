package answerer

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"time"

	"github.com/berth-net/berth/internal/nd"
	"github.com/berth-net/berth/internal/reason"
)

const (
	// pace lies between any two unsolicited advertisements of this host: a
	// thousand NICs that are told at once are told within little more than a
	// second, and nothing else waits behind them.
	pace = time.Millisecond
	// withdrawFor is how long a prefix that was taken back is said to be gone:
	// a host does not believe a shorter remaining lifetime than two hours (RFC
	// 4862 section 5.5.3), and one that slept must hear it too.
	withdrawFor = 2 * time.Hour
)

// appointment is when a port is to be advertised to. It is void if the port
// has another one by now.
type appointment struct {
	at    time.Time
	index int
	port  *port
}

// schedule is a heap of appointments, the earliest first.
type schedule []appointment

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].at.Before(s[j].at) }
func (s schedule) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }

// Push implements heap.Interface.
func (s *schedule) Push(x any) { *s = append(*s, x.(appointment)) } //nolint:forcetypeassert // ours alone

// Pop implements heap.Interface.
func (s *schedule) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

// withdraw takes over from the port before what is to be said to be gone.
func (p *port) withdraw(old *port, now time.Time) {
	before := old.gone
	if now.After(old.goneUntil) {
		before = nd.Withdrawn{}
	}
	p.gone = nd.Withdraw(old.router(), p.router(), before)
	if !p.gone.IsZero() {
		p.goneUntil = now.Add(withdrawFor)
	}
}

// Running says on which ifindexes the guest's end is up: a NIC that comes up
// is advertised to at once, one that is down not at all.
func (a *Answerer) Running(up map[int]bool) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for index, p := range a.ports {
		if was := p.up; was != up[index] {
			p.up, p.sent = !was, 0
			a.plan(index, p, now)
		}
	}
}

// plan makes an appointment; a.mu is held.
func (a *Answerer) plan(index int, p *port, at time.Time) {
	p.next = time.Time{}
	first := p.sent == 0 && len(p.announcements()) > 0
	if !p.up || !first && len(nd.Advertisements(p.router(), p.gone)) == 0 {
		return
	}
	p.next = at
	heap.Push(&a.due, appointment{at, index, p})
	if a.due[0].port == p {
		select {
		case a.wake <- struct{}{}:
		default:
		}
	}
}

// Advertise sends unsolicited router advertisements (RFC 4861 section 6.2.4)
// until ctx ends, to each NIC at times of its own.
func (a *Answerer) Advertise(ctx context.Context) error {
	for {
		p, index, wait := a.first(time.Now())
		if p != nil {
			a.advertise(index, p)
			wait = pace
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-a.wakeUnless(p != nil):
			timer.Stop()
		}
	}
}

// wakeUnless keeps the pace: what is new waits for its turn.
func (a *Answerer) wakeUnless(pacing bool) <-chan struct{} {
	if pacing {
		return nil
	}
	return a.wake
}

// first takes the earliest port that is due, busy already, or says how long
// there is none.
func (a *Answerer) first(now time.Time) (*port, int, time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.due) > 0 {
		d := a.due[0]
		valid := a.ports[d.index] == d.port && d.port.next.Equal(d.at) && !d.port.held
		if valid && d.at.After(now) {
			return nil, 0, d.at.Sub(now)
		}
		heap.Pop(&a.due)
		if valid {
			d.port.busy.Lock()
			if now.After(d.port.goneUntil) {
				d.port.gone = nd.Withdrawn{}
			}
			return d.port, d.index, 0
		}
	}
	return nil, 0, time.Hour
}

// advertise is called with the port busy and frees it.
func (a *Answerer) advertise(index int, p *port) {
	if p.sent == 0 {
		for _, frame := range p.announcements() {
			_ = a.out.Send(index, frame) // the guest asks if it does not hear
		}
	}
	if ras := nd.Advertisements(p.router(), p.gone); len(ras) > 0 {
		x := Exchange{Index: index, NIC: p.name, Answer: "RA"}
		for _, r := range ras {
			if x.Err = a.out.Send(index, encodeND(r)); x.Err != nil {
				x.Reason = reason.SendFailed
				break
			}
		}
		a.report(x)
	}
	p.busy.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	p.sent++
	if a.ports[index] == p && !p.held {
		a.plan(index, p, time.Now().Add(p.interval()))
	}
}

// interval adds to nd's whole seconds what keeps NICs apart within one: less
// than a second sooner, or later where that would be sooner than three seconds.
func (p *port) interval() time.Duration {
	wait := time.Duration(nd.Interval(p.setting.Binding, p.sent, rand.Float64())) * time.Second
	apart := time.Duration(rand.Int64N(int64(time.Second)))
	if least := 3 * time.Second; wait-apart < least {
		return least + apart
	}
	return wait - apart
}
