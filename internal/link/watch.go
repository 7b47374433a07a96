package link

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	defaultBuffer = 8 << 20
	defaultPeriod = 30 * time.Second

	// pace is the least time between two wakes. The first event of a storm
	// wakes at once, the rest of it at this pace.
	pace = 10 * time.Millisecond
)

// Run calls wake when links or their IPv4 addresses may have changed, and
// every Period, until ctx ends. A lost event, or a broken socket, is a wake:
// the socket is opened again first, so what changes after the wake is seen.
// It wakes once at the start. wake must not block for long; the answer to it
// is Dump.
//
// The socket belongs to the network namespace of the calling thread. An error
// means that no socket can be had.
func (w *Watcher) Run(ctx context.Context, wake func()) error {
	for ctx.Err() == nil {
		c, err := w.subscribe()
		if err != nil {
			return fmt.Errorf("watch links: %w", err)
		}
		wake()
		r := receiver{conn: c, wake: wake, period: w.period()}
		r.run(ctx)
		c.Close()
		pause(ctx)
	}
	return nil
}

// pause keeps the pace also when every socket fails at once.
func pause(ctx context.Context) {
	t := time.NewTimer(pace)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (w *Watcher) period() time.Duration {
	if w.Period > 0 {
		return w.Period
	}
	return defaultPeriod
}

func (w *Watcher) subscribe() (*netlink.Conn, error) {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	size := w.ReceiveBuffer
	if size == 0 {
		size = defaultBuffer
	}
	if err := c.SetReadBuffer(size); err != nil {
		c.Close()
		return nil, fmt.Errorf("set receive buffer of %d: %w", size, err)
	}
	for _, group := range []uint32{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR} {
		if err := c.JoinGroup(group); err != nil {
			c.Close()
			return nil, fmt.Errorf("join group %d: %w", group, err)
		}
	}
	return c, nil
}

// receiver turns the events of one socket into paced wakes.
type receiver struct {
	conn   *netlink.Conn
	wake   func()
	period time.Duration

	last    time.Time // of the latest wake
	pending bool      // events since
}

// run returns when the socket fails, also by a full buffer (ENOBUFS), or ctx
// ends.
func (r *receiver) run(ctx context.Context) {
	r.last = time.Now()
	stop := context.AfterFunc(ctx, func() { r.conn.Close() })
	defer stop()
	for ctx.Err() == nil {
		if err := r.conn.SetReadDeadline(r.due()); err != nil {
			return
		}
		_, err := r.conn.Receive()
		switch {
		case err == nil:
			r.pending = true
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return
		}
		if now := time.Now(); !now.Before(r.due()) {
			r.wake()
			r.last, r.pending = now, false
		}
	}
}

// due is when to wake, as far as is known now.
func (r *receiver) due() time.Time {
	if r.pending {
		return r.last.Add(pace)
	}
	return r.last.Add(r.period)
}
