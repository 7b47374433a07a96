package testenv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Frame is one frame that an interface saw.
type Frame struct {
	Data     []byte // from the Ethernet destination on, a tag put back in place
	Outgoing bool   // sent by the host out of the interface
	Mark     uint32 // skb->mark, where the kernel reports it
}

// Filter chooses frames; it is plain Go so that it can look at everything.
type Filter func(Frame) bool

// CaptureOption changes what a Sniffer records.
type CaptureOption uint8

// InboundOnly leaves out what the host itself sends out of the interface.
const InboundOnly CaptureOption = 1

// Sniffer records every frame of one interface from the moment Capture
// returns until Stop.
type Sniffer struct {
	t     testing.TB
	what  string
	f     *os.File
	ended chan struct{}
	once  sync.Once

	mu      sync.Mutex
	frames  []Frame
	changed chan struct{} // closed and replaced with every frame
}

// Capture starts to record the frames of an interface of ns.
func Capture(t testing.TB, ns *NS, iface string, opts ...CaptureOption) *Sniffer {
	t.Helper()
	s := &Sniffer{t: t, what: ns.Name + "/" + iface, ended: make(chan struct{}), changed: make(chan struct{})}
	index := ns.Index(iface)
	var err error
	ns.Do(func() { s.f, err = openPacket(index, opts) })
	if err != nil {
		t.Fatalf("capture %s: %v", s.what, err)
	}
	go s.run()
	t.Cleanup(func() { s.Stop() })
	return s
}

func openPacket(index int, opts []CaptureOption) (*os.File, error) {
	// Protocol 0 receives nothing before bind: no frame of another interface.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := setPacketOptions(fd, opts); err != nil {
		unix.Close(fd)
		return nil, err
	}
	to := &unix.SockaddrLinklayer{Protocol: be16(unix.ETH_P_ALL), Ifindex: index}
	if err := unix.Bind(fd, to); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind: %w", err)
	}
	return os.NewFile(uintptr(fd), "packet"), nil
}

func setPacketOptions(fd int, opts []CaptureOption) error {
	set := []struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64 << 20},
		{unix.SOL_PACKET, unix.PACKET_AUXDATA, 1}, // where the kernel hides the VLAN tag
		{unix.SOL_SOCKET, unix.SO_RCVMARK, 1},
	}
	for _, o := range opts {
		if o == InboundOnly {
			set = append(set, struct{ level, name, value int }{unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1})
		}
	}
	for _, o := range set {
		err := unix.SetsockoptInt(fd, o.level, o.name, o.value)
		if err != nil && o.name != unix.SO_RCVMARK { // Linux 5.19; Mark stays 0 before
			return fmt.Errorf("packet socket option %d: %w", o.name, err)
		}
	}
	return nil
}

func be16(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

func (s *Sniffer) run() {
	defer close(s.ended)
	rc, err := s.f.SyscallConn()
	if err != nil {
		s.t.Errorf("capture %s: %v", s.what, err)
		return
	}
	for err == nil {
		err = rc.Read(func(fd uintptr) bool { return s.drain(int(fd)) > 0 })
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		s.t.Errorf("capture %s: %v", s.what, err)
	}
}

// drain takes what is queued without waiting and says how many frames it was.
func (s *Sniffer) drain(fd int) int {
	buf, oob := make([]byte, 1<<17), make([]byte, 256)
	for count := 0; ; count++ {
		n, oobn, _, from, err := unix.Recvmsg(fd, buf, oob, 0)
		if err != nil {
			if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.ENETDOWN) {
				s.t.Errorf("capture %s: %v", s.what, err)
			}
			return count
		}
		ll, ok := from.(*unix.SockaddrLinklayer)
		s.add(frameOf(buf[:n], oob[:oobn], ok && ll.Pkttype == unix.PACKET_OUTGOING))
	}
}

func (s *Sniffer) add(f Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames = append(s.frames, f)
	close(s.changed)
	s.changed = make(chan struct{})
}

func frameOf(data, oob []byte, outgoing bool) Frame {
	f := Frame{Data: bytes.Clone(data), Outgoing: outgoing}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return f
	}
	for _, m := range msgs {
		switch {
		case m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA:
			f.Data = restoreTag(f.Data, m.Data)
		case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_MARK && len(m.Data) >= 4:
			f.Mark = binary.NativeEndian.Uint32(m.Data)
		}
	}
	return f
}

