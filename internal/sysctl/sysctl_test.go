package sysctl_test

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/berth-net/berth/internal/sysctl"
	"github.com/berth-net/berth/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func TestKernelSet(t *testing.T) {
	ns := testenv.NewNS(t)
	ns.Exec("ip", "link", "add", "tap7", "type", "veth", "peer", "name", "guest")
	ns.Do(func() {
		quiet := sysctl.Setting{Name: "accept_ra", Value: "0"}
		if sysctl.IPv6.Has("tap7", quiet) {
			t.Error("holds what nobody set")
		}
		if err := sysctl.IPv6.Set("tap7", quiet); err != nil || !sysctl.IPv6.Has("tap7", quiet) {
			t.Errorf("not set: %v", err)
		}
		if v, err := sysctl.IPv6.Get("tap7", "accept_ra"); v != "0" || err != nil {
			t.Errorf("%q, %v", v, err)
		}
		if v, err := sysctl.IPv4.Get("all", "forwarding"); v == "" || err != nil {
			t.Errorf("of all: %q, %v", v, err)
		}
	})
}

// The file is read-only, so writing to it would fail.
func TestKernelSetAgain(t *testing.T) {
	ns := testenv.NewNS(t)
	ns.Do(func() {
		if err := sysctl.IPv4.Set("lo", sysctl.Setting{Name: "mc_forwarding", Value: "0"}); err != nil {
			t.Errorf("what is there already: %v", err)
		}
		if err := sysctl.IPv4.Set("lo", sysctl.Setting{Name: "mc_forwarding", Value: "1"}); err == nil {
			t.Error("a read-only file was written to")
		}
	})
}

func TestMissing(t *testing.T) {
	_, err := sysctl.IPv6.Get("notthere", "accept_ra")
	set := sysctl.IPv6.Set("notthere", sysctl.Setting{Name: "accept_ra", Value: "0"})
	if !errors.Is(err, fs.ErrNotExist) || !errors.Is(set, fs.ErrNotExist) {
		t.Errorf("read: %v, set: %v", err, set)
	}
}

func TestNames(t *testing.T) {
	held, err := sysctl.IPv4.Get("all", "forwarding")
	if err != nil {
		t.Fatal(err)
	}
	// Were they taken, writing what is there would do no harm.
	s := sysctl.Setting{Name: "forwarding", Value: held}
	for _, name := range []string{"", ".", "..", "../conf/lo", "a/b", "a\x00", "abcdefghijklmnop"} {
		if _, err := sysctl.IPv4.Get(name, s.Name); err == nil || errors.Is(err, fs.ErrNotExist) || sysctl.IPv4.Set(name, s) == nil {
			t.Errorf("%q was taken: %v", name, err)
		}
	}
	for _, name := range []string{"all", "default"} {
		if sysctl.CheckName(name) == nil || sysctl.IPv4.Set(name, s) == nil {
			t.Errorf("%q was taken for one interface", name)
		}
	}
}
