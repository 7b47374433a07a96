package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/api"
)

// node is a host with berthd, some guests of its own and a crowd of NICs.
type node struct {
	stage  *stage
	site   *site
	server *server
	client *api.Client
}

// newNode lays out berthd's files: tap0 to tap(guests-1) on links of their
// own, and a crowd declared in files.
func newNode(t *task, guests, crowd int) (*node, error) {
	s, err := newStage(t.cpus)
	if err != nil {
		return nil, err
	}
	n := &node{stage: s, site: &site{dir: s.dir, bin: t.bin, family: 4, extra: t.extra}, server: &server{log: filepath.Join(s.dir, "log")}}
	n.client = api.NewClient(n.site.file("s.sock"))
	files := crowdFiles(crowd)
	for i := range guests {
		c := newClient(i)
		n.site.clients = append(n.site.clients, c)
		files[fmt.Sprintf("nics/tap%d.yaml", i)] = binding(fmt.Sprintf("tap%d", i), c)
		if i > 0 {
			if err := s.port(fmt.Sprintf("tap%d", i), fmt.Sprintf("eth%d", i), c.mac); err != nil {
				return nil, err
			}
		}
	}
	maps.Copy(files, map[string]string{"berthd.yaml": berthFiles(n.site)["berthd.yaml"]})
	return n, n.site.write(files)
}

// crowdPerFile keeps a file under 1 MiB.
const crowdPerFile = 2000

func crowdName(i int) string { return fmt.Sprintf("nic%d", i) }

func crowdMAC(i int) [6]byte { return [6]byte{0x52, 0x54, 1, byte(i >> 16), byte(i >> 8), byte(i)} }

// crowdFiles declares NICs, some thousand a file.
func crowdFiles(count int) map[string]string {
	files := map[string]string{}
	for first := 0; first < count; first += crowdPerFile {
		var b strings.Builder
		for i := first; i < min(first+crowdPerFile, count); i++ {
			mac := crowdMAC(i)
			fmt.Fprintf(&b, "---\nnic: %s\nmac: %s\naddresses: [10.%d.%d.%d/8]\ngateway: 10.255.255.254\ndns: [192.0.2.53, 192.0.2.54]\ndomain: example.org\n",
				crowdName(i), hex(mac[:]), (i+1)>>16, (i+1)>>8&255, (i+1)&255)
		}
		files[fmt.Sprintf("nics/crowd%06d.yaml", first)] = b.String()
	}
	return files
}

// port makes another pair of the host and the guest.
func (s *stage) port(name, peer string, mac [6]byte) error {
	a := netlink.NewLinkAttrs()
	a.Name, a.Flags = name, 1 // IFF_UP
	v := &netlink.Veth{LinkAttrs: a, PeerName: peer, PeerNamespace: netlink.NsFd(s.guest), PeerHardwareAddr: mac[:]}
	if err := netlink.LinkAdd(v); err != nil {
		return fmt.Errorf("add %s: %w", name, err)
	}
	if err := up(name); err != nil {
		return err
	}
	return s.inGuest(func() error { return up(peer) })
}

// start runs berthd until it has read what is declared.
func (n *node) start(t *task) error {
	return n.server.start(t.cpus.Server, berthd(n.site))
}

// settled waits until a number of NICs is in force and all others wait.
func (n *node) settled(inForce, all int) error {
	return n.until(func(s api.Status) error {
		sum := 0
		for _, v := range s.NICs {
			sum += v
		}
		if s.NICs[api.InForce] != inForce || sum != all {
			return fmt.Errorf("%v, want %d in force of %d", s.NICs, inForce, all)
		}
		return nil
	})
}

func (n *node) until(good func(api.Status) error) error {
	return poll(10*time.Minute, func(ctx context.Context) error {
		s, err := n.client.Status(ctx)
		if err == nil {
			err = good(s)
		}
		return err
	})
}

// kill ends berthd without a chance to do anything about it.
func (n *node) kill() error {
	err := n.server.cmd.Process.Signal(unix.SIGKILL)
	_ = n.server.cmd.Wait() // killed: its error is what we asked for
	return err
}

// close ends berthd; err is what went wrong before, with
// what berthd said about it.
func (n *node) close(err error) error {
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, n.server.said())
	}
	_ = n.kill() // it may be dead already
	return err
}

// resident is berthd's resident memory in kB.
func (n *node) resident() (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.server.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	return field(string(text), "VmRSS:")
}

// kernelMemory adds up what the kernel charges for berthd's maps but its
// rings, which are not per NIC, in kB.
func (n *node) kernelMemory() (int, error) {
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", n.server.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	const ringBuffer = 27 // BPF_MAP_TYPE_RINGBUF
	sum := 0
	for _, fd := range fds {
		text, err := os.ReadFile(fd)
		if err != nil {
			continue // closed meanwhile
		}
		kind, err := field(string(text), "map_type:")
		if err != nil || kind == ringBuffer {
			continue
		}
		bytes, err := field(string(text), "memlock:")
		if err != nil {
			return 0, err
		}
		sum += bytes
	}
	return sum / 1024, nil
}
