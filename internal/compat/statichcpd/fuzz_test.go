package statichcpd

import (
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/nic"
)

func FuzzParseConfig(f *testing.F) {
	f.Add(needed + "dhcp_ratelimit = 5\n  6\n")
	f.Add("[DEFAULT]\na=%%\n[x\n")
	f.Fuzz(func(t *testing.T, s string) {
		cfg, errs, _ := ParseConfig([]File{{"a", []byte(s)}})
		if len(errs) > 0 {
			return
		}
		if _, problems := template(cfg); len(problems) > 0 {
			t.Errorf("accepted, but of no use: %s", printAll(problems))
		}
	})
}

func FuzzParseAttributes(f *testing.F) {
	f.Add("opcode,max_count,datatype\nDHCP_OPT_NBNS,1,IPV4\n", false)
	f.Add("23,100,IPV6\n", true)
	f.Fuzz(func(t *testing.T, s string, v6 bool) {
		list, _ := ParseAttributes("a", []byte(s), v6)
		for _, a := range list {
			if a.Code < 1 || a.Code > maxCode(v6) || a.Max < 1 || a.Type.String() == "" {
				t.Errorf("%+v", a)
			}
		}
	})
}

// Whatever the rows hold, a binding that comes out can be enforced.
func FuzzBuild(f *testing.F) {
	f.Add("256 192.0.2.10\n1 255.255.255.0\n121 10.0.0.0/8,192.0.2.1", "3 2001:db8::77\n25 2001:db8::/56", guest, true)
	f.Add("256 192.0.2.10\n3 10.0.0.1\n12 a_b", "3 0x1,2001:db8::77\n259 1", "11020000000001", false)
	f.Fuzz(func(t *testing.T, v4, v6, duid string, simple bool) {
		cfg := DefaultConfig()
		cfg.UseMACAsDUID, cfg.DisableIAID = simple, simple
		list := append(fuzzRows(v4, guest, false), fuzzRows(v6, duid, true)...)
		r := Build(list, cfg, attributes())
		for i := range r.Bindings {
			if err := nic.Validate(&r.Bindings[i]); err != nil {
				t.Error(err)
			}
		}
		if len(list) > 0 && len(r.Bindings)+len(r.Problems) == 0 {
			t.Error("neither a binding nor a problem")
		}
	})
}

func fuzzRows(s, client string, v6 bool) []Row {
	var out []Row
	for line := range strings.Lines(s) {
		number, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		code := 0
		for _, r := range number {
			code = (code*10 + int(r-'0')) & 0xffff
		}
		out = append(out, Row{Interface: "tap7", Client: client, Code: code, Value: value, RowID: int64(len(out)), V6: v6})
	}
	return out
}
