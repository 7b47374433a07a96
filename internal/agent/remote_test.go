package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/source"
	"github.com/berth-net/berth/internal/testenv"
)

// remote is a source that changes one binding at a time, on a node whose own
// directory declares tap0 and tap1 alone.
type remote struct {
	*node
	generation uint64
	refs       []*nic.Binding
}

func newRemote(t testing.TB, nics int) *remote {
	t.Helper()
	r := &remote{node: newNode(t, 2)}
	r.opt.Sources = append(r.opt.Sources, named("controller"))
	for i := 2; i < 2+nics; i++ {
		b := r.revision(i, 1, byte(10+i))
		testenv.Veth(t, r.ns, b.NIC, r.guest, b.NIC, b.MAC)
		r.refs = append(r.refs, b)
	}
	r.say()
	r.do("pass", func() error { r.pass(); return nil })
	return r
}

// revision is what the controller says of tap<i>.
func (r *remote) revision(i, revision int, last byte) *nic.Binding {
	b := from("controller", fmt.Sprintf("tap%03d", i), byte(i), last)
	b.MAC[4] = byte(i >> 8)
	b.Network = fmt.Sprint("lan", i>>7) // addresses and MACs are of 7 bits here
	b.Origin.File, b.Origin.Line = "controller/nic", revision
	return &b
}

// say publishes, and reports whether a pass is left to be made. Links that have
// come up since the last one would be a reason.
func (r *remote) say() (more bool) {
	r.Helper()
	r.do("pass", func() error { r.pass(); return nil })
	r.generation++
	r.hear(source.Update{Source: "controller", Generation: r.generation, Refs: r.refs})
	r.do("take", func() error { more = r.takeUpdates(); return nil })
	return more
}

// rival is of tap1, which the directory declares.
func (r *remote) rival() *nic.Binding {
	b := r.revision(1, 3, 77)
	b.NIC = "tap1"
	return b
}

func (r *remote) with(refs ...*nic.Binding) *remote {
	r.refs = refs
	return r
}

// inKernel is whether a NIC's rules are those of a binding.
func (r *remote) inKernel(b *nic.Binding) (is bool) {
	r.Helper()
	r.do("read back", func() error {
		rules, ok, err := r.opt.Kernel.Rules(r.ns.Index(b.NIC))
		is = ok && len(rules.IP4) == 1 && rules.IP4[0].Addr() == b.Addresses[0].Addr()
		return err
	})
	return is
}

// TestOneOfMany: what differs from the last update is in the kernel without a
// pass, and the revision of it is told; all else stays what it was.
func TestOneOfMany(t *testing.T) {
	r := newRemote(t, 3)
	now := r.revision(3, 7, 99)
	if r.with(r.refs[0], now, r.refs[2]).say() {
		t.Error("a pass is left to be made")
	}
	if !r.inKernel(now) || !r.inKernel(r.refs[0]) {
		t.Error("it is not in the kernel")
	}
	st, generation, _ := r.Standings("controller")
	if got := st["tap003"]; got.State != "in-force" || got.Revision != 7 || generation != 2 || st["tap002"].Revision != 1 || len(st) != 3 {
		t.Errorf("generation %d, %+v", generation, st)
	}
	s := st["tap003"]
	r.do("describe", func() error { r.Describe("tap003", &s); return nil })
	if len(s.Sources) != 1 || s.Sources[0].Addr() != now.Addresses[0].Addr() {
		t.Errorf("described as %+v", s)
	}
	if r.with(r.refs[0], now).say() {
		t.Error("a pass is left to be made of what is gone")
	}
	if st, _, _ := r.Standings("controller"); len(st) != 2 || r.wants.nic("tap004") != nil {
		t.Errorf("%+v", st)
	}
}

// TestRemoteGivesWay: the directory's binding of a NIC stays, and the controller
// is told; nor can the socket take what the controller declares.
func TestRemoteGivesWay(t *testing.T) {
	r := newRemote(t, 3)
	if !r.with(append([]*nic.Binding{r.rival()}, r.refs...)...).say() {
		t.Error("made alone, though the directory declares it")
	}
	r.do("pass", func() error { r.pass(); return nil })
	if st, _, _ := r.Standings("controller"); st["tap1"].State != "waiting" || st["tap1"].Reason != "conflict" || st["tap1"].Revision != 0 {
		t.Errorf("%+v", st["tap1"])
	}
	if r.inKernel(r.refs[0]) {
		t.Error("it took the directory's place")
	}
	r.do("set", func() error {
		_, err := r.set(context.Background(), "tap003", []byte("nic: tap003\nmac: 02:00:00:00:00:01\n"), api.SetOptions{})
		if !errors.Is(err, api.ErrConflict) {
			t.Errorf("the socket's: %v", err)
		}
		return nil
	})
}

func TestChanges(t *testing.T) {
	b := map[string]*nic.Binding{}
	for _, name := range []string{"a", "b", "c", "d"} {
		b[name] = &nic.Binding{NIC: name}
	}
	other := &nic.Binding{NIC: "b"}
	got, few := changes([]*nic.Binding{b["a"], b["b"], b["c"]}, []*nic.Binding{b["b"], b["c"], b["d"]})
	want := []change{{was: b["a"]}, {now: b["d"]}}
	if !few || !slices.Equal(want, got) {
		t.Errorf("%v, %t", got, few)
	}
	if got, few := changes([]*nic.Binding{b["b"]}, []*nic.Binding{other}); !few || len(got) != 1 || got[0].now != other {
		t.Errorf("%v, %t", got, few)
	}
	var many []*nic.Binding
	for i := range mostAlone + 1 {
		many = append(many, &nic.Binding{NIC: fmt.Sprintf("%03d", i)})
	}
	if _, few := changes(nil, many); few {
		t.Error("too many are few")
	}
}

// BenchmarkOneOfMany is from what the source says of one NIC to its rules and
// answers in the kernel.
func BenchmarkOneOfMany(b *testing.B) {
	r := newRemote(b, 200)
	r.do("pass", func() error { r.pass(); return nil })
	for i := 0; b.Loop(); i++ {
		refs := slices.Clone(r.refs)
		refs[50] = r.revision(52, i+2, byte(240+i%2))
		r.generation++
		r.refs = refs
		r.ns.Do(func() {
			r.hear(source.Update{Source: "controller", Generation: r.generation, Refs: refs})
			if r.takeUpdates() {
				b.Error("a pass is left to be made")
			}
		})
	}
	if !r.inKernel(r.refs[50]) {
		b.Error("it is not in the kernel")
	}
}
