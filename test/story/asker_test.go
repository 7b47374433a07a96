package story_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"
)

// asker is a guest that asks the next thing once it is answered, a few in turn
// every millisecond: it discovers, selects, reboots and renews, and counts what
// was not answered with its address within a second (RFC 2131 4.1: a client
// would ask again after four).
type asker struct {
	t        testing.TB
	fd       int
	own      net.IP
	messages [][]byte // frames but for the transaction
	stop     chan struct{}
	ended    sync.WaitGroup

	answered, lost int
	longest        time.Duration
}

const askEvery = time.Millisecond

// inTurn is how much each guest asks: all of them together several thousand a
// second, as far as a test machine can spare; with 64 tens of thousands.
var inTurn = flag.Int("in-turn", 4, "questions that a guest asks in a millisecond while berthd is replaced")

// ask starts asking, until halt or the test's end.
func ask(t testing.TB, g *guest) *asker {
	t.Helper()
	own := net.IP(g.addr.AsSlice())
	a := &asker{t: t, own: own, stop: make(chan struct{})}
	server := dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IP{192, 0, 2, 1}))
	wanted := dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(own))
	a.messages = [][]byte{
		g.broadcast(g.request(t, dhcpv4.MessageTypeDiscover)),
		g.broadcast(g.request(t, dhcpv4.MessageTypeRequest, server, wanted)),
		g.broadcast(g.request(t, dhcpv4.MessageTypeRequest, wanted)),
		g.unicast(g.request(t, dhcpv4.MessageTypeRequest, dhcpv4.WithClientIP(own)), "192.0.2.1"),
	}
	g.Do(func() { a.fd = openAsker(t, g.Index("eth0")) })
	a.ended.Go(a.run)
	t.Cleanup(a.halt)
	return a
}

// openAsker opens a socket that waits for at most a tenth of a second.
func openAsker(t testing.TB, index int) int {
	t.Helper()
	const all = unix.ETH_P_IP<<8&0xff00 | unix.ETH_P_IP>>8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = errors.Join(
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}),
			unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}))
	}
	if err != nil {
		t.Fatalf("open an asker's socket: %v", err)
	}
	return fd
}

func (a *asker) run() {
	defer unix.Close(a.fd)
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for n := uint32(0); ; {
		select {
		case <-a.stop:
			return
		case <-tick.C:
		}
		for range *inTurn {
			n++
			a.exchange(n)
		}
	}
}

// exchange asks one thing and counts what becomes of it.
func (a *asker) exchange(n uint32) {
	began := time.Now()
	if a.gets(a.messages[n%uint32(len(a.messages))], n) {
		a.answered++
		a.longest = max(a.longest, time.Since(began))
		return
	}
	a.lost++
}

// gets reports whether a message, as transaction n, is answered in time.
func (a *asker) gets(message []byte, n uint32) bool {
	const checksum, xid, yiaddr = 40, 14 + 20 + 8 + 4, 14 + 20 + 8 + 16
	f := bytes.Clone(message)
	binary.BigEndian.PutUint32(f[xid:], n)
	f[checksum], f[checksum+1] = 0, 0 // there is none
	if _, err := unix.Write(a.fd, f); err != nil {
		a.t.Errorf("ask: %v", err)
		return false
	}
	b := make([]byte, 2048)
	for begin := time.Now(); time.Since(begin) < time.Second; {
		got, err := unix.Read(a.fd, b)
		if err == nil && got > yiaddr+4 && b[23] == unix.IPPROTO_UDP && bytes.Equal(b[34:36], []byte{0, 67}) &&
			bytes.Equal(b[xid:xid+4], f[xid:xid+4]) {
			return bytes.Equal(b[yiaddr:yiaddr+4], a.own)
		}
	}
	return false
}

// halt ends it.
func (a *asker) halt() {
	select {
	case <-a.stop:
	default:
		close(a.stop)
	}
	a.ended.Wait()
}
