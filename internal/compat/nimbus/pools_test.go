package nimbus

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/fleet"
)

func TestPools(t *testing.T) {
	for _, tt := range []struct{ name, file, want, problems string }{
		{
			"a pool", `
# addresses of the cluster
192.0.2.53
node-a 192.0.2.10 192.0.2.1 192.0.2.255 255.255.255.0
node-b 192.0.2.11 192.0.2.1 none none
node-c 192.0.2.20 192.0.2.1 192.0.2.255 255.255.255.0 A2:AA:BB:00:00:01
`, `{"kind":"network","name":"public","projects":["*"],"prefixes":["192.0.2.0/24"],"mac-prefix":"02:62:65","defaults":{"dns":["192.0.2.53"],"gateway":"192.0.2.1"}}
{"kind":"pool","name":"public","network":"public","default":true,"ranges":["192.0.2.10-192.0.2.11","192.0.2.20"],"fixed":[{"address":"192.0.2.10","hostname":"node-a"},{"address":"192.0.2.11","hostname":"node-b"},{"address":"192.0.2.20","hostname":"node-c","mac":"a2:aa:bb:00:00:01"}]}
`, "",
		},
		{
			"without any of it", "none\nx 10.0.0.2 none none 255.255.255.252\n",
			`{"kind":"network","name":"public","projects":["*"],"prefixes":["10.0.0.0/30"],"mac-prefix":"02:62:65"}
{"kind":"pool","name":"public","network":"public","default":true,"ranges":["10.0.0.2"],"fixed":[{"address":"10.0.0.2","hostname":"x"}]}
`, "",
		},
		{"no line for DNS", "# nothing\n", "", ""},
		{"an entry in its place", "x 10.0.0.2 none none 255.255.255.0\n", "", `dir/public:1:1: dns "x": the first line is one DNS server, or none
`},
		{"bad lines cost themselves", `none
x 10.0.0.2 10.0.0.1 none 255.255.255.0
y 10.0.0.2 10.0.0.1 none 255.255.255.0
z 10.0.0.3
none none 10.0.0.1 none 255.255.255.0
v 10.0.0.4 10.0.0.9 none 255.255.255.0
w 10.0.0.255 10.0.0.1 none 255.255.255.0
u 10.1.0.5 10.0.0.1 none none
`, `{"kind":"network","name":"public","projects":["*"],"prefixes":["10.0.0.0/24"],"mac-prefix":"02:62:65","defaults":{"gateway":"10.0.0.1"}}
{"kind":"pool","name":"public","network":"public","default":true,"ranges":["10.0.0.2"],"fixed":[{"address":"10.0.0.2","hostname":"x"}]}
`, `dir/public:3:1: ip "10.0.0.2": is at dir/public:2 already
dir/public:4:1: 2 words; an entry is ` + "`hostname ip gateway broadcast mask [MAC]`" + `
dir/public:5:1: ip "none": not an IPv4 address
dir/public:6:1: gateway "10.0.0.9": the lines above have 10.0.0.1; all of a network have the same: put it into a file of its own
dir/public:7:1: ip "10.0.0.255": the broadcast address of 10.0.0.0/24
dir/public:8:1: mask: missing, and no other line says which subnet 10.1.0.5 is in
`},
		{"a hostname that is none", "none\na_b 10.0.0.2 none none 255.255.255.0\n", "", `dir/public:2:1: hostname "a_b": label "a_b" is not letters, digits and inner hyphens (RFC 1123 section 2.1)
dir/public: no entry is left
`},
	} {
		list, problems := Pools("dir/public", []byte(tt.file))
		var got, bad strings.Builder
		for _, r := range list {
			text, err := fleet.Encode(r)
			if err != nil {
				t.Fatal(err)
			}
			got.Write(append(text, '\n'))
		}
		for _, p := range problems {
			bad.WriteString(p.Error() + "\n")
		}
		if d := cmp.Diff(tt.want, got.String()); d != "" {
			t.Errorf("%s: -want +got\n%s", tt.name, d)
		}
		if d := cmp.Diff(tt.problems, bad.String()); d != "" {
			t.Errorf("%s: problems -want +got\n%s", tt.name, d)
		}
	}
}

func FuzzPools(f *testing.F) {
	f.Add([]byte("192.0.2.53\nnode-a 192.0.2.10 192.0.2.1 192.0.2.255 255.255.255.0 A2:AA:BB:00:00:01\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, _ := Pools("public", data)
		for _, r := range list {
			if err := r.Validate(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
