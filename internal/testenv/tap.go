package testenv

import (
	"encoding/binary"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// VnetHdr is struct virtio_net_hdr (virtio 1.2, 5.1.6): what a guest claims
// about a frame. HdrLen is how much of it the kernel makes linear, so a guest
// chooses what a careless program can see.
type VnetHdr struct {
	Flags      uint8
	GSOType    uint8
	HdrLen     uint16
	GSOSize    uint16
	CsumStart  uint16
	CsumOffset uint16
}

// vnetHdrLen is the length without num_buffers, the default of tun.
const vnetHdrLen = 10

func (h VnetHdr) encode() []byte {
	b := []byte{h.Flags, h.GSOType}
	// Without TUNSETVNETLE the fields are in the host's order.
	for _, v := range []uint16{h.HdrLen, h.GSOSize, h.CsumStart, h.CsumOffset} {
		b = binary.NativeEndian.AppendUint16(b, v)
	}
	return b
}

// TapDev is the guest's end of a tap: what QEMU would hold.
type TapDev struct {
	Name string

	t testing.TB
	f *os.File
}

// Tap makes a tap as QEMU opens it, with IFF_VNET_HDR, and sets it up. It is
// not persistent: Close deletes it, as the end of the test does.
func Tap(t testing.TB, ns *NS, name string) *TapDev {
	t.Helper()
	d := &TapDev{Name: name, t: t}
	var err error
	ns.Do(func() { d.f, err = openTap(name) })
	if err != nil {
		t.Fatalf("in %s: open tap %s: %v", ns.Name, name, err)
	}
	t.Cleanup(d.Close)
	ns.SetUp(name)
	return d
}

func openTap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	ifr, err := unix.NewIfreq(name)
	if err == nil {
		ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	// Only now: before TUNSETIFF the descriptor can't be polled.
	return os.NewFile(uintptr(fd), name), nil
}

// Close takes the guest's end away, and with it the interface.
func (d *TapDev) Close() {
	if err := d.f.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		d.t.Errorf("close tap %s: %v", d.Name, err)
	}
}

// Send writes a frame as a guest without offloads does.
func (d *TapDev) Send(frame []byte) {
	d.t.Helper()
	d.SendVnet(VnetHdr{}, frame)
}

// SendVnet writes a frame with the header the guest chose.
func (d *TapDev) SendVnet(h VnetHdr, frame []byte) {
	d.t.Helper()
	if err := d.TrySendVnet(h, frame); err != nil {
		d.t.Fatalf("write to tap %s: %v", d.Name, err)
	}
}

// TrySendVnet is SendVnet for headers that the kernel may refuse.
func (d *TapDev) TrySendVnet(h VnetHdr, frame []byte) error {
	_, err := d.f.Write(append(h.encode(), frame...))
	return err
}

// Receive returns the next frame the host sent to the guest, or nil when none
// came within limit.
func (d *TapDev) Receive(limit time.Duration) []byte {
	d.t.Helper()
	if err := d.f.SetReadDeadline(time.Now().Add(limit)); err != nil {
		d.t.Fatalf("tap %s: %v", d.Name, err)
	}
	b := make([]byte, 1<<16+vnetHdrLen)
	n, err := d.f.Read(b)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	case err != nil:
		d.t.Fatalf("read from tap %s: %v", d.Name, err)
	}
	return b[vnetHdrLen:n]
}
