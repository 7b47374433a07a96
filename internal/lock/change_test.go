package lock

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/testenv"
)

// A change of a few names leaves the lock as Apply would, and knows it without
// reading it; what anybody else changes is noticed, and nothing done on top.
func TestKernelChange(t *testing.T) {
	ns := testenv.NewNS(t)
	l := open(t, ns)
	changed := func(want bool) {
		t.Helper()
		if got, err := l.Changed(); err != nil || got != want {
			t.Errorf("changed: %t, %v; want %t", got, err, want)
		}
	}
	if err := l.Change([]string{"tap1"}, nil); !errors.Is(err, ErrChanged) {
		t.Errorf("a lock that nobody has read is changed: %v", err)
	}
	changed(true)
	apply(t, l, Desired{Mark: DefaultMark, Names: []string{"tap1", "tap2"}, Patterns: []string{"vm*"}})
	changed(false)
	for range 3 {
		if err := l.Change([]string{"tap3", "tap2"}, []string{"tap1"}); err != nil {
			t.Fatal(err)
		}
		changed(false)
		if err := l.Change([]string{"tap1"}, []string{"tap3"}); err != nil {
			t.Fatal(err)
		}
		changed(false)
	}
	want := Desired{Mark: DefaultMark, Names: []string{"tap1", "tap2"}, Patterns: []string{"vm*"}}
	if got, err := l.Read(); err != nil || !cmp.Equal(want, got) {
		t.Errorf("%v: -want +got\n%s", err, cmp.Diff(want, got))
	}
	ns.Exec("nft", "add", "table", "ip", "somebody")
	changed(true)
	if err := l.Change([]string{"tap9"}, nil); !errors.Is(err, ErrChanged) {
		t.Errorf("a lock that may be another by now is changed: %v", err)
	}
	if got, err := l.Read(); err != nil || !cmp.Equal(want, got) {
		t.Errorf("%v: -want +got\n%s", err, cmp.Diff(want, got))
	}
	changed(false)
	if err := l.Change([]string{"a/b"}, nil); err == nil {
		t.Error("a name that no interface has is taken")
	}
	if err := l.Change(nil, []string{"tap9"}); err == nil {
		t.Error("a name that is not there is taken away")
	}
	changed(true)
	apply(t, l, want)
	changed(false)
}
