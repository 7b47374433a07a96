package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/wire"
)

func (a *app) policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy COMMAND",
		Short: "Test policies, and see what they decided",
		Args:  a.noSuchCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.policyTest(), a.policyDecisions())
	return cmd
}

func (a *app) policyTest() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "test FILE...",
		Short: "Decide on example requests, and compare",
		Long: `Have a controller decide on the example requests in files by the policies in the same files, and by nothing else, and compare with what the examples want. docs/policy.md has the form. Nothing is kept. Exits with 1 if one is decided otherwise.

Without a controller, "berth-controller -test-policy FILE" does the same.`,
		Example: "  berth policy test policies/*.yaml",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("want at least one file")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.testPolicies(cmd, args) },
	}
	return withFormats(cmd, "text", "json", "yaml")
}

// example is one request with the verdict that it must get; what is "" may be
// anything, of the message a part is enough.
type example struct {
	Name    string `json:"name"`
	Input   any    `json:"input"`
	Allowed bool   `json:"allowed"`
	Policy  string `json:"policy"`
	Rule    string `json:"rule"`
	Message string `json:"message"`
}

// suite is what files of policies and examples have together.
type suite struct {
	policies []fleet.Policy
	examples []example
}

// tested is what came of one example.
type tested struct {
	Name    string       `json:"name"`
	Verdict wire.Verdict `json:"verdict"`
	Problem string       `json:"problem,omitempty"` // "": as it must be
}

func (a *app) testPolicies(cmd *cobra.Command, files []string) error {
	format, err := a.format(cmd)
	if err != nil {
		return err
	}
	s, err := a.readSuite(files)
	if err != nil {
		return err
	}
	c, err := a.site()
	if err != nil {
		return err
	}
	inputs := make([]json.RawMessage, len(s.examples))
	for i, e := range s.examples {
		if inputs[i], err = json.Marshal(e.Input); err != nil {
			return fmt.Errorf("test %q: input: %w", e.Name, err)
		}
	}
	verdicts, err := c.TestPolicies(cmd.Context(), s.policies, inputs)
	if err != nil {
		return err
	}
	if len(verdicts) != len(inputs) {
		return fmt.Errorf("the controller gave %d verdicts on %d inputs", len(verdicts), len(inputs))
	}
	return a.printTested(format, s.examples, verdicts)
}

func (a *app) readSuite(files []string) (all suite, err error) {
	for _, file := range files {
		content, name, err := a.readInput(file)
		if err != nil {
			return all, err
		}
		if err := all.read(name, content); err != nil {
			return all, &api.InvalidError{Detail: err.Error()}
		}
	}
	if len(all.examples) == 0 {
		// What was not tested must not look like what passed.
		return all, &api.InvalidError{Detail: strings.Join(files, ", ") + ": there are no tests in it"}
	}
	return all, nil
}

// read adds the documents of one file: policies as they are applied, and
// documents with "policies" and "tests".
func (s *suite) read(file string, content []byte) error {
	for d := yaml.NewDecoder(bytes.NewReader(content), yaml.Strict()); ; {
		var doc struct {
			fleet.Policy `json:",inline"`
			Policies     []fleet.Policy `json:"policies"`
			Tests        []example      `json:"tests"`
		}
		err := d.Decode(&doc)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%s:%s", file, syntaxError(err))
		case doc.Kind == fleet.KindPolicy:
			s.policies = append(s.policies, doc.Policy)
		case doc.Kind != "":
			return fmt.Errorf("%s: %s %q: only policies and tests can be read here", file, doc.Kind, doc.Name)
		}
		s.policies, s.examples = append(s.policies, doc.Policies...), append(s.examples, doc.Tests...)
	}
}

