package policy_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/policy"
)

// input is a request of alice for one VM with one NIC.
func input() policy.Input {
	return policy.Input{
		Identity: policy.Identity{Name: "alice", Kind: "user", Groups: []string{"dev"}, Attributes: map[string]string{"vms": "2"}},
		Action:   policy.Create,
		Project:  "web",
		Time:     time.Date(2026, 3, 4, 10, 30, 0, 0, time.UTC),
		Request: policy.Request{Kind: "request", Name: "r1", VMs: []policy.VM{{
			Name: "vm1", Memory: 4 << 30, Bandwidth: 1e9,
			NICs: []policy.NIC{{Name: "vm1-0", Network: "lan", Pools: []string{"public"}}},
		}}},
		Usage: policy.Usage{Project: fleet.Usage{VMs: 3}, Networks: map[string]policy.NetworkUsage{"lan": {Used: 3, Total: 250}}},
	}
}

func one(name string, rules ...fleet.Rule) fleet.Policy {
	return fleet.Policy{Head: fleet.Head{Kind: fleet.KindPolicy, Name: name}, Rules: rules}
}

func deny(name, when, message string) fleet.Rule {
	return fleet.Rule{Name: name, Effect: fleet.Deny, When: when, Message: message}
}

func allow(name, when string) fleet.Rule {
	return fleet.Rule{Name: name, Effect: fleet.Allow, When: when}
}

func compile(t testing.TB, policies ...fleet.Policy) *policy.Set {
	t.Helper()
	s, err := policy.Compile(policies)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func yes() *bool { b := true; return &b }
func no() *bool  { return new(bool) }

// Every expression is true of input().
func TestExpressions(t *testing.T) {
	for _, when := range []string{
		`identity.name == "alice" && identity.kind == "user" && "dev" in identity.groups && !identity.operator`,
		`has(identity.attributes.vms) && !has(identity.attributes.site)`,
		`int(identity.attributes["vms"]) >= size(request.vms)`,
		`identity.attributes[?"site"].orValue("none") == "none"`,
		`action == "create" && project == "web" && request.kind == "request" && request.duration == 0`,
		`request.labels == {} && !has(request.labels.team)`,
		`request.vms.all(v, v.memory <= 8 * GiB && v.image.size == 0)`,
		`request.vms.map(v, v.bandwidth).sum() == Gbit`,
		`[1, 2, 3].sum() == 6 && nics.map(n, size(n.pools)).sum() == 1`,
		`nics.all(n, size(n.addresses) == 0 && n.mac == "" && size(n.binding) == 0)`,
		`usage.project.vms + size(request.vms) == 4`,
		`usage.networks["lan"].used < usage.networks["lan"].total`,
		`time.getHours() == 10 && time.getHours("Europe/Berlin") == 11 && time.getDayOfWeek() == 3`,
		`cidr("192.0.2.0/24").containsIP("192.0.2.9") && cidr("2001:db8::/32").containsIP(ip("2001:db8::1"))`,
		`sets.intersects(identity.groups, ["dev", "ops"])`,
		`"%s has %d".format([identity.name, size(nics)]) == "alice has 1"`,
		`cel.bind(n, size(nics), n == 1) && math.greatest(1, 2) == 2`,
	} {
		v := compile(t, one("p", deny("r", when, "holds"))).Decide(input())
		if v.Allowed || v.Failed || v.Message != "holds" {
			t.Errorf("%s: %+v", when, v)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	for _, c := range []struct{ when, message, want string }{
		{"identity.nam == 'x'", "", `policy "p", rule "r", when:1:9: undefined field 'nam'`},
		{"true &&\n  wrong", "", `policy "p", rule "r", when:2:3: undeclared reference to 'wrong'`},
		{"size(nics)", "", `when:1:1: the expression is of type int, want bool`},
		{"nics[0].binding['a']", "", `when:1:1: the expression is of type dyn, want bool`},
		{"nics.all(n,", "", `when:1:12: Syntax error`},
		{"", "", `when:1:1: Syntax error`},
		{"project == 1", "", `when:1:9: found no matching overload for '_==_'`},
		{"project.matches('(')", "", `when:1:17: invalid matches argument`},
		{"nics.all(a, nics.all(b, nics.all(c, nics.all(d, nics.all(e, true)))))", "", "comprehension exceeds nesting limit"},
		{strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200), "", "when:1:"},
		{strings.Repeat("true && ", 5000) + "true", "", "when:1:1: expression code point size exceeds limit"},
		{"true", "'too many: ' + 3", `message:1:14: found no matching overload for '_+_'`},
		{"true", "'never closed", `message:1:1: Syntax error`},
		{"true", "size(nics)", `message:1:1: the expression is of type int, want string`},
		{"true", "office-hours", `quote it for CEL: 'office-hours'`},
	} {
		_, err := policy.Compile([]fleet.Policy{one("p", deny("r", c.when, c.message))})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s / %s: %v, want %s", c.when, c.message, err, c.want)
		}
	}
}

func TestCompileTellsAllMistakes(t *testing.T) {
	bad := fleet.Rule{Name: "r2", Effect: "maybe", When: "true", Actions: []string{"erase"}}
	_, err := policy.Compile([]fleet.Policy{one("a", deny("r1", "x && y", "")), one("b", bad)})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`policy "a", rule "r1", when:1:1: undeclared reference to 'x'`,
		`policy "a", rule "r1", when:1:6: undeclared reference to 'y'`,
		`policy "b", rule "r2", effect: "maybe" is neither allow nor deny`,
		`policy "b", rule "r2", actions: "erase" is none of [create update delete]`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %s", err, want)
		}
	}
}

