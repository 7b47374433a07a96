package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/yamltree"
	"github.com/goccy/go-yaml"
)

// Suite is policies with example requests and what must come of them.
type Suite struct {
	Policies []fleet.Policy
	Tests    []Test
}

// Test is one example. Of Policy, Rule and Message those that are given must
// be what the verdict says; of Message a part is enough.
type Test struct {
	Name    string `json:"name"`
	Input   Input  `json:"input"`
	Allowed bool   `json:"allowed"`
	Policy  string `json:"policy,omitempty"`
	Rule    string `json:"rule,omitempty"`
	Message string `json:"message,omitempty"`
}

// Result is what came of one test.
type Result struct {
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	Problem string  `json:"problem,omitempty"` // "": as it must be
}

// document is one of a file of tests: a policy as it is applied, or policies
// and tests.
type document struct {
	fleet.Policy `json:",inline"`
	Policies     []fleet.Policy `json:"policies"`
	Tests        []Test         `json:"tests"`
}

// ParseSuite reads the YAML documents of a file: policies as they are applied
// ("kind: policy"), and documents with "policies" and "tests". Several files
// make one suite when their parts are put together. Errors name file, line and
// column.
func ParseSuite(file string, data []byte) (Suite, error) {
	if err := bounded(data); err != nil {
		return Suite{}, fmt.Errorf("%s:%w", file, err)
	}
	var s Suite
	for d := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()); ; {
		var doc document
		err := d.Decode(&doc)
		switch {
		case errors.Is(err, io.EOF):
			return s, nil
		case err != nil:
			return Suite{}, mistake(file, err)
		}
		if err := s.add(&doc); err != nil {
			return Suite{}, within(file+": ", err)
		}
	}
}

func mistake(file string, err error) error {
	y, ok := errors.AsType[yaml.Error](err)
	if !ok || y.GetToken() == nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	at := y.GetToken().Position
	return fmt.Errorf("%s:%d:%d: %s", file, at.Line, at.Column, y.GetMessage())
}

// bounded refuses what is not plain YAML, or so deep that a parser would end
// the process.
func bounded(data []byte) error {
	docs, cut := yamltree.Split(data, yamltree.Limits{Bytes: fleet.MaxFile, Documents: fleet.MaxDocuments})
	if cut != nil {
		return fmt.Errorf("%d:%d: %w", cut.Line, cut.Col, cut)
	}
	for _, doc := range docs {
		_, err := yamltree.Load(doc)
		if s, ok := errors.AsType[*yamltree.SyntaxError](err); ok {
			return fmt.Errorf("%d:%d: %w", s.Line, s.Col, s)
		} else if err != nil {
			return fmt.Errorf("%d:1: %w", doc.Line, err)
		}
	}
	return nil
}

func (s *Suite) add(doc *document) error {
	switch doc.Kind {
	case fleet.KindPolicy:
		s.Policies = append(s.Policies, doc.Policy)
	case "":
	default:
		return fmt.Errorf("%s %q: only policies and tests can be read here", doc.Kind, doc.Name)
	}
	s.Policies, s.Tests = append(s.Policies, doc.Policies...), append(s.Tests, doc.Tests...)
	var errs []error
	for i := range s.Policies {
		errs = append(errs, s.Policies[i].Validate())
	}
	return errors.Join(errs...)
}

// Run decides on every example. The error is that of Compile.
func (s Suite) Run() ([]Result, error) {
	set, err := Compile(s.Policies)
	if err != nil {
		return nil, err
	}
	results := make([]Result, 0, len(s.Tests))
	for i := range s.Tests {
		t := &s.Tests[i]
		v := set.Decide(t.Input)
		results = append(results, Result{t.Name, v, t.problem(v)})
	}
	return results, nil
}

// RunTests reads and runs the tests of one file. A file without any is an
// error: what was not tested must not look like what passed.
func RunTests(file string, data []byte) ([]Result, error) {
	s, err := ParseSuite(file, data)
	if err != nil {
		return nil, err
	}
	if len(s.Tests) == 0 {
		return nil, fmt.Errorf("%s: there are no tests in it", file)
	}
	results, err := s.Run()
	if err != nil {
		return nil, within(file+": ", err)
	}
	return results, nil
}

// problem says how a verdict is not what the test wants.
func (t *Test) problem(v Verdict) string {
	var wrong []string
	if v.Allowed != t.Allowed {
		wrong = append(wrong, fmt.Sprintf("allowed is %t, want %t", v.Allowed, t.Allowed))
	}
	if t.Policy != "" && v.Policy != t.Policy {
		wrong = append(wrong, fmt.Sprintf("policy is %q, want %q", v.Policy, t.Policy))
	}
	if t.Rule != "" && v.Rule != t.Rule {
		wrong = append(wrong, fmt.Sprintf("rule is %q, want %q", v.Rule, t.Rule))
	}
	if !strings.Contains(v.Message, t.Message) {
		wrong = append(wrong, fmt.Sprintf("message is %q, want %q in it", v.Message, t.Message))
	}
	return strings.Join(wrong, "; ")
}
