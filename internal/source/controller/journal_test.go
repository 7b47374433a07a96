package controller

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/nodelink"
)

func doc(t testing.TB, nic string, last int) nodelink.Document {
	t.Helper()
	d, err := nodelink.NewDocument(nic, "the-"+nic, int64(last), []byte(body(nic, last)))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// keep has a journal keep changes, each after the one before.
func keep(t testing.TB, path string, changes ...nodelink.Change) *set {
	t.Helper()
	j, s := journal{path: path}, newSet("n1")
	for i, c := range changes {
		s.take(c)
		if err := j.add(c, mark{CA: "ca", Site: "s", Node: "n1", Generation: int64(i + 1)}, s); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	return s
}

// text prints a set: addresses by NIC.
func text(s *set) string {
	var b strings.Builder
	for _, r := range s.refs {
		fmt.Fprintf(&b, "%s=%s ", r.NIC, r.Addresses[0].Addr())
	}
	return strings.TrimSpace(b.String())
}

func sample(t testing.TB) []nodelink.Change {
	t.Helper()
	return []nodelink.Change{
		{Set: []nodelink.Document{doc(t, "tap1", 1), doc(t, "tap2", 2)}},
		{Set: []nodelink.Document{doc(t, "tap3", 3)}, Gone: []string{"tap1"}},
		{Set: []nodelink.Document{doc(t, "tap1", 9)}},
	}
}

func TestJournalKeepsEachChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), setFile)
	was := keep(t, path, sample(t)...)
	s, m, err := (&journal{path: path}).load()
	if err != nil || text(s) != text(was) || text(s) != "tap1=192.0.2.9 tap2=192.0.2.2 tap3=192.0.2.3" {
		t.Fatalf("%s, %v", text(s), err)
	}
	if p := s.mirror.Position(); m.Generation != 3 || p.Generation != 3 || p.Count != 3 || p.Site != "s" {
		t.Errorf("%+v, %+v", m, p)
	}
}

// What a power failure leaves of the last change is as if it had not been made,
// wherever the file ends.
func TestJournalEndsAnywhere(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole")
	keep(t, whole, sample(t)[:2]...)
	before, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	keep(t, whole, sample(t)...)
	data, err := os.ReadFile(whole)
	if err != nil || !bytes.HasPrefix(data, before) {
		t.Fatal("the last change is not behind the others", err)
	}
	for end := len(before); end < len(data); end++ {
		path := filepath.Join(dir, "torn")
		if err := os.WriteFile(path, data[:end], 0o600); err != nil {
			t.Fatal(err)
		}
		j := journal{path: path}
		s, m, err := j.load()
		if err != nil || m.Generation != 2 || text(s) != "tap2=192.0.2.2 tap3=192.0.2.3" {
			t.Fatalf("cut at %d of %d: generation %d, %s, %v", end, len(data), m.Generation, text(s), err)
		}
		if end%50 == 0 {
			goOn(t, &j, s)
		}
	}
}

// goOn keeps a further change behind what was loaded.
func goOn(t *testing.T, j *journal, s *set) {
	t.Helper()
	s.take(nodelink.Change{Gone: []string{"tap2"}})
	if err := errors.Join(j.add(nodelink.Change{Gone: []string{"tap2"}}, mark{Node: "n1", Generation: 4}, s), j.close()); err != nil {
		t.Fatal(err)
	}
	if s, m, err := (&journal{path: j.path}).load(); err != nil || m.Generation != 4 || text(s) != "tap3=192.0.2.3" {
		t.Fatalf("after a further change: generation %d, %s, %v", m.Generation, text(s), err)
	}
}

// One bit costs one NIC at most, never gives one another binding, and is told.
func TestJournalIsSealed(t *testing.T) {
	path := filepath.Join(t.TempDir(), setFile)
	keep(t, path, sample(t)[0])
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	marks := bytes.LastIndexByte(data[:len(data)-1], '\n') // where the mark begins: without it there is no set
	for at := 0; at < marks; at += 7 {
		bad := bytes.Clone(data)
		bad[at] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		s, _, err := (&journal{path: path}).load()
		if err == nil || !strings.Contains(err.Error(), "set aside as set.bad") {
			t.Fatalf("bit at %d: %v", at, err)
		}
		if got := text(s); got != "tap1=192.0.2.1" && got != "tap2=192.0.2.2" {
			t.Fatalf("bit at %d: %s is left", at, got)
		}
	}
}

// A journal does not grow for ever.
func TestJournalIsWrittenAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), setFile)
	j, s := journal{path: path}, newSet("n1")
	for i := range 200 {
		var c nodelink.Change
		for n := range 20 {
			c.Set = append(c.Set, doc(t, fmt.Sprintf("tap%d", n), (i+n)%200+1))
		}
		s.take(c)
		if err := j.add(c, mark{Node: "n1", Generation: int64(i + 1)}, s); err != nil {
			t.Fatal(err)
		}
	}
	st, err := os.Stat(path)
	if err != nil || st.Size() > slack+1<<16 {
		t.Errorf("%d octets, %v", st.Size(), err)
	}
	back, m, err := (&journal{path: path}).load()
	if err != nil || m.Generation != 200 || text(back) != text(s) {
		t.Errorf("generation %d, %s, %v", m.Generation, text(back), err)
	}
}

// FuzzJournal: whatever the file holds, what is taken from it is a set of
// bindings that were sealed.
func FuzzJournal(f *testing.F) {
	path := filepath.Join(f.TempDir(), setFile)
	keep(f, path, sample(f)...)
	data, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, _, _, _ := replay(data)
		for _, b := range s.refs {
			if n := b.Addresses[0].Addr().As4()[3]; n == 0 || n > 9 {
				t.Errorf("%s has %s, which nobody wrote", b.NIC, b.Addresses)
			}
		}
	})
}