func TestVerdicts(t *testing.T) {
	denyA := one("a", deny("second", "true", "'denied to ' + identity.name"), deny("third", "true", "never told"))
	denyB := one("b", deny("first", "true", "by b"))
	permit := one("c", allow("no", "false"), allow("dev", `"dev" in identity.groups`))
	closed := one("d", allow("ops", `"ops" in identity.groups`))
	broken := one("e", allow("broken", `int(identity.attributes["absent"]) > 0`))
	elsewhere := denyA
	elsewhere.Projects = []string{"db"}
	mute := one("f", deny("mute", "true", "'x' + identity.attributes['absent']"))
	for _, c := range []struct {
		name     string
		policies []fleet.Policy
		want     policy.Verdict
	}{
		{"no policy", nil, policy.Verdict{Allowed: true}},
		{"another project's", []fleet.Policy{elsewhere}, policy.Verdict{Allowed: true}},
		{"deny wins", []fleet.Policy{permit, denyB}, policy.Verdict{Policy: "b", Rule: "first", Message: "by b"}},
		{"the first deny is told", []fleet.Policy{denyB, permit, denyA}, policy.Verdict{Policy: "a", Rule: "second", Message: "denied to alice"}},
		{"allowed", []fleet.Policy{closed, permit}, policy.Verdict{Allowed: true, Policy: "c", Rule: "dev"}},
		{"nothing allows", []fleet.Policy{closed}, policy.Verdict{Policy: "d", Rule: "ops", Message: "no rule that allows it holds: ops of d"}},
		{"errors deny", []fleet.Policy{permit, broken}, policy.Verdict{
			Policy: "e", Rule: "broken", Failed: true,
			Message: "the rule cannot be evaluated and so denies: no such key: absent",
		}},
		{"a message that fails", []fleet.Policy{mute}, policy.Verdict{
			Policy: "f", Rule: "mute",
			Message: "(the rule's message cannot be evaluated: no such key: absent)",
		}},
	} {
		if got := compile(t, c.policies...).Decide(input()); got != c.want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.name, got, c.want)
		}
	}
}

