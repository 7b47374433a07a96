package dhcp6

import (
	"bytes"
	"testing"

	"github.com/berth-net/berth/internal/nic"
)

// shapes are the bindings a guest may meet.
func shapes() []*nic.Binding {
	return []*nic.Binding{
		web1(),
		everything(),
		changed(relays, rapidly, unicasting, func(b *nic.Binding) { b.DHCP6.Preference, b.MTU = 255, 1280 }),
		planned(),
		bare(),
		changed(func(b *nic.Binding) { b.DHCP6.DUID, b.DHCP6.Refuse = []byte{0, 3, 0, 1, 1}, true }),
	}
}

// Every captured message, cut at every length and with every single bit
// turned, keeps to what is true of all outcomes.
func TestDamagedMessages(t *testing.T) {
	for _, c := range clientMessages(t) {
		for _, b := range shapes() {
			s := server(b)
			for n := range c.message {
				q := from(c.message[:n])
				checkOutcome(t, s, q, Answer(s, q))
			}
			m := bytes.Clone(c.message)
			for i := range 8 * len(m) {
				m[i/8] ^= 1 << (i % 8)
				checkOutcome(t, s, from(m), Answer(s, from(m)))
				m[i/8] ^= 1 << (i % 8)
			}
		}
	}
}

// FuzzAnswer: no guest message makes the server panic, change the message,
// say two things, or give what is not the binding's.
func FuzzAnswer(f *testing.F) {
	add := func(m []byte) {
		for i := range shapes() {
			f.Add(m, byte(i), i%2 == 0)
		}
	}
	for _, c := range clientMessages(f) {
		add(c.message)
		add(relayed(f, 0, opt(18, "01")+opt(37, "00000009")+opt(43, "0025"), c.message))
	}
	for kind, options := range clientTypes() {
		add(message16(f, kind, options...))
	}
	add(relayed(f, 1, "", relayed(f, 0, "", message16(f, solicit, clientID, na(1), ta(2), pd(3), rapid))))
	f.Fuzz(func(t *testing.T, m []byte, which byte, unicast bool) {
		s := server(shapes()[int(which)%len(shapes())])
		q := from(m)
		if unicast {
			q.Dst = s.Addr
		}
		before := bytes.Clone(m)
		o := Answer(s, q)
		if !bytes.Equal(before, m) {
			t.Fatal("the message was changed")
		}
		checkOutcome(t, s, q, o)
		again := Answer(s, q)
		if o.Reply != nil && !bytes.Equal(o.Reply.Message, again.Reply.Message) {
			t.Fatalf("%x, then %x", o.Reply.Message, again.Reply.Message)
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	s := server(everything())
	q := asks(b, solicit, clientID, na(1), pd(1), askAll)
	b.ReportAllocs()
	for b.Loop() {
		if Answer(s, q).Reply == nil {
			b.Fatal("no reply")
		}
	}
}
