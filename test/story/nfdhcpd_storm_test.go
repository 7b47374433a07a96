package story_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
)

// The storm: so many files at once, and so many guests that renew the while.
const (
	stormFiles   = 200
	stormClients = 20
)

// TestNFDHCPDStorm: two hundred files are written at once, some of them over
// and over, while twenty guests renew without a pause. Not one exchange is
// lost, no question is seen by another, and all files are in force.
func TestNFDHCPDStorm(t *testing.T) {
	t.Parallel()
	s := newFormerCrowd(t, stormClients+stormFiles)
	s.start()
	for _, g := range s.vms[:stormClients] {
		s.put(g.port, g.bridgedFile())
	}
	s.inForce(stormClients)

	lan := testenv.Capture(t, s.guests, "lan")
	stop := s.renew(s.vms[:stormClients])
	for _, i := range rand.Perm(stormFiles) {
		g := s.vms[stormClients+i]
		s.put(g.port, g.bridgedFile())
		if again := s.vms[i/10]; i%10 == 0 {
			s.put(again.port, again.bridgedFile())
		}
	}
	s.inForce(stormClients + stormFiles)
	exchanges := stop()
	t.Logf("%d exchanges", exchanges)
	if exchanges < 2*stormClients {
		t.Errorf("only %d exchanges, want two a guest at least", exchanges)
	}
	lan.None("DHCP", func(f testenv.Frame) bool { return dhcpIn(f) != nil })
}

// formerCrowd is a host with a bridge and many VMs, all of them interfaces of
// one namespace.
type formerCrowd struct {
	*formerly
	*node
	guests *testenv.NS
	vms    []*guest
}

func newFormerCrowd(t testing.TB, many int) *formerCrowd {
	t.Helper()
	n := newNode(t, "log: {level: error}\n")
	s := &formerCrowd{formerly: inherit(n, 300), node: n, guests: testenv.NewNS(t)}
	s.guests.Sysctl("net.ipv6.conf.default.disable_ipv6", "1")
	n.ns.Sysctl("net.ipv6.conf.default.disable_ipv6", "1")
	links, up := strings.Builder{}, strings.Builder{}
	fmt.Fprintf(&links, "link add br0 address %s up type bridge\n", bridgeMAC)
	link := func(port, far, mac string) {
		fmt.Fprintf(&links, "link add %s up master br0 type veth peer name %s address %s netns %s\n", port, far, mac, s.guests.Name)
		fmt.Fprintf(&up, "link set %s up\n", far)
	}
	link(uplink, "lan", "52:54:00:ff:00:01")
	for i := range many {
		g := &guest{
			NS: s.guests, port: fmt.Sprintf("tap%d", i), mac: nic.MAC{0x52, 0x54, 0, 0xdd, 0, byte(i)},
			addr: netip.AddrFrom4([4]byte{203, 0, 113, byte(11 + i)}),
		}
		link(g.port, "g"+g.port, g.mac.String())
		s.vms = append(s.vms, g)
	}
	n.batch(links.String())
	n.batchIn(s.guests, up.String())
	return s
}

func (s *formerCrowd) start() { s.formerly.start() }

// inForce waits for so many NICs.
func (s *formerCrowd) inForce(many int) {
	s.t.Helper()
	testenv.Wait(s.t, soon, fmt.Sprintf("%d NICs in force", many), func() bool {
		states := s.states()
		maps.DeleteFunc(states, func(_ string, state api.State) bool { return state != api.InForce })
		return len(states) == many
	})
}

// renew has guests renew over and over, each when it was answered, until stop
// is called, which returns how many exchanges there were.
func (s *formerCrowd) renew(guests []*guest) (stop func() int) {
	s.t.Helper()
	var ended sync.WaitGroup
	done, made := make(chan struct{}), make([]int, len(guests))
	for i, g := range guests {
		fd, to := s.socket(g)
		ended.Go(func() {
			defer unix.Close(fd)
			for s.exchange(g, fd, to) {
				made[i]++
				select {
				case <-done:
					return
				case <-time.After(30 * time.Millisecond): // fewer than berth answers at most
				}
			}
		})
	}
	return func() int {
		close(done)
		ended.Wait()
		sum := 0
		for _, n := range made {
			sum += n
		}
		return sum
	}
}

// socket is a packet socket of a guest's interface, whose reads end.
func (s *formerCrowd) socket(g *guest) (fd int, to unix.Sockaddr) {
	s.t.Helper()
	var err error
	g.Do(func() { fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) })
	if err != nil {
		s.t.Fatal(err)
	}
	ip4 := uint16(unix.ETH_P_IP)
	to = &unix.SockaddrLinklayer{Protocol: ip4>>8 | ip4<<8, Ifindex: g.Index("g" + g.port)}
	err = errors.Join(
		unix.Bind(fd, to),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(testenv.Limit(s.t, 20*time.Second) / time.Second)}))
	if err != nil {
		s.t.Fatal(err)
	}
	return fd, to
}

// exchange sends one renewal, once, and holds its answer to what it must be.
func (s *formerCrowd) exchange(g *guest, fd int, to unix.Sockaddr) bool {
	m, f := g.renewal(s.t)
	if err := unix.Sendto(fd, f, 0, to); err != nil {
		s.t.Errorf("%s sends: %v", g.port, err)
		return false
	}
	buf := make([]byte, 2048)
	for {
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			s.t.Errorf("the renewal of %s is not answered: %v", g.port, err)
			return false
		}
		x := testenv.Frame{Data: buf[:n]}
		if replyTo(m.TransactionID)(x) {
			isTold(s.t, dhcpIn(x), g.addr, g.whatNfdhcpdTold())
			return true
		}
	}
}