func TestActions(t *testing.T) {
	rule := deny("r", "true", "")
	onDelete := rule
	onDelete.Actions = []string{"delete"}
	for _, c := range []struct {
		rule   fleet.Rule
		action policy.Action
		want   bool
	}{
		{rule, policy.Create, false},
		{rule, policy.Update, false},
		{rule, policy.Delete, true},
		{onDelete, policy.Create, true},
		{onDelete, policy.Delete, false},
	} {
		in := input()
		in.Action = c.action
		if v := compile(t, one("p", c.rule)).Decide(in); v.Allowed != c.want {
			t.Errorf("%v, %s: %+v", c.rule.Actions, c.action, v)
		}
	}
}

// An expression whose cost the input can raise is cut off, and denies.
func TestCostLimit(t *testing.T) {
	in := input()
	for range 200 {
		in.Request.VMs = append(in.Request.VMs, in.Request.VMs[0])
	}
	when := "nics.all(a, nics.all(b, nics.all(c, a.name == b.name && b.name == c.name)))"
	v := compile(t, one("p", allow("cubic", when))).Decide(in)
	if v.Allowed || !v.Failed || !strings.Contains(v.Message, "cost limit exceeded") {
		t.Errorf("%+v", v)
	}
}

func TestLimits(t *testing.T) {
	two, zero := 2, 0
	mac := func(in *policy.Input) { in.Request.VMs[0].NICs[0].MAC = "02:00:00:00:00:01" }
	exact := func(in *policy.Input) { in.Request.VMs[0].NICs[0].Addresses = []string{"192.0.2.9"} }
	keys := func(in *policy.Input) {
		in.Request.VMs[0].NICs[0].Binding = map[string]any{"slaac": true, "guard": "off"}
	}
	operator := func(in *policy.Input) { exact(in); in.Identity.Operator = true }
	remove := func(in *policy.Input) { exact(in); in.Action = policy.Delete }
	alone := func(in *policy.Input) { mac(in); in.Request.Kind = "nic" }
	many := func(in *policy.Input) { in.Request.VMs = append(in.Request.VMs, in.Request.VMs[0], in.Request.VMs[0]) }
	wide := func(in *policy.Input) {
		in.Request.VMs[0].NICs = append(in.Request.VMs[0].NICs, policy.NIC{}, policy.NIC{})
	}
	for _, c := range []struct {
		name   string
		limits []fleet.Limits
		change func(*policy.Input)
		want   policy.Verdict
	}{
		{"exact, nobody allows", nil, exact, policy.Verdict{
			Policy: "built-in", Rule: "limits.exact-addresses", Field: "vms[0].nics[0].addresses", Value: "192.0.2.9",
			Message: "an exact address is asked for (192.0.2.9), and no policy allows it for project web",
		}},
		{"MAC, nobody allows", []fleet.Limits{{ExactAddresses: yes()}}, mac, policy.Verdict{
			Policy: "built-in", Rule: "limits.macs", Field: "vms[0].nics[0].mac", Value: "02:00:00:00:00:01",
			Message: "a MAC is asked for (02:00:00:00:00:01), and no policy allows it for project web",
		}},
		{"a NIC alone", nil, alone, policy.Verdict{
			Policy: "built-in", Rule: "limits.macs", Field: "mac", Value: "02:00:00:00:00:01",
			Message: "a MAC is asked for (02:00:00:00:00:01), and no policy allows it for project web",
		}},
		{"keys, nobody allows", nil, keys, policy.Verdict{
			Policy: "built-in", Rule: "limits.binding", Field: "vms[0].nics[0].binding", Value: "guard, slaac",
			Message: "keys of the binding are set (guard, slaac), and no policy allows it for project web",
		}},
		{"one allows", []fleet.Limits{{}, {ExactAddresses: yes()}}, exact, policy.Verdict{Allowed: true}},
		{"one forbids", []fleet.Limits{{ExactAddresses: yes()}, {ExactAddresses: no()}}, exact, policy.Verdict{
			Policy: "p1", Rule: "limits.exact-addresses",
			Field: "vms[0].nics[0].addresses", Value: "192.0.2.9", Message: "an exact address is asked for (192.0.2.9), and this policy forbids it",
		}},
		{"an operator", []fleet.Limits{{ExactAddresses: no(), VMs: &zero}}, operator, policy.Verdict{Allowed: true}},
		{"a deletion", []fleet.Limits{{ExactAddresses: no(), VMs: &zero}}, remove, policy.Verdict{Allowed: true}},
		{"VMs", []fleet.Limits{{}, {VMs: &two}}, many, policy.Verdict{Policy: "p1", Rule: "limits.vms", Field: "vms", Value: "3", Message: "the request has 3 VMs, at most 2 are allowed"}},
		{"NICs", []fleet.Limits{{NICsPerVM: &two}}, wide, policy.Verdict{Policy: "p0", Rule: "limits.nics-per-vm", Field: "vms[0].nics", Value: "3", Message: `VM "vm1" has 3 NICs, at most 2 are allowed`}},
		{"as many as may be", []fleet.Limits{{NICsPerVM: &two, VMs: &two}}, func(*policy.Input) {}, policy.Verdict{Allowed: true}},
	} {
		var policies []fleet.Policy
		for i, l := range c.limits {
			p := one("p" + string(rune('0'+i)))
			p.Limits = l
			policies = append(policies, p)
		}
		in := input()
		c.change(&in)
		if got := compile(t, policies...).Decide(in); got != c.want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.name, got, c.want)
		}
	}
}