func (a *app) printTested(format string, examples []example, verdicts []wire.Verdict) error {
	results := make([]tested, len(examples))
	wrong := 0
	for i := range examples {
		results[i] = tested{examples[i].Name, verdicts[i], examples[i].problem(verdicts[i])}
		if results[i].Problem != "" {
			wrong++
		}
	}
	if err := a.printResults(format, results); err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %d tests failed", wrong, len(results))
	}
	return nil
}

func (a *app) printResults(format string, results []tested) error {
	if format != "text" {
		return a.structured(format, results)
	}
	for _, r := range results {
		word := a.colour("ok", "32")
		if r.Problem != "" {
			word = a.colour("FAILED", "31")
		}
		fmt.Fprintf(a.stdout, "%s  %s: %s\n", word, printable(r.Name), verdictText(r.Verdict))
		if r.Problem != "" {
			fmt.Fprintf(a.stdout, "    %s\n", printable(r.Problem))
		}
	}
	return nil
}

func verdictText(v wire.Verdict) string {
	text := "denied"
	if v.Allowed {
		text = "allowed"
	}
	if by := byRule(v.Policy, v.Rule); by != "" {
		text += " by " + by
	}
	if v.Message != "" {
		text += ": " + v.Message
	}
	return printable(text)
}

// byRule says which rule of which policy, as far as that is known.
func byRule(policy, rule string) string {
	switch {
	case policy == "" && rule == "":
		return ""
	case policy == "":
		return "rule " + rule
	case rule == "":
		return "policy " + policy
	}
	return "rule " + rule + " of policy " + policy
}

// problem says how a verdict is not what the example wants.
func (e *example) problem(v wire.Verdict) string {
	var wrong []string
	if v.Allowed != e.Allowed {
		wrong = append(wrong, fmt.Sprintf("allowed is %t, want %t", v.Allowed, e.Allowed))
	}
	if e.Policy != "" && v.Policy != e.Policy {
		wrong = append(wrong, fmt.Sprintf("policy is %q, want %q", v.Policy, e.Policy))
	}
	if e.Rule != "" && v.Rule != e.Rule {
		wrong = append(wrong, fmt.Sprintf("rule is %q, want %q", v.Rule, e.Rule))
	}
	if !strings.Contains(v.Message, e.Message) {
		wrong = append(wrong, fmt.Sprintf("message is %q, want %q in it", v.Message, e.Message))
	}
	return strings.Join(wrong, "; ")
}

func (a *app) policyDecisions() *cobra.Command {
	var project string
	var limit int
	cmd := &cobra.Command{
		Use:   "decisions",
		Short: "Show what policies decided, newest first",
		Long:  "Show what policies decided, newest first. In -o yaml and -o json each has the input it was made on, which can be a test.",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.decisions(cmd, project, limit) },
	}
	cmd.Flags().StringVar(&project, "project", "", "only those of this project")
	cmd.Flags().IntVar(&limit, "limit", 50, "how many at most")
	a.completeFlag(cmd, "project", fleet.KindProject)
	return withFormats(cmd, "table", "json", "yaml")
}

func (a *app) decisions(cmd *cobra.Command, project string, limit int) error {
	format, err := a.format(cmd)
	if err != nil {
		return err
	}
	if limit <= 0 || limit > wire.MaxPage {
		return usage("--limit %d is not 1 to %d", limit, wire.MaxPage)
	}
	c, err := a.site()
	if err != nil {
		return err
	}
	all, err := c.Decisions(cmd.Context(), project, limit)
	if err != nil {
		return err
	}
	if format != "table" {
		return a.structured(format, append([]fleet.Decision{}, all...)) // [], not null
	}
	w := newTable(a.stdout)
	row(w, "TIME", "ACTOR", "PROJECT", "VERDICT", "BY", "MESSAGE")
	for _, d := range all {
		verdict := "denied"
		if d.Allowed {
			verdict = "allowed"
		}
		row(w, moment(d.Time), orDash(d.Actor), orDash(d.Project), verdict, orDash(byRule(d.Policy, d.Rule)), orDash(d.Message))
	}
	return w.Flush()
}
