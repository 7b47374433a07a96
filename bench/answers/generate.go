package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// order is what one run of the generator does.
type order struct {
	Iface       string
	Family      int    // 4 or 6
	Mode        string // what an exchange is: lease, renew
	Echo        bool   // the answers are the requests, sent back
	Outstanding int
	Clients     int // MACs, each with its own address
	First       int // the first client's number
	Ready       time.Duration
	GiveUp      time.Duration // how long an answer may take
	Warm, For   time.Duration
}

// sample is what one run of the generator measured.
type sample struct {
	Exchanges   int     `json:"exchanges"` // in Seconds, complete and right
	Seconds     float64 `json:"seconds"`
	All         int     `json:"all"`    // with those of warming up
	P50         float64 `json:"p50_us"` // of one exchange
	P99         float64 `json:"p99_us"`
	Longest     float64 `json:"longest_ms"` // without any exchange's end
	SenderCPU   float64 `json:"sender_us"`  // of the generator's process, an exchange
	Lost        int     `json:"lost"`
	Wrong       int     `json:"wrong"`
	FirstBad    string  `json:"first_bad,omitempty"`
	AnswerBytes int     `json:"answer_bytes"` // the first answer's frame
}

// rate is exchanges a second.
func (s sample) rate() float64 { return float64(s.Exchanges) / s.Seconds }

func (o *order) flags(f *flag.FlagSet) {
	f.StringVar(&o.Iface, "iface", "eth0", "interface towards the server")
	f.IntVar(&o.Family, "family", 4, "4 or 6")
	f.StringVar(&o.Mode, "mode", lease, "lease (4 messages) or renew (2)")
	f.BoolVar(&o.Echo, "echo", false, "the answers are the requests, unchanged")
	f.IntVar(&o.Outstanding, "outstanding", 1, "exchanges under way")
	f.IntVar(&o.Clients, "clients", 1, "clients, each with its own MAC")
	f.IntVar(&o.First, "first", 0, "the first client's number")
	f.DurationVar(&o.GiveUp, "give-up", time.Second, "how long an answer may take before its exchange is lost")
	f.DurationVar(&o.Ready, "ready", 15*time.Second, "how long the first right answer may take")
	f.DurationVar(&o.Warm, "warm", 300*time.Millisecond, "load before measuring")
	f.DurationVar(&o.For, "for", 2*time.Second, "how long to measure")
}

func (o *order) args() []string {
	return []string{
		"generate", "-iface", o.Iface, "-family", fmt.Sprint(o.Family), "-mode", o.Mode, fmt.Sprintf("-echo=%v", o.Echo),
		"-outstanding", fmt.Sprint(o.Outstanding), "-clients", fmt.Sprint(o.Clients),
		"-first", fmt.Sprint(o.First), "-give-up", o.GiveUp.String(), "-ready", o.Ready.String(), "-warm", o.Warm.String(), "-for", o.For.String(),
	}
}

// generate is the generator's whole life: it prints one sample as JSON.
func generate(args []string, out io.Writer) error {
	var o order
	f := flag.NewFlagSet("generate", flag.ContinueOnError)
	o.flags(f)
	if err := f.Parse(args); err != nil {
		return err
	}
	runtime.LockOSThread()
	debug.SetGCPercent(-1) // a pause would be the server's latency
	s, err := o.measure()
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(s)
}

// Modes of an exchange.
const (
	lease = "lease"
	renew = "renew"
)

func (o *order) measure() (sample, error) {
	conn, err := dial(o.Iface)
	if err != nil {
		return sample{}, err
	}
	var clients []client
	for i := range min(o.Clients, maxSlots/2) {
		clients = append(clients, newClient(o.First+i))
	}
	near := newNeighbours(clients)
	first := o.first(clients[0])
	frame, err := ask(conn, near, first, o.Ready)
	if err != nil {
		return sample{}, err
	}
	server, _ := option6(frame[min(len(frame), ethHeader+ip6Header+udpHeader+4):], 2) // of DHCPv6
	l := newLoad(conn, near, o.Outstanding, func(i int) []*message {
		return o.exchange(clients[i%len(clients)], server)
	})
	l.giveUp = o.GiveUp
	s, err := o.timed(l)
	s.AnswerBytes = len(frame)
	return s, err
}

