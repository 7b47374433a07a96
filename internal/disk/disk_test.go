package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/disk"
)

func TestKeptOutlivesItsWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kept")
	first := disk.Kept{Path: path}
	if err := first.Load(func([]byte) error { return errors.New("there is nothing to read") }); err != nil {
		t.Fatal(err)
	}
	if err := first.Store([]byte("one")); err != nil {
		t.Fatal(err)
	}
	var got string
	second := disk.Kept{Path: path}
	if err := second.Load(func(d []byte) error { got = string(d); return nil }); err != nil || got != "one" {
		t.Fatalf("loaded %q, %v", got, err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", st.Mode(), err)
	}
}

func TestKeptWritesOnlyWhatChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kept")
	k := disk.Kept{Path: path}
	if err := k.Store([]byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := k.Store([]byte("one")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the same bytes were written twice")
	}
}

func TestKeptSetsDamageAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kept")
	if err := os.WriteFile(path, []byte("garbled"), 0o600); err != nil {
		t.Fatal(err)
	}
	k := disk.Kept{Path: path}
	err := k.Load(func([]byte) error { return errors.New("the digest does not fit") })
	if err == nil || !strings.Contains(err.Error(), "the digest does not fit") || !strings.Contains(err.Error(), "kept.bad") {
		t.Errorf("error %v", err)
	}
	if aside, err := os.ReadFile(path + ".bad"); err != nil || string(aside) != "garbled" {
		t.Errorf("set aside %q, %v", aside, err)
	}
}

func TestZeroKeptKeepsNothing(t *testing.T) {
	var k disk.Kept
	if err := errors.Join(k.Load(func([]byte) error { return errors.New("no") }), k.Store([]byte("x"))); err != nil {
		t.Error(err)
	}
}
