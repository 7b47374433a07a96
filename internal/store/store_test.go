package store

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

func binding(name string, last byte) nic.Binding {
	return nic.Binding{
		NIC: name, Network: "gone", MAC: nic.MAC{0x52, 0x54, 0, 0, 0, last},
		Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, last}), 24)},
		DHCP4:     nic.DHCP4{Lease: 3600, MaxLease: 3600},
		DHCP6:     nic.DHCP6{Preferred: 3600, Valid: 7200},
		RA:        nic.RA{Interval: 600, Lifetime: 1800, Preferred: 3600, Valid: 7200},
		Guard:     nic.Guard{Checks: nic.AllChecks(), Rate: nic.Rate{PerSecond: 1, Burst: 1}},
		Origin:    nic.Origin{Source: "socket"},
	}
}

func open(t *testing.T, state string) *Store {
	t.Helper()
	s, err := Open(state)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s *Store, bs ...nic.Binding) {
	t.Helper()
	for _, b := range bs {
		if err := s.Put(&b); err != nil {
			t.Fatal(err)
		}
	}
}

// has asserts what a store opened anew holds.
func has(t *testing.T, state string, problems []string, want ...nic.Binding) {
	t.Helper()
	got, ps := open(t, state).All()
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()); d != "" {
		t.Errorf("bindings: -want +got\n%s", d)
	}
	if d := cmp.Diff(problems, texts(ps, state)); d != "" {
		t.Errorf("problems: -want +got\n%s", d)
	}
}

func texts(ps []manifest.Problem, state string) []string {
	var out []string
	for _, p := range ps {
		out = append(out, p.NIC+" "+strings.ReplaceAll(p.Error(), state, ""))
	}
	return out
}

func TestPutDelete(t *testing.T) {
	state := t.TempDir()
	s := open(t, state)
	put(t, s, binding("tap1", 1), binding("tap2", 2), binding("tap1", 3))
	has(t, state, nil, binding("tap1", 3), binding("tap2", 2))
	if err := s.Delete("tap1"); err != nil {
		t.Fatal(err)
	}
	has(t, state, nil, binding("tap2", 2))
	for _, name := range []string{"tap1", "../tap2", ""} {
		if err := s.Delete(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("deleting %q: %v, want fs.ErrNotExist", name, err)
		}
	}
	st, err := os.Stat(filepath.Join(state, "nics", "tap2.json"))
	if err != nil || st.Mode() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", st.Mode(), err)
	}
}

func TestPutRefusesInvalid(t *testing.T) {
	state := t.TempDir()
	s := open(t, state)
	b := binding("../x", 1)
	want := `store NIC ../x: nic "../x": character '/' is not allowed in an interface name`
	if err := s.Put(&b); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	has(t, state, nil)
}

// A record cut off at any byte, with any one bit wrong or anything behind it
// is never used: it is set aside, its NIC named, and the others are served.
func TestDamage(t *testing.T) {
	state := t.TempDir()
	put(t, open(t, state), binding("tap1", 1), binding("tap2", 2))
	path := filepath.Join(state, "nics", "tap1.json")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := [][]byte{append(whole[:len(whole):len(whole)], ' '), append(whole[:len(whole):len(whole)], whole...), append([]byte(" "), whole...)}
	for n := range whole {
		flipped := []byte(string(whole))
		flipped[n] ^= 1 << (n % 8)
		damaged = append(damaged, whole[:n], flipped)
	}
	for _, data := range damaged {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		got, problems := open(t, state).All()
		if len(got) != 1 || got[0].NIC != "tap2" {
			t.Fatalf("%q: bindings %v, want tap2 alone", data, got)
		}
		if len(problems) != 1 || problems[0].NIC != "tap1" {
			t.Fatalf("%q: problems %v, want one of tap1", data, problems)
		}
		// A format number that was hit may be a newer version's: it stays.
		kept, err := os.ReadFile(path + ".bad")
		if errors.Is(err, fs.ErrNotExist) && strings.Contains(problems[0].Text, "format") {
			kept, err = os.ReadFile(path)
		}
		if err != nil || string(kept) != string(data) {
			t.Fatalf("%q: the bad file was not kept: %q, %v", data, kept, err)
		}
		_ = os.Remove(path + ".bad")
	}
}

