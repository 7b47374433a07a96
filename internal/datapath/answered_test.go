package datapath

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	sorted "maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/berth-net/berth/internal/dhcp4"
	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/wire"
)

// answerOracle holds what the kernel answers one NIC to the definition: equal
// bytes or a hand-up, never a third thing.
type answerOracle struct {
	testing.TB
	k       *Kernel
	answers Answers
	// define is the definition: the reply, nil for silence, and whose exchange
	// it is.
	define func(frame []byte) (reply []byte, x Exchange)
	did    map[string]int // how often what was answered
}

// answer puts a binding in force, with what berth says besides.
func (o *answerOracle) answer(b *nic.Binding, site guard.Site, a Answers) {
	o.Helper()
	rules := guard.Compile(b).On(b, site)
	if err := o.k.fill(lo, "lo", &rules); err != nil {
		o.Fatal(err)
	}
	if err := o.k.Answer(lo, a); err != nil {
		o.Fatal(err)
	}
	o.answers = a
}

// agree asks about one frame, and reports whether the kernel answered it.
func (o *answerOracle) agree(frame []byte) bool {
	o.Helper()
	a, err := o.k.Ask(lo, false, frame)
	if err != nil {
		o.Fatalf("%x: %v", frame, err)
	}
	if a.Fate != Answered {
		if a.Reply != nil {
			o.Fatalf("a reply to a frame that is not answered: %x", frame)
		}
		return false
	}
	want, x := o.define(frame)
	if a.Exchange.Kind != x.Kind {
		o.Errorf("%x:\nthe kernel says %v, want %v", frame, a.Exchange.Kind, x.Kind)
	}
	if got := completed(a.Reply, frame); !bytes.Equal(got, want) {
		o.Errorf("to %x:\nthe kernel replies %x\nwant               %x", frame, got, want)
	}
	o.did[x.Request+" -> "+x.Answer]++
	return true
}

// report logs how often what was answered, and fails if one of want never was.
func (o *answerOracle) report(want ...string) {
	o.Helper()
	for _, kind := range slices.Sorted(sorted.Keys(o.did)) {
		o.Logf("%s: %d", kind, o.did[kind])
	}
	for _, kind := range want {
		if o.did[kind] == 0 {
			o.Errorf("%s: never answered by the kernel", kind)
		}
	}
}

// While the daemon changes what NICs are answered, none is told what is another's:
// the kernel uses the memory of what is replaced anew at once.
func TestAnswersOfOthers(t *testing.T) {
	k := openKernel(t)
	o := newAnswerOracle4(t, k, withoutLimits(everything4))
	other := withoutLimits(everything4)
	other.Addresses[0] = netip.MustParsePrefix("192.0.2.77/24")
	theirs, _ := compile4(t, other)
	stop, changed := make(chan struct{}), make(chan error)
	go func() { changed <- o.change(theirs.DHCP4, stop) }()
	frame := client4{kind: 1, options: askingClients()[2]}.frame()
	want, _ := o.define(frame)
	answered := 0
	for range *dialogues / 2 {
		a, err := k.Ask(lo, false, frame)
		if err != nil {
			t.Fatal(err)
		}
		if a.Fate != Answered {
			continue
		}
		answered++
		if !bytes.Equal(a.Reply, want) {
			t.Errorf("reply %d: %x\nwant %x", answered, a.Reply, want)
			break
		}
	}
	close(stop)
	if err := <-changed; err != nil {
		t.Error(err)
	}
	if answered == 0 {
		t.Error("nothing was answered")
	}
}

// change puts answers of the NIC and of another one in force by turns, until it
// is told to stop.
func (o *answerOracle) change(theirs *dhcp4.Compiled, stop chan struct{}) error {
	mine, _ := encodeAnswer4(o.answers.DHCP4, 0)
	other, _ := encodeAnswer4(theirs, 0)
	as := func(v berthAnswer4) func(*dhcp4.Compiled, uint64) (berthAnswer4, bool) {
		return func(_ *dhcp4.Compiled, stamp uint64) (berthAnswer4, bool) { v.Stamp = stamp; return v, true }
	}
	for stamp := uint64(2); ; stamp += 2 {
		select {
		case <-stop:
			return nil
		default:
		}
		err := errors.Join(putAnswer(o.k.maps.Answers4, place{lo, stamp}, theirs, as(mine)),
			putAnswer(o.k.maps.Answers4, place{lo + 1, stamp + 1}, theirs, as(other)))
		if err != nil {
			return err
		}
	}
}

