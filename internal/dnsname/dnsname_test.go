package dnsname_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/dnsname"
)

func TestAppend(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, c := range []struct {
		name, want string
		ok         bool
	}{
		{"example.org", "\x07example\x03org", true},
		{"example.org.", "\x07example\x03org", true},
		{"a", "\x01a", true},
		{long, "?" + long, true}, // 63 is '?'
		{long + "a", "", false},
		{"a..b", "", false},
		{"", "", false},
		{strings.Repeat("a.", 126) + "a", strings.Repeat("\x01a", 127), true},
		{strings.Repeat("a.", 127) + "a", "", false},
	} {
		got, ok := dnsname.Append([]byte("before"), c.name)
		if string(got) != "before"+c.want || ok != c.ok {
			t.Errorf("%q: %q %t, want %q %t", c.name, got, ok, "before"+c.want, c.ok)
		}
	}
}

func TestList(t *testing.T) {
	if got, want := string(dnsname.List([]string{"a.b", "c..d", "e"})), "\x01a\x01b\x00\x01e\x00"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := dnsname.List(nil); len(got) != 0 {
		t.Errorf("no names: %q", got)
	}
}

func TestSplitAndSearch(t *testing.T) {
	for _, c := range []struct{ hostname, declared, host, domain string }{
		{"web1", "", "web1", ""},
		{"web1.example.org", "", "web1", "example.org"},
		{"web1.example.org.", "", "web1", "example.org"},
		{"web1.example.org", "example.net.", "web1", "example.net"},
		{"", "example.org", "", "example.org"},
	} {
		if host, domain := dnsname.Split(c.hostname, c.declared); host != c.host || domain != c.domain {
			t.Errorf("%q, %q: %q %q, want %q %q", c.hostname, c.declared, host, domain, c.host, c.domain)
		}
	}
	if got := dnsname.Search(nil, "example.org"); !slices.Equal(got, []string{"example.org"}) {
		t.Errorf("the domain alone gives %q", got)
	}
	if got := dnsname.Search([]string{"a.test"}, "example.org"); !slices.Equal(got, []string{"a.test"}) {
		t.Errorf("a list gives %q", got)
	}
	if got := dnsname.Search(nil, ""); len(got) != 0 {
		t.Errorf("nothing gives %q", got)
	}
}
