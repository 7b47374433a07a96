package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The DUID is made once, and is the same whenever berthd starts again.
func TestServerDUIDIsKept(t *testing.T) {
	state := t.TempDir()
	first, err := serverDUID("", state)
	if err != nil {
		t.Fatal(err)
	}
	if len(first) != 18 || first[0] != 0 || first[1] != 4 || first[8]>>4 != 4 || first[10]>>6 != 2 {
		t.Errorf("%x is no DUID of a version 4 UUID", first)
	}
	again, err := serverDUID("", state)
	if err != nil || !bytes.Equal(again, first) {
		t.Errorf("second start: %x, %v; want %x", again, err, first)
	}
	other, err := serverDUID("", t.TempDir())
	if err != nil || bytes.Equal(other, first) {
		t.Errorf("another node made the same DUID: %x, %v", other, err)
	}
	left, err := os.ReadDir(state)
	if err != nil || len(left) != 1 {
		t.Errorf("left in the state directory: %v, %v", left, err)
	}
}

func TestServerDUIDConfigured(t *testing.T) {
	state := t.TempDir()
	got, err := serverDUID("00:03:00:01:52:54:00:aa:00:01", state)
	if want := []byte{0, 3, 0, 1, 0x52, 0x54, 0, 0xaa, 0, 1}; err != nil || !bytes.Equal(got, want) {
		t.Errorf("%x, %v; want %x", got, err, want)
	}
	if got, err := serverDUID(strings.Repeat("ab", 18), state); err != nil || len(got) != 18 {
		t.Errorf("the longest is %x, %v", got, err)
	}
	for bad, why := range map[string]string{
		"0003": "want 3 to 18 octets in hex", "zz": "want 3 to 18 octets in hex", "00:03:0": "want 3 to 18 octets in hex",
		strings.Repeat("ab", 19): "it has 19 octets, and every reply must have room for it: want 3 to 18",
	} {
		if _, err := serverDUID(bad, state); err == nil || !strings.HasPrefix(err.Error(), `duid "`+bad+`": `+why) {
			t.Errorf("%q: error %v, want one that names it and says: %s", bad, err, why)
		}
	}
}

func TestServerDUIDBroken(t *testing.T) {
	state := t.TempDir()
	file := filepath.Join(state, "duid")
	if err := os.WriteFile(file, []byte("half a du"), 0o600); err != nil {
		t.Fatal(err)
	}
	// A client knows the old one: making another would be worse than stopping.
	if _, err := serverDUID("", state); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("error %v, want one that names %s", err, file)
	}
}
