package policy_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/policy"
)

const examples = "../../packaging/etc/berth/policies"

// Every shipped policy does what its tests say, and each of its rules and
// limits denies, or allows, at least one of them.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob(examples + "/*.yaml")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			tests := filepath.Join(examples, "tests", filepath.Base(file))
			both := bytes.Join([][]byte{read(t, file), read(t, tests)}, []byte("\n---\n"))
			results, err := policy.RunTests(tests, both)
			if err != nil {
				t.Fatal(err)
			}
			var decided []string
			for _, r := range results {
				decided = append(decided, r.Verdict.Rule)
				if r.Problem != "" {
					t.Errorf("%s: %s", r.Name, r.Problem)
				}
			}
			if rs, problems := fleet.Decode(file, read(t, file)); len(rs) != 1 || len(problems) > 0 {
				t.Errorf("as a resource: %v", problems)
			}
			s, err := policy.ParseSuite(file, read(t, file))
			if err != nil || len(s.Policies) != 1 || s.Policies[0].Name+".yaml" != filepath.Base(file) {
				t.Fatalf("%+v, %v", s.Policies, err)
			}
			for _, r := range s.Policies[0].Rules {
				if !slices.Contains(decided, r.Name) {
					t.Errorf("no test is decided by %s", r.Name)
				}
			}
		})
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRunTestsTellsWhatIsWrong(t *testing.T) {
	results, err := policy.RunTests("t.yaml", []byte(`
policies:
- {kind: policy, name: p, rules: [{name: r, effect: deny, when: action == "create", message: no more}]}
tests:
- {name: as it is, input: {action: create}, allowed: false, policy: p, rule: r, message: no more}
- {name: all wrong, input: {action: create}, allowed: true, policy: q, rule: s, message: less}
`))
	if err != nil || len(results) != 2 || results[0].Problem != "" {
		t.Fatalf("%+v, %v", results, err)
	}
	want := `allowed is false, want true; policy is "p", want "q"; rule is "r", want "s"; message is "no more", want "less" in it`
	if results[1].Problem != want {
		t.Errorf("%s\nwant %s", results[1].Problem, want)
	}
}

func TestRunTestsErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"tests: [{name: a, input: {action: create}, permitted: true}]", `t.yaml:1:44: unknown field "permitted"`},
		{"tests: [{input: {request: {vms: [{nics: [{nets: x}]}]}}}]", `unknown field "nets"`},
		{"tests: [", "t.yaml:1:"},
		{"tests: " + strings.Repeat("[", 10000), "t.yaml:1:"},
		{"kind: policy\nname: p\n---\ntests: [}", "t.yaml:4:"},
		{"policies: [{name: p, rules: [{name: r, effect: never, when: 'true'}]}]", `t.yaml: rules[0].effect`},
		{"kind: network\nname: lan\n", `t.yaml: network "lan": only policies and tests can be read here`},
		{"kind: policy\nname: p\n", "t.yaml: there are no tests in it"},
		{"", "t.yaml: there are no tests in it"},
		{"policies: [{name: p, rules: [{name: r, effect: deny, when: x}]}]\ntests: [{name: a}]", `t.yaml: policy "p", rule "r", when:1:1: undeclared reference to 'x'`},
	} {
		results, err := policy.RunTests("t.yaml", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.99s: %v, %v; want %s", c.text, results, err, c.want)
		}
	}
}
