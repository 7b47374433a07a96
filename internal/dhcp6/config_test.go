package dhcp6

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// sent returns a reply's options after the head, in hex.
func sent(t *testing.T, o Outcome) string {
	t.Helper()
	if o.Reply == nil {
		t.Fatalf("no reply: %s", o.Reason)
	}
	var s strings.Builder
	for _, p := range top(t, o.Reply.Message) {
		if p.code > 2 && !isIA(p.code) {
			s.WriteString(opt(int(p.code), unhexed(p.data)))
		}
	}
	return s.String()
}

func unhexed(b []byte) string { return text(string(b)) }

const (
	dns     = "00170010" + "20010db8000000000000000000000053"
	search  = "0018000d" + "076578616d706c65036f726700"
	bootURL = "https://b/"
)

// Option 6 decides, in its order.
func TestOptionRequest(t *testing.T) {
	for name, c := range map[string]struct {
		binding    *nic.Binding
		asks, want string
	}{
		"none: what no host does without": {web1(), "", dns + search},
		"empty":                           {web1(), oro(), ""},
		"one":                             {web1(), oro(24), search},
		"reversed":                        {web1(), oro(24, 23), search + dns},
		"repeated":                        {web1(), oro(23, 23, 24, 23), dns + search},
		"what there is not":               {web1(), oro(31, 56, 59, 60, 82, 83, 103, 200), ""},
		"the protocol's own":              {everything(), oro(1, 2, 3, 5, 6, 7, 12, 13, 14, 18, 20, 25, 26), ""},
		"refresh time, not here":          {everything(), oro(32), ""},
		"SNTP and NTP":                    {everything(), oro(31, 56), "001f0020" + ntp1 + ntp2 + "00380014" + "00010010" + ntp1 + "00380014" + "00010010" + ntp2},
		"SOL_MAX_RT and INF_MAX_RT":       {everything(), oro(83, 82), "00530004" + "00000384" + "00520004" + "00000258"},
		"captive portal":                  {everything(), oro(103), opt(103, text("https://example.org/portal"))},
		"several instances":               {everything(), oro(200), opt(200, text("one")) + opt(200, text("two"))},
	} {
		t.Run(name, func(t *testing.T) {
			got := sent(t, Answer(server(c.binding), asks(t, solicit, clientID, na(1), c.asks)))
			if want := strings.ReplaceAll(c.want, " ", ""); got != want {
				t.Errorf("sent %s\nwant %s", got, want)
			}
		})
	}
}

const (
	ntp1 = "20010db8000000000000000000000123"
	ntp2 = "20010db8000000000000000000000124"
)

// The binding's options win over derived ones, and none of them is the
// protocol's.
func TestOwnOptions(t *testing.T) {
	b := changed(func(b *nic.Binding) {
		b.DHCP6.Refresh = 7200
		b.DHCP6.Options = []nic.Option6{{Code: 23, Data: []byte("x")}, {Code: 23, Data: []byte("y")}, {Code: 32, Data: []byte("z")}}
		for code := range uint16(50) {
			if reserved(code) {
				b.DHCP6.Options = append(b.DHCP6.Options, nic.Option6{Code: code, Data: []byte("no")})
			}
		}
	})
	own := opt(23, text("x")) + opt(23, text("y"))
	all := make([]int, 50)
	for i := range all {
		all[i] = i
	}
	if got := sent(t, Answer(server(b), asks(t, request, clientID, serverID, na(1), oro(all...)))); got != own+search {
		t.Errorf("sent %s", got)
	}
	if got := sent(t, Answer(server(b), asks(t, informationRequest, clientID, oro(23, 32)))); got != own+opt(32, text("z")) {
		t.Errorf("sent %s", got)
	}
}

// The search list is the domain's if there is none, and the domain the host
// name's.
func TestSearchList(t *testing.T) {
	for name, c := range map[string]struct {
		host, domain string
		list         []string
		want         string
	}{
		"list":                {"web1", "example.org", []string{"a.b", "c."}, "0161016200" + "016300"},
		"domain":              {"web1", "a.b.", nil, "0161016200"},
		"of the host name":    {"web1.a.b.", "", nil, "0161016200"},
		"declared first":      {"web1.a.b", "c", nil, "016300"},
		"none":                {"web1", "", nil, ""},
		"what has no form":    {"", "", []string{"a..b", "c", strings.Repeat("x", 64)}, "016300"},
		"too long in all":     {"", "", []string{strings.Repeat("abcdefg.", 32) + "h", "c"}, "016300"},
		"nothing has a form":  {"", "", []string{"."}, ""},
		"the longest allowed": {"", "", []string{strings.Repeat("abcdefg.", 31) + "hijkl"}, strings.Repeat("07"+text("abcdefg"), 31) + "05" + text("hijkl") + "00"},
	} {
		b := changed(func(b *nic.Binding) { b.Hostname, b.Domain, b.Search = c.host, c.domain, c.list })
		want := ""
		if c.want != "" {
			want = opt(24, c.want)
		}
		if got := sent(t, Answer(server(b), asks(t, solicit, clientID, oro(24)))); got != want {
			t.Errorf("%s: sent %s, want %s", name, got, want)
		}
	}
}

