package datapath

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// While the rules of two NICs are replaced in turn, neither may use what is the
// other's, and what is its own passes: the kernel uses the memory of what is
// replaced anew at once. For the same reason its look-up misses what is there,
// now and then, and nothing passes then.
func TestRulesOfOthers(t *testing.T) {
	k := openKernel(t)
	o := &oracle{TB: t, k: k}
	mine, theirs := corpus.Binding(), corpus.Binding()
	theirs.MAC, theirs.Addresses = corpus.B, []netip.Prefix{netip.MustParsePrefix("192.0.2.77/24")}
	r := guard.Compile(mine)
	o.use(r)
	stop, changed := make(chan struct{}), make(chan error)
	go func() { changed <- k.alternate(r, guard.Compile(theirs), stop) }()
	own := udp4(mine.MAC, mine.Addresses[0].Addr())
	asks, others := client4{kind: 1}.frame(), client4{kind: 1}.frame()
	copy(others[6:], theirs.MAC[:])
	for what, c := range map[string]struct {
		frame []byte
		want  Fate
	}{
		"its own":                     {own, Passed},
		"the other's":                 {udp4(theirs.MAC, theirs.Addresses[0].Addr()), Dropped},
		"the other's address":         {udp4(mine.MAC, theirs.Addresses[0].Addr()), Dropped},
		"the other's, by the judge":   {append(udp4(theirs.MAC, theirs.Addresses[0].Addr())[:40], 0, 0), Dropped},
		"its own, short of the ports": {own[:34], Dropped},
		"its own DHCPDISCOVER":        {asks, Taken},
		"the other's DHCPDISCOVER":    {others, Dropped},
	} {
		missed := 0
		for i := range *frames / 10 {
			a, err := k.Ask(lo, false, c.frame)
			if err != nil {
				t.Fatal(err)
			}
			if a.Fate == Dropped && a.Reason == reason.None {
				missed++
				continue
			}
			if a.Fate != c.want {
				t.Errorf("%s, frame %d: %v (%v), want %v", what, i, a.Fate, a.Reason, c.want)
				break
			}
		}
		if missed > *frames/1000 {
			t.Errorf("%s: no rules were found %d times", what, missed)
		}
	}
	close(stop)
	if err := <-changed; err != nil {
		t.Error(err)
	}
}

// alternate puts the rules of the NIC and of another one in force by turns, until
// it is told to stop.
func (k *Kernel) alternate(r, others guard.Rules, stop chan struct{}) error {
	mine, err := encodeRules("lo", &r, 1)
	other, err2 := encodeRules("other", &others, 2)
	if err = errors.Join(err, err2); err != nil {
		return err
	}
	for mine.Stamp = 1 << 60; err == nil; mine.Stamp += 2 {
		other.Stamp = mine.Stamp + 1
		select {
		case <-stop:
			return nil
		default:
			err = errors.Join(k.maps.Nics.Update(ptr(uint32(lo)), &mine, ebpf.UpdateAny),
				k.maps.Nics.Update(ptr(uint32(lo+1)), &other, ebpf.UpdateAny))
		}
	}
	return err
}

// udp4 is a datagram of 32 bytes to a port that nothing is known of.
func udp4(src nic.MAC, from netip.Addr) []byte {
	f := make([]byte, 14+20+8+32)
	copy(f, corpus.B[:])
	f[0] = 0x52
	copy(f[6:], src[:])
	binary.BigEndian.PutUint16(f[12:], 0x0800)
	f[14], f[14+8], f[14+9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(f[16:], 20+8+32)
	copy(f[26:], from.AsSlice())
	copy(f[30:], []byte{198, 51, 100, 1})
	binary.BigEndian.PutUint16(f[34:], 5000)
	binary.BigEndian.PutUint16(f[36:], 5001)
	binary.BigEndian.PutUint16(f[38:], 8+32)
	return f
}
