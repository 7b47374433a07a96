package answerer_test

import (
	"errors"
	"net/netip"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/answerer"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/wire"
)

// wireTap is a working sender: a wire that remembers.
type wireTap struct {
	mu   sync.Mutex
	sent []string // "ifindex yiaddr"
	err  error
}

func (w *wireTap) Send(index int, frame []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	u, err := wire.ParseUDP4(frame)
	if err != nil {
		return err
	}
	yiaddr, _ := netip.AddrFromSlice(u.Payload[16:20])
	w.sent = append(w.sent, netip.AddrPortFrom(yiaddr, uint16(index)).String())
	return nil
}

// discover is the DISCOVER of the corpus.
func discover(t *testing.T) []byte {
	t.Helper()
	for _, v := range corpus.All() {
		if v.ID == "G01" {
			return v.Frames[0]
		}
	}
	t.Fatal("no G01 in the corpus")
	return nil
}

func duid() []byte { return []byte{0, 3, 0, 1, 2, 'b', 'e', 'r', 't', 'h'} }

func setting(last byte, digest uint64) answerer.Setting {
	b := corpus.Binding()
	b.Addresses = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, last}), 24)}
	return answerer.Setting{Binding: b, ServerID: corpus.G4, Digest: digest}
}

func TestHoldKeepsMessagesForTheNewSetting(t *testing.T) {
	w := &wireTap{}
	var ignored []reason.Reason
	a := answerer.New(w, duid(), func(x answerer.Exchange) {
		if x.Answer == "" {
			ignored = append(ignored, x.Reason)
		}
	})
	frame := discover(t)
	a.Punt(77, answerer.Packet{Reason: reason.DHCP4, Frame: frame}) // nobody there yet: silence, and no report either
	a.Answer(77, "tap7", setting(10, 1))
	a.Punt(77, answerer.Packet{Reason: reason.DHCP4, Frame: frame})
	a.Hold(77)
	if got := a.Answering()[77]; got != 0 {
		t.Errorf("answering %d while held, want 0", got)
	}
	for range 18 { // two more than are kept
		a.Punt(77, answerer.Packet{Reason: reason.DHCP4, Frame: frame})
	}
	a.Answer(77, "tap7", setting(11, 2))
	a.Punt(77, answerer.Packet{Reason: reason.DHCP4, Frame: frame})
	a.Silence(77)
	a.Punt(77, answerer.Packet{Reason: reason.DHCP4, Frame: frame})

	want := []string{"192.0.2.10:77"}
	for range 17 {
		want = append(want, "192.0.2.11:77")
	}
	if diff := cmp.Diff(want, w.sent); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]reason.Reason{reason.DHCPHeld, reason.DHCPHeld}, ignored); diff != "" {
		t.Errorf("ignored (-want +got):\n%s", diff)
	}
	if len(a.Answering()) != 0 {
		t.Errorf("still answering %v", a.Answering())
	}
}

func TestSendFailureIsReported(t *testing.T) {
	w := &wireTap{err: errors.New("network is down")}
	var got []answerer.Exchange
	a := answerer.New(w, duid(), func(x answerer.Exchange) { got = append(got, x) })
	a.Answer(77, "tap7", setting(10, 1))
	a.Punt(77, answerer.Packet{Reason: reason.DHCP4, Frame: discover(t)})
	if len(got) != 1 || got[0].Err == nil || got[0].Reason != reason.SendFailed || got[0].NIC != "tap7" {
		t.Errorf("reported %+v", got)
	}
}

func TestGarbageIsIgnored(t *testing.T) {
	w := &wireTap{}
	var got []reason.Reason
	a := answerer.New(w, duid(), func(x answerer.Exchange) { got = append(got, x.Reason) })
	a.Answer(77, "tap7", setting(10, 1))
	var want []reason.Reason
	for _, c := range []struct{ taken, why reason.Reason }{
		{reason.DHCP4, reason.DHCPMalformed},
		{reason.DHCP6, reason.DHCPMalformed},
		{reason.RouterSolicit, reason.NDInvalid},
		{reason.NeighbourSolicit, reason.NDInvalid},
		{reason.ARPRequest, reason.NDInvalid},
		{reason.MACSpoof, reason.DHCPMalformed}, // what this agent does not know
	} {
		a.Punt(77, answerer.Packet{Reason: c.taken})
		a.Punt(77, answerer.Packet{Reason: c.taken, Frame: []byte("not a frame at all, by no means")})
		want = append(want, c.why, c.why)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(w.sent) != 0 {
		t.Errorf("(-want +got):\n%s sent %v", diff, w.sent)
	}
}

// After Hold returns, no answer of the old setting is sent, whatever is going
// on elsewhere.
func TestHoldIsABarrier(t *testing.T) {
	w := &wireTap{}
	a := answerer.New(w, duid(), func(answerer.Exchange) {})
	frame := discover(t)
	a.Answer(77, "tap7", setting(10, 1))
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				a.Punt(77, answerer.Packet{Reason: reason.DHCP4, Frame: frame})
			}
		}
	}()
	for i := range 200 {
		a.Hold(77)
		w.mu.Lock()
		before := len(w.sent)
		w.mu.Unlock()
		last := byte(20 + i%2)
		a.Answer(77, "tap7", setting(last, uint64(i)))
		a.Hold(77)
		w.mu.Lock()
		for _, s := range w.sent[before:] {
			if want := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, last}), 77).String(); s != want {
				t.Errorf("round %d sent %s, want %s", i, s, want)
			}
		}
		w.mu.Unlock()
		a.Answer(77, "tap7", setting(last, uint64(i)))
	}
	close(stop)
	<-done
}

var _ answerer.Sender = (*answerer.Socket)(nil)