// exchanges reads the rings until the test ends, and returns what the program has
// dealt with.
func exchanges(t testing.TB, k *Kernel) <-chan Exchange {
	t.Helper()
	out := make(chan Exchange, 100)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- k.Run(ctx, Handlers{Punt: func(Punt) {}, Sample: func(Sample) {}, Exchange: func(x Exchange) { out <- x }})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return out
}

// completed is the reply as it leaves: where the request left its checksum to
// others, so does the reply (CHECKSUM_PARTIAL).
func completed(reply, request []byte) []byte {
	if !isPartial(request) {
		return reply
	}
	out := bytes.Clone(reply)
	complete(out)
	return out
}

// udpOf returns where UDP begins behind a plain IP header, 0 if nowhere.
func udpOf(frame []byte) int {
	switch {
	case len(frame) > 42 && frame[12] == 8 && frame[13] == 0 && frame[23] == 17:
		return 34
	case len(frame) > 62 && frame[12] == 0x86 && frame[13] == 0xdd && frame[20] == 17:
		return 54
	}
	return 0
}

// isPartial reports whether the checksum field holds the pseudo-header's sum.
func isPartial(frame []byte) bool {
	at := udpOf(frame)
	return at > 0 && binary.BigEndian.Uint16(frame[at+6:]) == pseudoSum(frame, at)
}

// pseudoSum is the sum of the pseudo-header, as a driver leaves it.
func pseudoSum(frame []byte, at int) uint16 {
	addrs := frame[26:34]
	if at == 54 {
		addrs = frame[22:54]
	}
	pseudo := append(bytes.Clone(addrs), 0, 17, frame[at+4], frame[at+5])
	return ^wire.Checksum(pseudo)
}

// complete does what the device would.
func complete(frame []byte) {
	at := udpOf(frame)
	if at == 0 {
		return
	}
	end := at + int(binary.BigEndian.Uint16(frame[at+4:]))
	sum := wire.Checksum(frame[at:min(end, len(frame))])
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(frame[at+6:], sum)
}

// leavePartial makes a request one whose checksum is left to others.
func leavePartial(frame []byte) {
	if at := udpOf(frame); at > 0 {
		binary.BigEndian.PutUint16(frame[at+6:], pseudoSum(frame, at))
	}
}

// What cannot replace an answer does not leave the old one in force.
func TestFailedAnswerIsTakenAway(t *testing.T) {
	k := openKernel(t)
	o := newAnswerOracle4(t, k, withoutLimits(func(*nic.Binding) {}))
	discover := client4{kind: 1}.frame()
	if !o.agree(discover) {
		t.Fatal("a DISCOVER is handed up")
	}
	tooShort := func(*dhcp4.Compiled, uint64) (uint8, bool) { return 0, true }
	if err := putAnswer(k.maps.Answers4, place{lo, 1}, o.answers.DHCP4, tooShort); err == nil {
		t.Error("a value of one byte is put")
	}
	if o.agree(discover) {
		t.Error("what was in force before is answered")
	}
}

// A checksum that is complete and the pseudo-header's sum at once is the daemon's,
// whose replies always have one. The word at `free` is made such that it is both.
func handsUpBoth(o *answerOracle, frame []byte, free int) {
	o.Helper()
	leavePartial(frame)
	if !o.agree(frame) {
		o.Error("a checksum left to others is handed up")
	}
	at := udpOf(frame)
	binary.BigEndian.PutUint16(frame[free:], 0)
	rest := ^wire.Checksum(frame[at : at+int(binary.BigEndian.Uint16(frame[at+4:]))])
	both := [4]byte{}
	binary.BigEndian.PutUint16(both[:], rest)
	binary.BigEndian.PutUint16(both[2:], pseudoSum(frame, at))
	binary.BigEndian.PutUint16(frame[free:], wire.Checksum(both[:]))
	if o.agree(frame) {
		o.Errorf("answered, and nobody knows whether with a checksum: %x", frame)
	}
}

func TestChecksumThatMayBeBoth(t *testing.T) {
	k := openKernel(t)
	const secs, xid = 34 + 8 + 8, 54 + 8 + 2
	handsUpBoth(newAnswerOracle4(t, k, withoutLimits(func(*nic.Binding) {})), client4{kind: 1}.frame(), secs)
	id := opt6(1, 0, 3, 0, 1, 0x52, 0x54, 0, 0xaa, 0, 1)
	handsUpBoth(newAnswerOracle6(t, k, asked6()["router"]), framed6(message6(1, id, na6(1))), xid)
}

// withoutLimits is the corpus' binding, changed, with a rate that never ends.
func withoutLimits(change func(*nic.Binding)) *nic.Binding {
	b := corpus.Binding()
	b.Guard.Rate = nic.Rate{PerSecond: 1_000_000_000, Burst: 1_000_000_000}
	change(b)
	return b
}
