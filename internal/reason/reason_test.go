package reason_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/reason"
)

func TestListIsClosedAndOrdered(t *testing.T) {
	form := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	names := map[string]bool{}
	last := reason.None
	for _, i := range reason.All() {
		switch {
		case i.Reason <= last:
			t.Errorf("%s (%d) is not after %d", i.Name, i.Reason, last)
		case names[i.Name]:
			t.Errorf("%s stands twice", i.Name)
		case !form.MatchString(i.Name):
			t.Errorf("%q is not kebab-case", i.Name)
		case i.Text == "" || strings.HasSuffix(i.Text, "."):
			t.Errorf("%s: text %q", i.Name, i.Text)
		case i.Room == "guard" && i.Reason >= 64:
			t.Errorf("%s (%d) does not fit the kernel's counters", i.Name, i.Reason)
		}
		last, names[i.Name] = i.Reason, true
	}
}

func TestTextForm(t *testing.T) {
	for _, i := range reason.All() {
		text, err := i.Reason.MarshalText()
		if err != nil || string(text) != i.Name || i.Reason.Text() != i.Text {
			t.Errorf("%d is written %q (%v)", i.Reason, text, err)
		}
		var back reason.Reason
		if err := back.UnmarshalText(text); err != nil || back != i.Reason {
			t.Errorf("%q is read as %d (%v)", text, back, err)
		}
	}
	var r reason.Reason
	if err := r.UnmarshalText([]byte("none")); err != nil || r != reason.None {
		t.Errorf("none is read as %d (%v)", r, err)
	}
	if err := r.UnmarshalText([]byte("nonsense")); err == nil {
		t.Error("nonsense is a reason")
	}
	if got := reason.Reason(200).String(); got != "reason-200" {
		t.Errorf("unknown reason prints %q", got)
	}
}

// The kernel program counts by the same numbers.
func TestKernelHeader(t *testing.T) {
	data, err := os.ReadFile("../datapath/bpf/reasons.h")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`REASON_([A-Z0-9_]+) = (\d+),`)
	found := 0
	for _, m := range line.FindAllStringSubmatch(string(data), -1) {
		var r reason.Reason
		name := strings.ReplaceAll(strings.ToLower(m[1]), "_", "-")
		if err := r.UnmarshalText([]byte(name)); err != nil {
			t.Errorf("reasons.h: %v", err)
		}
		if got := strconv.Itoa(int(r)); got != m[2] {
			t.Errorf("reasons.h: %s is %s, want %s", name, m[2], got)
		}
		found++
	}
	want := 0
	for _, i := range reason.All() {
		if i.Room == "guard" {
			want++
		}
	}
	if found != want {
		t.Errorf("reasons.h has %d reasons, want %d", found, want)
	}
}

// Containment is what stays enforced in every mode.
func TestContainment(t *testing.T) {
	want := map[string]bool{
		"no-binding": true, "dhcp-server": true, "dhcp-foreign": true,
		"dhcp-disguised": true, "dhcp-rate": true, "dhcp-ring-full": true,
		"to-berth": true, "as-berth": true, "ra-rogue": true, "ra-foreign": true, "nd-fragment": true,
	}
	for _, i := range reason.All() {
		if got := i.Reason.Containment(); got != want[i.Name] {
			t.Errorf("%s is containment: %t", i.Name, got)
		}
	}
}