func (o *order) first(c client) *message {
	m := c.discover4()
	if o.Family == 6 {
		m = c.solicit6()
	}
	m.want.echo = o.Echo
	return m
}

// exchange returns the messages of one exchange of a client.
func (o *order) exchange(c client, server []byte) []*message {
	var all []*message
	switch {
	case o.Family == 4 && o.Mode == renew:
		all = []*message{c.renew4()}
	case o.Family == 4:
		all = []*message{c.discover4(), c.select4()}
	case o.Mode == renew:
		all = []*message{c.renew6(server)}
	default:
		all = []*message{c.solicit6(), c.select6(server)}
	}
	for _, m := range all {
		m.want.echo = o.Echo
	}
	return all
}

// timed warms up and measures.
func (o *order) timed(l *load) (sample, error) {
	l.times = make([]uint32, 0, 4<<20)
	begin := time.Now().Add(o.Warm)
	l.since = begin
	if err := l.run(begin); err != nil {
		return sample{}, err
	}
	warm, cpu, start := l.Exchanges, ownCPU(), time.Now()
	if err := l.run(start.Add(o.For)); err != nil {
		return sample{}, err
	}
	took, used := time.Since(start), ownCPU()-cpu
	s := sample{
		Exchanges: l.Exchanges - warm, Seconds: took.Seconds(), All: l.Exchanges,
		Lost: l.Lost, Wrong: l.Wrong, FirstBad: l.FirstBad,
		P50: micros(l.quantile(0.5)), P99: micros(l.quantile(0.99)), Longest: micros(l.longest) / 1000,
	}
	if s.Exchanges == 0 {
		return s, fmt.Errorf("no exchange in %v: %d lost, %d wrong, first %q", took, l.Lost, l.Wrong, l.FirstBad)
	}
	s.SenderCPU = micros(used) / float64(s.Exchanges)
	return s, nil
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// ask sends a message until the right answer comes, and returns that.
func ask(c *conn, near neighbours, m *message, limit time.Duration) ([]byte, error) {
	l := newLoad(c, near, 1, func(int) []*message { return []*message{m} })
	bad := errors.New("no answer")
	for begin := time.Now(); time.Since(begin) < limit; {
		if err := l.send(l.slots[0], time.Now()); err != nil {
			return nil, err
		}
		if err := c.flush(); err != nil {
			return nil, err
		}
		frame, err := l.await(2 * patience)
		if frame != nil {
			return frame, nil
		}
		if err != nil {
			bad = err
		}
	}
	return nil, fmt.Errorf("no right answer within %v: %w", limit, bad)
}

// await returns the right answer to slot 0, else what was wrong with the last
// other one.
func (l *load) await(limit time.Duration) (frame []byte, bad error) {
	s := l.slots[0]
	for begin := time.Now(); time.Since(begin) < limit; {
		n, err := l.conn.receive()
		if err != nil {
			return nil, err
		}
		for i := range n {
			f := l.conn.rx.frame(i)
			if id, ok := xidOf(f); ok && id == s.id {
				if bad = s.messages[0].check(f); bad == nil {
					return append([]byte{}, f...), nil
				}
				continue
			}
			if reply := l.near.answer(f); reply != nil {
				bad = errors.Join(bad, l.conn.queue(reply), l.conn.flush())
			}
		}
	}
	return nil, bad
}

// ownCPU is what this process has used of the CPUs, user and system.
func ownCPU() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		return 0 // cannot fail for this clock
	}
	return time.Duration(t.Nano())
}
