package agent

import (
	"testing"

	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

func binding(t *testing.T, doc string) *nic.Binding {
	t.Helper()
	r := manifest.Parse("f", []byte(doc), manifest.Networks{})
	if len(r.Problems) > 0 {
		t.Fatal(r.Problems)
	}
	return &r.Bindings[0]
}

func TestDifference(t *testing.T) {
	one := binding(t, "nic: tap7\nmac: 52:54:00:00:00:07\naddresses: [192.0.2.10/24]\ndhcp4: {lease: 1h}\n")
	two := binding(t, "nic: tap7\nmac: 52:54:00:00:00:07\naddresses: [192.0.2.11/24]\ndhcp4: {lease: 1h}\nhostname: web\n")
	const whole = `addresses=["192.0.2.10/24"] dhcp4.lease="1h" dhcp4.max-lease="1h" dhcp4.t1="30m" dhcp4.t2="52m30s" mac="52:54:00:00:00:07" nic="tap7"`
	for name, c := range map[string]struct {
		before, after *nic.Binding
		was, is       string
	}{
		"new":     {nil, one, "none", whole},
		"gone":    {one, nil, whole, "none"},
		"changed": {one, two, `addresses=["192.0.2.10/24"] hostname=""`, `addresses=["192.0.2.11/24"] hostname="web"`},
		"nothing": {nil, nil, "none", "none"},
	} {
		if was, is := difference(c.before, c.after); was != c.was || is != c.is {
			t.Errorf("%s: before %s\nwant %s\nafter %s\nwant %s", name, was, c.was, is, c.is)
		}
	}
}
