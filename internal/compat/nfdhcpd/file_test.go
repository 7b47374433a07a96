package nfdhcpd

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWanted(t *testing.T) {
	for name, want := range map[string]bool{
		"tap0": true, "vif1.0": true, "eth0.100": true, "fifteen-letters": true,
		".tap0": false, ".tap0.swp": false, "tap0~": false, "tap0.swp": false, "tap0.swx": false, "tap0.tmp": false,
		"#tap0#": false, "sixteen-letters-": false, "a/b": false, "..": false, "": false, "tap 0": false, "tap:0": false,
	} {
		if got := (Format{}).Wanted(name); got != want {
			t.Errorf("%q wanted: %v, want %v", name, got, want)
		}
	}
}

func TestLines(t *testing.T) {
	tests := []struct {
		text string
		want map[string]entry
	}{
		{"MAC=a\nIP=b\n", map[string]entry{"MAC": {"a", 1}, "IP": {"b", 2}}},
		{"MAC=a\r\n\r\n# c\r\n  IP = b\r\n", map[string]entry{"MAC": {"a", 1}, "IP": {"b", 4}}},
		{"MTU=\nPRIVATE=\"\"\nMACSPOOF= # off\n", map[string]entry{"MTU": {"", 1}, "PRIVATE": {"", 2}, "MACSPOOF": {"", 3}}},
		{"TAGS=a=b=c", map[string]entry{"TAGS": {"a=b=c", 1}}},
		{"TAGS=a#b # c", map[string]entry{"TAGS": {"a#b", 1}}},
		{"TAGS='a # b' # c\nMAC=\"d\"", map[string]entry{"TAGS": {"a # b", 1}, "MAC": {"d", 2}}},
		{"TAGS='a' b", map[string]entry{"TAGS": {"'a' b", 1}}},
		{"TAGS='a", map[string]entry{"TAGS": {"'a", 1}}},
		{"IP=a\nIP=b\n", map[string]entry{"IP": {"a", 1}}},
		{"ip=a\nNETWORK_NAME=b\nXIP=c\n", map[string]entry{}},
	}
	for _, test := range tests {
		d := &draft{file: tapFile, name: "tap0"}
		if diff := cmp.Diff(test.want, d.lines([]byte(test.text)), cmp.AllowUnexported(entry{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.text, diff)
		}
		told(t, tapFile, nil, d.warnings)
	}
}

func TestLinesThatAreNone(t *testing.T) {
	got := configured(t, conf).Warnings(tapFile, []byte("MTU\n"+bridged), host())
	told(t, tapFile, []string{`1:1: not KEY=value; ignored`}, got)
}

func TestFilesThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		"MAC=\xff":                   "not UTF-8 text",
		"MAC=a\x00":                  "not UTF-8 text",
		strings.Repeat("#", 1<<20+1): "longer than 1048576 bytes",
	} {
		r := configured(t, conf).Parse(tapFile, []byte(text), host())
		told(t, tapFile, []string{want, "MAC: missing: a NIC needs its guest's MAC address"}, r.Problems)
		equal(t, []string{"tap0"}, r.Names)
	}
}
