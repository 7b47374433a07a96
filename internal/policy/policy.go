// Package policy decides whether a request is permitted: by the limits and the
// rules of the policies, which are CEL expressions over the whole request, who
// asks for it, and what is in use. A deny wins over all, and so does anything
// that cannot be evaluated.
//
// Not here: who is asking and what roles they have (identity), and whether
// there are addresses left (ipam).
package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"github.com/berth-net/berth/internal/fleet"
)

// Verdict is the answer to a request, and what decided it.
type Verdict struct {
	Allowed bool `json:"allowed"`
	// Policy that decided: the first that denied, else the first that allowed;
	// "" if none did, BuiltIn for what is denied unless a policy allows it.
	Policy string `json:"policy,omitempty"`
	Rule   string `json:"rule,omitempty"` // of it, or the limit: "limits.vms"
	// Message says why, for whoever asked.
	Message string `json:"message,omitempty"`
	// Field and Value are what a limit stumbled on: "vms[0].nics[1].mac".
	Field string `json:"field,omitempty"`
	Value string `json:"value,omitempty"`
	// Failed: the rule could not be evaluated, and denied therefore.
	Failed bool `json:"failed,omitempty"`
}

// Set is compiled policies. It does not change: any number of goroutines may
// ask it.
type Set struct{ policies []compiled }

// compiled is one policy, ready to be asked.
type compiled struct {
	name     string
	projects []string
	limits   fleet.Limits
	rules    []rule
}

// Compile checks the types of all expressions. Its errors, one for each
// mistake, name policy, rule, and the line and column of the expression.
func Compile(policies []fleet.Policy) (*Set, error) {
	env, err := newEnv()
	if err != nil {
		return nil, fmt.Errorf("prepare policies: %w", err)
	}
	s := &Set{policies: make([]compiled, 0, len(policies))}
	var errs []error
	for i := range policies {
		c, err := compile(env, &policies[i])
		s.policies, errs = append(s.policies, c), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	slices.SortStableFunc(s.policies, func(a, b compiled) int { return cmp.Compare(a.name, b.name) })
	return s, nil
}

func compile(env *cel.Env, p *fleet.Policy) (compiled, error) {
	c := compiled{name: p.Name, projects: slices.Clone(p.Projects), limits: p.Limits}
	var errs []error
	for i := range p.Rules {
		r, err := compileRule(env, &p.Rules[i])
		if err != nil {
			errs = append(errs, within(fmt.Sprintf("policy %q, rule %q, ", p.Name, p.Rules[i].Name), err))
		}
		c.rules = append(c.rules, r)
	}
	return c, errors.Join(errs...)
}

// within puts where they are in front of errors that were joined.
func within(where string, err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return fmt.Errorf("%s%w", where, err)
	}
	var errs []error
	for _, e := range joined.Unwrap() {
		errs = append(errs, within(where, e))
	}
	return errors.Join(errs...)
}

func (c *compiled) applies(project string) bool {
	return len(c.projects) == 0 || slices.Contains(c.projects, project) || slices.Contains(c.projects, "*")
}

// Decide answers a request. Of several that deny the first by name of the
// policy is told, its limits before its rules, those in the order in which
// they are written; what no policy speaks of comes last.
func (s *Set) Decide(in Input) Verdict {
	c := &considered{in: &in, vars: in.variables()}
	for i := range s.policies {
		p := &s.policies[i]
		if !p.applies(in.Project) {
			continue
		}
		if v := c.policy(p); v != nil {
			return *v
		}
	}
	return c.verdict()
}

// considered is how far a decision is.
type considered struct {
	in   *Input
	vars map[string]any
	// granted are the limits that some policy lifts.
	granted fleet.Limits
	// allow are the rules of which one must hold, held the first that does.
	allow []string
	first Verdict // names the first of allow
	held  *Verdict
}

// policy returns a verdict if the policy denies.
func (c *considered) policy(p *compiled) *Verdict {
	if v := c.limits(p); v != nil {
		return v
	}
	for i := range p.rules {
		r := &p.rules[i]
		if !r.applies(c.in.Action) {
			continue
		}
		if v := c.rule(p, r); v != nil {
			return v
		}
	}
	return nil
}

// rule returns a verdict if the rule denies, or cannot be evaluated.
func (c *considered) rule(p *compiled, r *rule) *Verdict {
	holds, err := r.holds(c.vars)
	if err != nil {
		return &Verdict{
			Policy: p.name, Rule: r.name, Failed: true,
			Message: fmt.Sprintf("the rule cannot be evaluated and so denies: %v", err),
		}
	}
	if r.effect == fleet.Allow {
		c.first = cmp.Or(c.first, Verdict{Policy: p.name, Rule: r.name})
		c.allow = append(c.allow, fmt.Sprintf("%s of %s", r.name, p.name))
	}
	if !holds {
		return nil
	}
	v := &Verdict{Allowed: r.effect == fleet.Allow, Policy: p.name, Rule: r.name, Message: r.says(c.vars)}
	if !v.Allowed {
		return v
	}
	if c.held == nil {
		c.held = v
	}
	return nil
}

// verdict is the answer if no policy denies.
func (c *considered) verdict() Verdict {
	if v := c.unlifted(); v != nil {
		return *v
	}
	switch {
	case c.held != nil:
		return *c.held
	case len(c.allow) > 0:
		v := c.first
		v.Message = "no rule that allows it holds: " + strings.Join(c.allow, ", ")
		return v
	}
	return Verdict{Allowed: true}
}