// An operator is no exception to rules.
func TestRulesBindOperators(t *testing.T) {
	in := input()
	in.Identity.Operator = true
	if v := compile(t, one("p", deny("r", "true", ""))).Decide(in); v.Allowed {
		t.Errorf("%+v", v)
	}
	if v := compile(t, one("p", deny("r", "!identity.operator", ""))).Decide(in); !v.Allowed {
		t.Errorf("%+v", v)
	}
}

func TestInputOfResources(t *testing.T) {
	mac, err := nic.ParseMAC("02:00:00:00:00:01")
	if err != nil {
		t.Fatal(err)
	}
	n := fleet.NIC{Head: fleet.Head{Name: "web-1"}, Network: "lan", VM: "web", MAC: &mac, Addresses: []string{"public", "2001:DB8::1"}}
	r := policy.OfRequest(&fleet.Request{Duration: fleet.Duration(time.Hour), VMs: []fleet.VM{{Name: "web", Memory: 1, NICs: []fleet.NIC{n, n}}}})
	if len(r.VMs) != 1 || len(r.VMs[0].NICs) != 2 || r.Duration != 3600 || r.VMs[0].Memory != 1 {
		t.Errorf("%+v", r)
	}
	alone := policy.OfNIC(&n)
	got := alone.VMs[0].NICs[0]
	if alone.Kind != "nic" || alone.VMs[0].Name != "web" || got.MAC != mac.String() || got.Pools[0] != "public" || got.Addresses[0] != "2001:db8::1" {
		t.Errorf("%+v", alone)
	}
	group := policy.OfFailover(&fleet.Failover{Head: fleet.Head{Name: "vip"}, Network: "lan", Addresses: []string{"192.0.2.9"}})
	if got := group.VMs[0].NICs[0]; group.Kind != "failover" || got.Network != "lan" || got.Addresses[0] != "192.0.2.9" {
		t.Errorf("%+v", group)
	}
}

// Run with -race: one Set answers any number of goroutines.
func TestDecideAtOnce(t *testing.T) {
	s := compile(t, one("p", deny("r", "nics.exists(n, n.network == 'wan')", "'no wan for ' + identity.name"), allow("a", "size(nics) > 0")))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			in := input()
			want := policy.Verdict{Allowed: true, Policy: "p", Rule: "a"}
			if i%2 == 1 {
				in.Request.VMs[0].NICs[0].Network = "wan"
				want = policy.Verdict{Policy: "p", Rule: "r", Message: "no wan for alice"}
			}
			for range 100 {
				if got := s.Decide(in); got != want {
					t.Errorf("%+v, want %+v", got, want)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkDecide(b *testing.B) {
	s := compile(b, one("p", deny("r", "request.vms.exists(v, v.memory > 64 * GiB)", ""), allow("a", "'dev' in identity.groups")))
	in := input()
	for b.Loop() {
		s.Decide(in)
	}
}