// restoreTag puts a VLAN tag from struct tpacket_auxdata back behind the
// addresses: status u32, len, snaplen u32, mac, net, tci, tpid u16.
func restoreTag(frame, aux []byte) []byte {
	if len(aux) < 20 || len(frame) < 12 || binary.NativeEndian.Uint32(aux)&unix.TP_STATUS_VLAN_VALID == 0 {
		return frame
	}
	tpid := uint16(unix.ETH_P_8021Q)
	if binary.NativeEndian.Uint32(aux)&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
		tpid = binary.NativeEndian.Uint16(aux[18:])
	}
	tagged := bytes.Clone(frame[:12])
	tagged = binary.BigEndian.AppendUint16(tagged, tpid)
	tagged = binary.BigEndian.AppendUint16(tagged, binary.NativeEndian.Uint16(aux[16:]))
	return append(tagged, frame[12:]...)
}

// Frames returns what was recorded so far.
func (s *Sniffer) Frames() []Frame {
	frames, _ := s.snapshot()
	return frames
}

func (s *Sniffer) snapshot() ([]Frame, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Frame(nil), s.frames...), s.changed
}

// Wait returns the first frame, past or coming, that match accepts; the test
// ends if there is none within limit. It is also the fence for silence: send
// a frame that must pass after those that must not, wait for it, then None.
func (s *Sniffer) Wait(limit time.Duration, what string, match Filter) Frame {
	s.t.Helper()
	limit = Limit(s.t, limit)
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		frames, changed := s.snapshot()
		for _, f := range frames {
			if match(f) {
				return f
			}
		}
		select {
		case <-changed:
		case <-deadline.C:
			s.t.Fatalf("capture %s: waited %v in vain for %s; saw %d frames:\n%s", s.what, limit, what, len(frames), dump(frames))
		}
	}
}

// None fails the test for every frame recorded so far that match accepts.
func (s *Sniffer) None(what string, match Filter) {
	s.t.Helper()
	for _, f := range s.Frames() {
		if match(f) {
			s.t.Errorf("capture %s: saw %s:\n%s", s.what, what, dump([]Frame{f}))
		}
	}
}

// Stop ends the recording and returns everything, with what the kernel had
// queued already.
func (s *Sniffer) Stop() []Frame {
	s.once.Do(s.stop)
	return s.Frames()
}

func (s *Sniffer) stop() {
	if err := s.f.SetReadDeadline(time.Unix(1, 0)); err != nil {
		s.t.Errorf("capture %s: %v", s.what, err)
	}
	<-s.ended
	if rc, err := s.f.SyscallConn(); err == nil {
		_ = rc.Control(func(fd uintptr) { s.finish(int(fd)) }) // fails only if closed
	}
	_ = s.f.Close()
}

// finish takes the rest and makes sure that silence was not loss.
func (s *Sniffer) finish(fd int) {
	s.drain(fd)
	stats, err := unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil || stats.Drops > 0 {
		s.t.Errorf("capture %s: lost %d frames (%v)", s.what, stats.Drops, err)
	}
}

func dump(frames []Frame) string {
	var b bytes.Buffer
	for _, f := range frames {
		fmt.Fprintf(&b, "  out=%v mark=%#x % x\n", f.Outgoing, f.Mark, f.Data)
	}
	return b.String()
}

// Inject sends frames out of an interface of ns as they are: towards the host
// if the interface is a guest's.
func Inject(t testing.TB, ns *NS, iface string, frames ...[]byte) {
	t.Helper()
	index := ns.Index(iface)
	fd := -1
	var err error
	ns.Do(func() { fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) })
	if err != nil {
		t.Fatalf("inject into %s/%s: %v", ns.Name, iface, err)
	}
	defer unix.Close(fd)
	for _, f := range frames {
		if err := unix.Sendto(fd, f, 0, &unix.SockaddrLinklayer{Ifindex: index}); err != nil {
			t.Fatalf("inject into %s/%s: %v", ns.Name, iface, err)
		}
	}
}
