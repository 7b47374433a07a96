package port

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// in runs f inside and fails for its error.
func in(t *testing.T, ns *testenv.NS, f func() error) {
	t.Helper()
	var err error
	ns.Do(func() { err = f() })
	if err != nil {
		t.Fatal(err)
	}
}

func TestKernelPort(t *testing.T) {
	ns := testenv.NewNS(t)
	testenv.Tap(t, ns, "tap7")
	testenv.Bridge(t, ns, "br0")
	mac := nic.MAC{0xcc, 'G', 'R', 'N', 'E', 'T'}
	in(t, ns, func() error {
		return errors.Join(SetDown("tap7"), SetMTU("tap7", 1400), SetMAC("tap7", mac), Plug("tap7", "br0"))
	})
	look := func() (s State) {
		in(t, ns, func() (err error) {
			s, err = Look("tap7")
			return err
		})
		return s
	}
	if s := look(); s != (State{MAC: mac, MTU: 1400, Bridge: "br0"}) {
		t.Errorf("plugged in, %+v", s)
	}
	in(t, ns, func() error { return errors.Join(SetUp("tap7"), Unplug("tap7")) })
	if s := look(); s != (State{MAC: mac, Up: true, MTU: 1400}) {
		t.Errorf("unplugged, %+v", s)
	}
	ns.Do(func() {
		if err := Plug("tap7", "tap7"); err == nil {
			t.Error("a tap was taken for a bridge")
		}
		for _, err := range []error{SetUp("tap8"), Plug("tap7", "br8"), Plug("tap8", "br0")} {
			if !errors.Is(err, ErrGone) {
				t.Errorf("of what is not there: %v", err)
			}
		}
	})
}

func TestKernelUplink(t *testing.T) {
	ns := testenv.NewNS(t)
	testenv.Tap(t, ns, "up0")
	testenv.Tap(t, ns, "up1")
	ns.Sh(`ip route add 10.0.0.0/8 dev up1 table 100; ip route add default dev up0 table 100; ip route add default dev up1 table 101
		ip -6 route add default dev up1 table 100`)
	for _, c := range []struct {
		table uint32
		is6   bool
		want  string
	}{{100, false, "up0"}, {100, true, "up1"}, {101, false, "up1"}, {101, true, ""}, {254, false, ""}, {999, false, ""}} {
		in(t, ns, func() error {
			got, err := Uplink(c.table, c.is6)
			if got != c.want {
				t.Errorf("table %d, IPv6 %v: %q, want %q", c.table, c.is6, got, c.want)
			}
			return err
		})
	}
}

func TestTable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rt_tables")
	text := "# reserved\n254\tmain\n100 snf_public # ours\nx broken\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for s, want := range map[string]uint32{"100": 100, "0x64": 100, "snf_public": 100, "main": 254} {
		if got, err := Table(s, file+".none", file); err != nil || got != want {
			t.Errorf("%q: %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "nosuch", "broken", "-1", "4294967296"} {
		if _, err := Table(s, file); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}