// Option 39 gets the binding's own name; S=0, N=1, O if S was wished for.
func TestClientFQDN(t *testing.T) {
	for name, c := range map[string]struct {
		host, domain, asks, want string
	}{
		"whole name":      {"web1", "example.org", opt(39, "00") + oro(), "04" + "0477656231076578616d706c65036f726700"},
		"server updates":  {"web1", "example.org", opt(39, "01", "0465766d6c00") + oro(), "06" + "0477656231076578616d706c65036f726700"},
		"no updates":      {"web1", "example.org", opt(39, "04") + oro(), "04" + "0477656231076578616d706c65036f726700"},
		"host alone":      {"web1", "", opt(39, "00") + oro(), "04" + "0477656231"},
		"FQDN as host":    {"web1.a", "", opt(39, "00") + oro(), "04" + "0477656231016100"},
		"no name":         {"", "", opt(39, "00") + oro(), "04"},
		"no wire form":    {"a", "b..c", opt(39, "00") + oro(), "04"},
		"asked, not sent": {"web1", "example.org", oro(39), ""},
	} {
		b := changed(func(b *nic.Binding) { b.Hostname, b.Domain = c.host, c.domain })
		want := ""
		if c.want != "" {
			want = opt(39, c.want)
		}
		for _, kind := range []messageType{solicit, request, renew, rebind} {
			got := sent(t, Answer(server(b), asks(t, kind, append(clientTypes()[kind], c.asks)...)))
			if got != want {
				t.Errorf("%s, %s: sent %s, want %s", name, kind, got, want)
			}
		}
		if got := sent(t, Answer(server(b), asks(t, informationRequest, clientID, c.asks))); got != "" {
			t.Errorf("%s: INFORMATION-REQUEST is sent %s", name, got)
		}
	}
	// In the client's order if it asks for it too.
	got := sent(t, Answer(server(web1()), asks(t, solicit, clientID, opt(39, "00"), oro(39, 23))))
	if !strings.HasPrefix(got, "0027") || !strings.HasSuffix(got, dns) {
		t.Errorf("sent %s", got)
	}
}

func TestBoot(t *testing.T) {
	arch := func(b *nic.Binding) { b.DHCP6.BootArch = map[uint16]string{7: "seven", 16: "sixteen"} }
	url := func(b *nic.Binding) { b.DHCP6.BootURL = bootURL }
	args := func(b *nic.Binding) { b.DHCP6.BootArgs = []string{"a", "bc"} }
	const written = "003c0007" + "000161" + "00026263"
	for name, c := range map[string]struct {
		changes    []func(*nic.Binding)
		asks, want string
	}{
		"URL":                        {[]func(*nic.Binding){url}, "", opt(59, text(bootURL))},
		"URL and arguments":          {[]func(*nic.Binding){url, args}, "", opt(59, text(bootURL)) + written},
		"arguments alone":            {[]func(*nic.Binding){args}, "", ""},
		"by architecture":            {[]func(*nic.Binding){url, arch, args}, opt(61, "0007"), opt(59, text("seven")) + written},
		"by the first known":         {[]func(*nic.Binding){url, arch}, opt(61, "000900100007"), opt(59, text("sixteen"))},
		"by none":                    {[]func(*nic.Binding){url, arch}, opt(61, "0009"), opt(59, text(bootURL))},
		"by none, and no other":      {[]func(*nic.Binding){arch, args}, opt(61, "0009"), ""},
		"architecture not mentioned": {[]func(*nic.Binding){arch}, "", ""},
	} {
		b := changed(c.changes...)
		if got := sent(t, Answer(server(b), asks(t, solicit, clientID, na(1), oro(59, 60), c.asks))); got != c.want {
			t.Errorf("%s: sent %s, want %s", name, got, c.want)
		}
	}
}

