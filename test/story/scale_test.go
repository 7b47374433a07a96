package story_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/testenv"
)

// TestAdvertisingToAThousand: a thousand NICs, all there when berthd starts,
// whose guests never ask, told every four seconds. All are told again and again,
// each at times of its own, and at no moment, the first included, so many at
// once that the host has nothing else to do.
func TestAdvertisingToAThousand(t *testing.T) {
	t.Parallel()
	const many, rounds = 1000, 4
	n := newNode(t, "log: {level: warn}\n")
	guests := testenv.NewNS(t)
	guests.Sysctl("net.ipv6.conf.default.disable_ipv6", "1")
	text, links, up := strings.Builder{}, strings.Builder{}, strings.Builder{}
	for i := range many {
		mac := fmt.Sprintf("52:54:00:dd:%02x:%02x", i>>8, i&255)
		fmt.Fprintf(&text, "---\nnic: tap%d\nmac: %s\naddresses: [\"2001:db8:1::%x/64\"]\ngateway6: fe80::1\nra: {interval: 4s}\n", i, mac, i+0x100)
		fmt.Fprintf(&links, "link add tap%d up type veth peer name g%d address %s netns %s\n", i, i, mac, guests.Name)
		fmt.Fprintf(&up, "link set g%d up\n", i)
	}
	n.batch(links.String())
	n.batchIn(guests, up.String())
	ear := hearAll(t, guests)
	n.write("all.yaml", text.String())
	n.start()
	testenv.Wait(t, 120*time.Second, fmt.Sprintf("%d advertisements to each NIC", rounds), func() bool {
		told := ear.told()
		return len(told) == many && !slices.ContainsFunc(told, func(times []time.Time) bool { return len(times) < rounds })
	})
	f := figuresOf(ear.stop())
	t.Logf("%d advertisements, %d to %d a NIC; interval %v to %v, on average %v; at most %d within 100 ms, %d of %d intervals alike",
		f.all, f.fewest, f.most, f.shortest, f.longest, f.average, f.densest, f.same, f.gaps)
	if f.densest > 200 {
		t.Errorf("%d advertisements within 100 ms, want at most 200", f.densest)
	}
	// RFC 4861 6.2.4: never less than three seconds apart; the interval is
	// chosen anew each time, so those of a thousand are spread over the next.
	if f.shortest < 2900*time.Millisecond {
		t.Errorf("advertisements after %v", f.shortest)
	}
	if f.same > f.gaps/4 {
		t.Errorf("no jitter: %d of %d intervals are the same, in steps of 50 ms", f.same, f.gaps)
	}
}

// batchIn is batch in another namespace.
func (n *node) batchIn(ns *testenv.NS, commands string) {
	n.t.Helper()
	other := &node{t: n.t, ns: ns, dir: n.dir}
	other.batch(commands)
}

// hearing records when router advertisements came to any interface of a
// namespace, by the kernel's time.
type hearing struct {
	t     testing.TB
	fd    int
	ended sync.WaitGroup
	done  chan struct{}

	mu sync.Mutex
	at map[int][]time.Time // by ifindex
}

// hearAll listens on all interfaces of a namespace, those to come too.
func hearAll(t testing.TB, ns *testenv.NS) *hearing {
	t.Helper()
	h := &hearing{t: t, done: make(chan struct{}), at: map[int][]time.Time{}}
	var err error
	ns.Do(func() { h.fd, err = openAll() })
	if err != nil {
		t.Fatalf("capture everything in %s: %v", ns.Name, err)
	}
	h.ended.Go(h.run)
	t.Cleanup(func() { h.stop() })
	return h
}

func openAll() (int, error) {
	ip6 := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_IPV6))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(ip6))
	if err != nil {
		return -1, err
	}
	for _, o := range []struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64 << 20},
		{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			unix.Close(fd)
			return -1, err
		}
	}
	// So that it looks up now and then whether it is to stop.
	return fd, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000})
}

func (h *hearing) run() {
	buf, oob := make([]byte, 2048), make([]byte, 256)
	for {
		select {
		case <-h.done:
			return
		default:
		}
		n, oobn, _, who, err := unix.Recvmsg(h.fd, buf, oob, 0)
		if err == unix.EAGAIN || err == unix.EINTR {
			continue
		}
		if err != nil {
			h.t.Errorf("capture everything: %v", err)
			return
		}
		ll, ok := who.(*unix.SockaddrLinklayer)
		if ok && ll.Pkttype != unix.PACKET_OUTGOING && isND(routerAdvertisement)(testenv.Frame{Data: buf[:n]}) {
			h.mu.Lock()
			h.at[ll.Ifindex] = append(h.at[ll.Ifindex], stamp(oob[:oobn]))
			h.mu.Unlock()
		}
	}
}

// stamp is when the kernel took a frame in.
func stamp(oob []byte) time.Time {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return time.Time{}
	}
	for _, m := range msgs {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) == 16 {
			b := binary.NativeEndian
			return time.Unix(int64(b.Uint64(m.Data)), int64(b.Uint64(m.Data[8:])))
		}
	}
	return time.Time{}
}

// told is when each NIC was told so far.
func (h *hearing) told() [][]time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := [][]time.Time{}
	for _, times := range h.at {
		all = append(all, slices.Clone(times))
	}
	return all
}

// stop ends it, makes sure that nothing was lost, and returns what was heard.
func (h *hearing) stop() [][]time.Time {
	select {
	case <-h.done:
		return h.told()
	default:
	}
	close(h.done)
	h.ended.Wait()
	stats, err := unix.GetsockoptTpacketStats(h.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil || stats.Drops > 0 {
		h.t.Errorf("capture everything: lost %d frames (%v)", stats.Drops, err)
	}
	unix.Close(h.fd)
	return h.told()
}

// figures is what a hearing comes to.
type figures struct {
	all, fewest, most, densest int
	shortest, longest, average time.Duration
	gaps, same                 int // intervals, and those of the most frequent length
}

func figuresOf(told [][]time.Time) figures {
	f, lengths := figures{fewest: len(told[0]), shortest: time.Hour}, map[time.Duration]int{}
	every, sum := []time.Time{}, time.Duration(0)
	for _, times := range told {
		f.fewest, f.most = min(f.fewest, len(times)), max(f.most, len(times))
		every = append(every, times...)
		for i := 1; i < len(times); i++ {
			gap := times[i].Sub(times[i-1])
			f.shortest, f.longest = min(f.shortest, gap), max(f.longest, gap)
			length := gap.Truncate(50 * time.Millisecond)
			lengths[length]++
			f.same = max(f.same, lengths[length])
			f.gaps, sum = f.gaps+1, sum+gap
		}
	}
	f.all, f.average = len(every), (sum / time.Duration(f.gaps)).Round(time.Millisecond)
	f.densest = densest(every, 100*time.Millisecond)
	return f
}

// densest is the largest number of times within a span.
func densest(all []time.Time, span time.Duration) int {
	slices.SortFunc(all, time.Time.Compare)
	most, from := 0, 0
	for i := range all {
		for all[i].Sub(all[from]) > span {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}
