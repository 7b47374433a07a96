package lock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// genMessage ends the notifications of every transaction, whoever made it.
const genMessage = netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWGEN)

// watchBuffer holds the notifications of a foreign reload of a large ruleset.
// When it overflows all the same, that is a wake and not a loss.
const watchBuffer = 4 << 20

// Watch calls wake after every nftables transaction that is not this Lock's
// own, and whenever one may have been missed, until ctx ends. It wakes once
// at the start, when the subscription stands. wake must not block; the answer
// to it is Read or Apply.
//
// The socket belongs to the network namespace of the calling thread.
func (l *Lock) Watch(ctx context.Context, wake func()) error {
	own, err := l.nl.GetPortID()
	if err != nil {
		return fmt.Errorf("watch nftables: %w", err)
	}
	for ctx.Err() == nil {
		nl, err := subscribe()
		if err != nil {
			return fmt.Errorf("watch nftables: %w", err)
		}
		wake()
		receive(ctx, nl, own, wake)
		nl.Close()
	}
	return nil
}

func subscribe() (*netlink.Conn, error) {
	nl, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	if err := nl.SetReadBuffer(watchBuffer); err != nil {
		nl.Close()
		return nil, fmt.Errorf("set read buffer: %w", err)
	}
	if err := nl.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		nl.Close()
		return nil, fmt.Errorf("join NFNLGRP_NFTABLES: %w", err)
	}
	return nl, nil
}

// receive reads until the socket fails or ctx ends.
func receive(ctx context.Context, nl *netlink.Conn, own uint32, wake func()) {
	stop := context.AfterFunc(ctx, func() { _ = nl.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		msgs, err := nl.Receive()
		switch {
		case errors.Is(err, unix.ENOBUFS):
			wake() // something was lost; the socket goes on
		case err != nil:
			return
		}
		for _, m := range msgs {
			if m.Header.Type == genMessage && m.Header.PID != own {
				wake()
				break
			}
		}
	}
}