// A reply fits the link; what finds no room is left out, from the end of what
// was asked for.
func TestSizeLimit(t *testing.T) {
	filled := func(code uint16, n int) func(*nic.Binding) {
		return func(b *nic.Binding) {
			b.DHCP6.Options = append(b.DHCP6.Options, nic.Option6{Code: code, Data: make([]byte, n)})
		}
	}
	mtu := func(n uint16) func(*nic.Binding) { return func(b *nic.Binding) { b.MTU = n } }
	// The head of such a reply: header, both identifiers.
	const head = 4 + 14 + 22
	for name, c := range map[string]struct {
		b    *nic.Binding
		want []uint16
	}{
		"just fits":                    {changed(filled(200, 1452-head-4)), []uint16{200}},
		"one too many":                 {changed(filled(200, 1452-head-3)), []uint16{201}},
		"the larger goes":              {changed(filled(200, 800), filled(202, 900)), []uint16{200, 201}},
		"instances go together":        {changed(filled(200, 800), filled(200, 800)), []uint16{201}},
		"small MTU":                    {changed(mtu(1280), filled(200, 1232-head-3)), []uint16{201}},
		"small MTU, just fits":         {changed(mtu(1280), filled(200, 1232-head-4)), []uint16{200}},
		"no MTU for IPv6":              {changed(mtu(1279), filled(200, 1452-head-4)), []uint16{200}},
		"large MTU":                    {changed(mtu(9000), filled(200, 1452-head-3)), []uint16{201}},
		"more than any length can say": {changed(filled(200, 70000)), []uint16{201}},
	} {
		if len(c.want) == 1 && c.want[0] == 200 {
			c.b.DHCP6.Options = append(c.b.DHCP6.Options, nic.Option6{Code: 201})
		} else {
			c.b.DHCP6.Options = append(c.b.DHCP6.Options, nic.Option6{Code: 201, Data: []byte{1}})
		}
		o := Answer(server(c.b), asks(t, informationRequest, clientID, oro(200, 201, 202)))
		var got []uint16
		for _, p := range top(t, o.Reply.Message)[2:] {
			got = append(got, p.code)
		}
		if len(o.Reply.Message) > Limit(c.b) || len(got) == 0 || !equalCodes(got, c.want) {
			t.Errorf("%s: %d octets, options %v, want %v", name, len(o.Reply.Message), got, c.want)
		}
	}
}

func equalCodes(a, b []uint16) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// Addresses never give way: too many of them are silence.
func TestTooLarge(t *testing.T) {
	many := func(n int) *nic.Binding {
		return changed(func(b *nic.Binding) {
			b.Addresses = nil
			for i := range n {
				a := ip("2001:db8:1::100").As16()
				a[15] = byte(i)
				b.Addresses = append(b.Addresses, netip.PrefixFrom(netip.AddrFrom16(a), 64))
			}
		})
	}
	// 4 header, 14 + 22 identifiers, 16 for the IA and 28 for each address.
	o := Answer(server(many(49)), asks(t, solicit, clientID, na(1)))
	if o.Reply == nil || len(o.Addresses) != 49 || len(o.Reply.Message) != 4+14+22+16+49*28+20 {
		t.Errorf("49 addresses: %s, about %d", o.Reason, len(o.Addresses))
	}
	checkSilent(t, Answer(server(many(50)), asks(t, solicit, clientID, na(1))), solicit, reason.DHCPTooLarge)
}

// Size is the size of the largest reply there is.
func TestSize(t *testing.T) {
	for name, b := range map[string]*nic.Binding{
		"web1": web1(), "everything": everything(), "planned": planned(), "bare": bare(),
		"with all that is not asked for": func() *nic.Binding {
			b := everything()
			rapidly(b)
			unicasting(b)
			return b
		}(),
		"with a preference": changed(func(b *nic.Binding) { b.DHCP6.Preference = 1 }, rapidly),
	} {
		longest := opt(1, strings.Repeat("00", 130))
		ias := na(1) + na(2) + na(3) + pd(1) + pd(2) + ta(1)
		if name != "planned" { // each of these IAs has something
			ias = ""
			for _, c := range claims(b) {
				ias += map[uint16]string{optIANA: na(1), optIATA: ta(1), optIAPD: pd(1)}[c.code]
			}
		}
		asked := opt(39, "00") + opt(61, "0007") + oro(23, 24, 31, 39, 56, 59, 60, 82, 83, 103, 200)
		most := 0
		for _, more := range []string{"", rapid} {
			o := Answer(server(b), asks(t, solicit, longest, ias, asked, more))
			most = max(most, len(o.Reply.Message))
		}
		if got := Size(b, 18); got != most {
			t.Errorf("%s: Size %d, the largest reply has %d", name, got, most)
		}
	}
	if Size(web1(), 18)-Size(web1(), 10) != 8 {
		t.Error("the server identifier is not counted")
	}
	if Limit(web1()) != 1452 {
		t.Errorf("limit %d", Limit(web1()))
	}
}

// The answer takes nothing from the guest's message that it could change.
func TestTheMessageIsNotChanged(t *testing.T) {
	for _, c := range clientMessages(t) {
		before := bytes.Clone(c.message)
		o := Answer(server(everything()), from(c.message))
		clear(o.Reply.Message)
		if !bytes.Equal(before, c.message) {
			t.Errorf("%s %s was changed", c.client, c.kind)
		}
	}
}
