package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// watched is a line of what a watch prints: an address that an OFFER gave for
// the first time since another one, or at the end the sum of it all.
type watched struct {
	At      int64      `json:"at"` // monotonic clock, ns
	Addr    netip.Addr `json:"addr,omitzero"`
	Sent    int        `json:"sent,omitempty"` // requests, 0 until the end
	Lost    int        `json:"lost"`           // of them without a right answer
	Wrong   int        `json:"wrong"`
	Longest float64    `json:"longest_ms"` // between two right answers
}

// watch asks for a lease every so often, whether or not answers come, and
// says when the address in them changes. It ends when its standard input does.
type watch struct {
	conn    *conn
	near    neighbours
	wants   []*message // the DISCOVER with each address that may be offered
	every   time.Duration
	out     *json.Encoder
	pending map[uint32]bool
	id      uint32
	current netip.Addr
	last    time.Time
	watched
}

func watchCommand(args []string, out io.Writer) error {
	f := flag.NewFlagSet("watch", flag.ContinueOnError)
	iface := f.String("iface", "eth0", "interface towards the server")
	number := f.Int("client", 0, "which client asks")
	every := f.Duration("every", time.Millisecond, "time between two questions")
	addrs := f.String("addresses", "", "comma-separated right addresses; the client's if empty")
	if err := f.Parse(args); err != nil {
		return err
	}
	conn, err := dial(*iface)
	if err != nil {
		return err
	}
	c := newClient(*number)
	w := &watch{conn: conn, near: newNeighbours([]client{c}), every: *every, out: json.NewEncoder(out), pending: map[uint32]bool{}}
	if *addrs == "" {
		*addrs = c.addr4.String()
	}
	for a := range strings.SplitSeq(*addrs, ",") {
		if c.addr4, err = netip.ParseAddr(a); err != nil {
			return err
		}
		w.wants = append(w.wants, c.discover4())
	}
	return w.run()
}

func (w *watch) run() error {
	next := time.Now()
	for {
		now := time.Now()
		if !now.Before(next) {
			if err := w.ask(); err != nil {
				return err
			}
			next = next.Add(w.every)
		}
		ended, err := w.wait(time.Until(next))
		if err != nil {
			return err
		}
		if err := w.take(); err != nil {
			return err
		}
		if ended {
			return w.finish()
		}
	}
}

// wait waits for a frame, up to d; ended is that nobody listens any more.
func (w *watch) wait(d time.Duration) (ended bool, err error) {
	fds := []unix.PollFd{{Fd: 0, Events: unix.POLLIN}, {Fd: int32(w.conn.fd), Events: unix.POLLIN}}
	limit := unix.NsecToTimespec(max(d, 0).Nanoseconds())
	_, err = unix.Ppoll(fds, &limit, nil)
	if errors.Is(err, unix.EINTR) {
		return false, nil
	}
	return fds[0].Revents != 0, err
}

func (w *watch) ask() error {
	w.id++
	w.pending[w.id] = true
	w.Sent++
	w.wants[0].stamp(w.id)
	return errors.Join(w.conn.queue(w.wants[0].frame), w.conn.flush())
}

// take looks at all that has come.
func (w *watch) take() error {
	n, errno := w.conn.recvmmsg(unix.MSG_DONTWAIT)
	if errno != 0 {
		return nil // nothing, or the interface is gone for now
	}
	now := time.Now()
	for i := range n {
		frame := w.conn.rx.frame(i)
		id, ok := xidOf(frame)
		if !ok {
			if reply := w.near.answer(frame); reply != nil {
				return errors.Join(w.conn.queue(reply), w.conn.flush())
			}
			continue
		}
		if w.pending[id] {
			if err := w.judge(id, frame, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// judge takes the answer to question id.
func (w *watch) judge(id uint32, frame []byte, now time.Time) error {
	i := slices.IndexFunc(w.wants, func(m *message) bool { return m.check(frame) == nil })
	if i < 0 {
		w.Wrong++
		return nil
	}
	delete(w.pending, id)
	if !w.last.IsZero() {
		w.Longest = max(w.Longest, micros(now.Sub(w.last))/1000)
	}
	w.last = now
	if w.current == w.wants[i].want.addr {
		return nil
	}
	w.current = w.wants[i].want.addr
	return w.out.Encode(watched{At: monotonic(), Addr: w.current})
}

// finish gives the last answers time to come.
func (w *watch) finish() error {
	for until := time.Now().Add(4 * patience); time.Now().Before(until); {
		fds := []unix.PollFd{{Fd: int32(w.conn.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, 10); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if err := w.take(); err != nil {
			return err
		}
	}
	w.At, w.Lost = monotonic(), len(w.pending)
	return w.out.Encode(w.watched)
}

// monotonic is the clock that all processes share.
func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0 // cannot fail for this clock
	}
	return t.Nano()
}

// watcher is a watch in the guest, as its owner sees it.
type watcher struct {
	in    io.Closer
	lines *json.Decoder
	wait  func() error
}

// watch starts one at interface number i of the guest.
func (s *stage) watch(i int, every time.Duration, addrs ...string) (*watcher, error) {
	cmd, err := s.self("watch", "-iface", fmt.Sprintf("eth%d", i), "-client", fmt.Sprint(i), "-every", every.String(),
		"-addresses", strings.Join(addrs, ","))
	if err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &watcher{in: in, lines: json.NewDecoder(out), wait: cmd.Wait}, s.inGuest(cmd.Start)
}

// next returns when an address was first offered.
func (w *watcher) next() (watched, error) {
	var v watched
	return v, w.lines.Decode(&v)
}

// stop returns the sum of it all.
func (w *watcher) stop() (watched, error) {
	err := w.in.Close()
	for {
		v, bad := w.next()
		if err = errors.Join(err, bad); err != nil {
			return v, err
		}
		if v.Sent > 0 {
			return v, w.wait()
		}
	}
}