// A NIC whose record was damaged stays named over restarts until somebody
// sets or deletes it, and the bad file is never lost.
func TestQuarantineLasts(t *testing.T) {
	state := t.TempDir()
	put(t, open(t, state), binding("tap1", 1))
	path := filepath.Join(state, "nics", "tap1.json")
	spoil := func() {
		if err := os.WriteFile(path, []byte("{}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	spoil()
	first := []string{"tap1 /nics/tap1.json: cannot be read: format 0; this version reads 1; the NIC stays closed"}
	has(t, state, first)
	if err := os.WriteFile(path, []byte(`{"format":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	has(t, state, []string{"tap1 /nics/tap1.json.bad: damaged: the digest does not fit; set aside, and the NIC stays closed until it is set or deleted anew"})
	again := []string{"tap1 /nics/tap1.json.bad: damaged and set aside; the NIC stays closed until it is set or deleted anew"}
	has(t, state, again)
	put(t, open(t, state), binding("tap1", 2))
	has(t, state, nil, binding("tap1", 2))
	if data, err := os.ReadFile(path + ".mended"); err != nil || string(data) != `{"format":1}` {
		t.Errorf("the bad file is lost: %q, %v", data, err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, state).All()
	if err := open(t, state).Delete("tap1"); err != nil {
		t.Fatal(err)
	}
	has(t, state, nil)
}

// A record under another NIC's name is not that NIC's.
func TestRenamedRecord(t *testing.T) {
	state := t.TempDir()
	put(t, open(t, state), binding("tap1", 1))
	dir := filepath.Join(state, "nics")
	if err := os.Rename(filepath.Join(dir, "tap1.json"), filepath.Join(dir, "tap2.json")); err != nil {
		t.Fatal(err)
	}
	has(t, state, []string{"tap2 /nics/tap2.json.bad: holds the binding of another NIC; set aside, and the NIC stays closed until it is set or deleted anew"})
}

// What others could have written, and what is no file, is not read and not
// touched.
func TestUnsafeRecords(t *testing.T) {
	state := t.TempDir()
	put(t, open(t, state), binding("tap1", 1), binding("tap2", 2), binding("tap3", 3), binding("tap4", 4))
	at := func(n string) string { return filepath.Join(state, "nics", n+".json") }
	for _, err := range []error{
		os.Chmod(at("tap1"), 0o666),
		os.Rename(at("tap2"), filepath.Join(state, "elsewhere")),
		os.Symlink(filepath.Join(state, "elsewhere"), at("tap2")),
		os.Remove(at("tap3")),
		syscall.Mkfifo(at("tap3"), 0o600),
		os.Chown(at("tap4"), 12345, 0),
		os.Mkdir(at("tap5"), 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	has(t, state, []string{
		"tap1 /nics/tap1.json: cannot be read: mode 0666 lets others write to it; remove that (chmod go-w); the NIC stays closed",
		"tap2 /nics/tap2.json: cannot be read: not a regular file; the NIC stays closed",
		"tap3 /nics/tap3.json: cannot be read: not a regular file; the NIC stays closed",
		"tap4 /nics/tap4.json: cannot be read: owned by user id 12345, who is not trusted to write it; the NIC stays closed",
		"tap5 /nics/tap5.json: cannot be read: not a regular file; the NIC stays closed",
	})
}

func TestOpenRefusesUnsafeDirectory(t *testing.T) {
	state := t.TempDir()
	dir := filepath.Join(state, "nics")
	open(t, state)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("open store: %s: mode 0777 lets others write to it; remove that (chmod go-w)", dir)
	if _, err := Open(state); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// What a write leaves when it is killed before its rename is swept away; the
// record is the old one.
func TestInterruptedWrite(t *testing.T) {
	state := t.TempDir()
	put(t, open(t, state), binding("tap1", 1))
	left := filepath.Join(state, "nics", ".tap1.json123456789")
	if err := os.WriteFile(left, []byte(`{"form`), 0o600); err != nil {
		t.Fatal(err)
	}
	has(t, state, nil, binding("tap1", 1))
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the temporary file is still there: %v", err)
	}
}

// A full disk is told before anybody is told that the binding is kept; the
// old one stays, and it goes on when there is room again.
func TestDiskFull(t *testing.T) {
	state := t.TempDir()
	if err := syscall.Mount("berth-test", state, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(state, 0); err != nil {
			t.Error(err)
		}
	})
	s := open(t, state)
	put(t, s, binding("tap1", 1))
	ballast := filepath.Join(state, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	next := binding("tap1", 9)
	if err := s.Put(&next); !errors.Is(err, syscall.ENOSPC) || !strings.HasPrefix(err.Error(), "store NIC tap1: ") {
		t.Fatalf("got %v, want ENOSPC", err)
	}
	has(t, state, nil, binding("tap1", 1))
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	put(t, s, next)
	has(t, state, nil, next)
}

// A file system that has become read-only refuses both, and still reads.
func TestReadOnly(t *testing.T) {
	state := t.TempDir()
	if err := syscall.Mount("berth-test", state, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(state, 0); err != nil {
			t.Error(err)
		}
	})
	s := open(t, state)
	put(t, s, binding("tap1", 1))
	if err := syscall.Mount("", state, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	next := binding("tap1", 9)
	if err := s.Put(&next); !errors.Is(err, syscall.EROFS) {
		t.Errorf("put: %v, want EROFS", err)
	}
	if err := s.Delete("tap1"); !errors.Is(err, syscall.EROFS) {
		t.Errorf("delete: %v, want EROFS", err)
	}
	has(t, state, nil, binding("tap1", 1))
}
