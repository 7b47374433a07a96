package story_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
)

// fleet is many VMs in one namespace that renew all the time: all of them, and
// again when a pause is over and each has been answered.
type fleet struct {
	t     testing.TB
	ns    *testenv.NS
	vms   []*guest
	fd    int
	done  chan struct{}
	ended sync.WaitGroup

	mu      sync.Mutex
	rounds  int           // in which every VM was answered
	slowest time.Duration // of any answer
	wrong   []string      // what was not as it should be
}

// answerIn is how long a VM waits before its exchange counts as lost.
const answerIn = 10 * time.Second

// newFleet makes so many VMs, at vm1000, vm1001 and so on, with 10.9.x.x/16.
func newFleet(n *node, many int) *fleet {
	n.t.Helper()
	f := &fleet{t: n.t, ns: testenv.NewNS(n.t), done: make(chan struct{})}
	f.ns.Sysctl("net.ipv6.conf.default.disable_ipv6", "1")
	var links, up strings.Builder
	for i := range many {
		g := &guest{NS: f.ns, port: fmt.Sprintf("vm%d", 1000+i), mac: nic.MAC{0x52, 0x54, 0, 0xdd, byte(i >> 8), byte(i)}}
		g.addr = netip.AddrFrom4([4]byte{10, 9, byte(1 + i/200), byte(1 + i%200)})
		f.vms = append(f.vms, g)
		fmt.Fprintf(&links, "link add %s up type veth peer name g%d address %s netns %s\n", g.port, i, g.mac, f.ns.Name)
		fmt.Fprintf(&up, "link set g%d up\n", i)
	}
	n.batch(links.String())
	n.batchIn(f.ns, up.String())
	return f
}

// rows inserts the whole fleet.
func (f *fleet) rows() string {
	var b strings.Builder
	for _, g := range f.vms {
		b.WriteString(rows4(g.port, "", g.mac, "256 '"+g.addr.String()+"'", "1 '255.255.0.0'", "6 '10.9.0.53'", "258 '10.9.0.2'"))
	}
	return b.String()
}

func (f *fleet) names() []string {
	var all []string
	for _, g := range f.vms {
		all = append(all, g.port)
	}
	return all
}

// sail has them renew until the test ends or halt is called.
func (f *fleet) sail(pause time.Duration) {
	f.t.Helper()
	var err error
	f.ns.Do(func() { f.fd, err = openIPv4() })
	if err != nil {
		f.t.Fatalf("the fleet's socket: %v", err)
	}
	index := make([]int, len(f.vms))
	for i := range f.vms {
		index[i] = f.ns.Index(fmt.Sprintf("g%d", i))
	}
	f.ended.Go(func() {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for round := uint32(0); !f.halted(); round++ {
			f.round(round, index)
			<-tick.C
		}
	})
	f.t.Cleanup(func() { f.halt() })
}

func openIPv4() (int, error) {
	ip4 := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_IP))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(ip4))
	if err != nil {
		return -1, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000})
}

func (f *fleet) halted() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// round has each VM renew by unicast and waits for all answers.
func (f *fleet) round(round uint32, index []int) {
	sent := map[dhcpv4.TransactionID]renewing{}
	for i, g := range f.vms {
		m := g.request(f.t, dhcpv4.MessageTypeRequest, dhcpv4.WithClientIP(g.addr.AsSlice()),
			dhcpv4.WithRequestedOptions(dhcpv4.OptionDomainNameServer))
		binary.BigEndian.PutUint32(m.TransactionID[:], round<<12|uint32(i))
		data := g.unicast(m, "10.9.0.2")
		sent[m.TransactionID] = renewing{g, index[i], time.Now()}
		if err := unix.Sendto(f.fd, data, 0, &unix.SockaddrLinklayer{Ifindex: index[i]}); err != nil {
			f.fault("%s sends: %v", g.port, err)
		}
	}
	f.collect(sent)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(sent) == 0 {
		f.rounds++
	}
	for xid, r := range sent {
		f.wrong = append(f.wrong, fmt.Sprintf("no answer to %s, xid %s, within %v", r.vm.port, xid, answerIn))
	}
}

// renewing is one that was sent and not answered yet.
type renewing struct {
	vm    *guest
	index int
	at    time.Time
}

// collect takes the answers to what was sent out of it.
func (f *fleet) collect(sent map[dhcpv4.TransactionID]renewing) {
	buf := make([]byte, 2048)
	for deadline := time.Now().Add(answerIn); len(sent) > 0 && time.Now().Before(deadline); {
		n, from, err := unix.Recvfrom(f.fd, buf, 0)
		if err == unix.EAGAIN || err == unix.EINTR {
			continue
		}
		if err != nil {
			f.fault("the fleet's socket: %v", err)
			return
		}
		m := dhcpIn(testenv.Frame{Data: buf[:n]})
		if m == nil || m.OpCode != dhcpv4.OpcodeBootReply {
			continue
		}
		r, ok := sent[m.TransactionID]
		if ll, at := from.(*unix.SockaddrLinklayer); !ok || !at || ll.Ifindex != r.index {
			f.fault("an answer that nobody waits for: %s", said(m))
			continue
		}
		delete(sent, m.TransactionID)
		f.answered(r, m)
	}
}

func (f *fleet) answered(r renewing, m *dhcpv4.DHCPv4) {
	took := time.Since(r.at)
	if got, want := said(m), fmt.Sprintf("ACK %s from 10.9.0.2 dns [10.9.0.53]", r.vm.addr); got != want {
		f.fault("%s is told %s, want %s", r.vm.port, got, want)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.slowest = max(f.slowest, took)
}

func (f *fleet) fault(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wrong = append(f.wrong, fmt.Sprintf(format, args...))
}

// renewals is how often each VM was answered so far.
func (f *fleet) renewals() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rounds
}

// halt ends it, fails the test for everything that was wrong, and says how
// long the slowest answer took.
func (f *fleet) halt() time.Duration {
	if f.halted() {
		return f.slowest
	}
	close(f.done)
	f.ended.Wait()
	unix.Close(f.fd)
	for i, w := range f.wrong {
		if i == 10 {
			f.t.Errorf("and %d more", len(f.wrong)-i)
			break
		}
		f.t.Error(w)
	}
	f.t.Logf("%d VMs renewed %d times each, the slowest answer took %v", len(f.vms), f.rounds, f.slowest.Round(time.Millisecond))
	return f.slowest
}
