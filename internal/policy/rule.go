package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"github.com/berth-net/berth/internal/fleet"
)

// maxCost bounds one evaluation, in units of CEL: about one for each step and
// each ten bytes of text. It is some 50 ms.
const maxCost = 1_000_000

// rule is one compiled rule.
type rule struct {
	name    string
	effect  fleet.Effect
	actions []string
	when    cel.Program
	// message is nil if it is plain text.
	message cel.Program
	text    string
}

func compileRule(env *cel.Env, r *fleet.Rule) (rule, error) {
	c := rule{name: r.Name, effect: r.Effect, actions: slices.Clone(r.Actions), text: r.Message}
	var errs [4]error
	if r.Effect != fleet.Allow && r.Effect != fleet.Deny {
		errs[0] = fmt.Errorf("effect: %q is neither %s nor %s", r.Effect, fleet.Allow, fleet.Deny)
	}
	for _, a := range r.Actions {
		if !slices.Contains(Actions(), Action(a)) {
			errs[1] = fmt.Errorf("actions: %q is none of %v", a, Actions())
		}
	}
	c.when, errs[2] = program(env, expression{"when", r.When, cel.BoolType})
	if isExpression(env, r.Message) {
		c.message, errs[3] = program(env, expression{"message", r.Message, cel.StringType})
	}
	return c, errors.Join(errs[:]...)
}

// isExpression tells CEL from plain text: what can be parsed is CEL, unless it
// is one word, and what begins with a quote is meant to be.
func isExpression(env *cel.Env, message string) bool {
	if strings.HasPrefix(message, `"`) || strings.HasPrefix(message, "'") {
		return true
	}
	parsed, issues := env.Parse(message)
	return issues.Err() == nil && parsed.NativeRep().Expr().Kind() != ast.IdentKind
}

// expression is one with the field that it is in and the type it must have.
type expression struct {
	field, text string
	want        *cel.Type
}

func program(env *cel.Env, e expression) (cel.Program, error) {
	checked, issues := env.Compile(e.text)
	if issues.Err() != nil {
		return nil, e.mistakes(issues)
	}
	if got := checked.OutputType(); !got.IsExactType(e.want) {
		return nil, fmt.Errorf("%s:1:1: the expression is of type %s, want %s", e.field, got, e.want)
	}
	p, err := env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost))
	if err != nil {
		return nil, fmt.Errorf("%s:1:1: %w", e.field, err)
	}
	return p, nil
}

// mistakes lists what the compiler found, as "when:1:9: undeclared reference".
func (e expression) mistakes(issues *cel.Issues) error {
	var errs []error
	for _, m := range issues.Errors() {
		line, column := max(m.Location.Line(), 1), m.Location.Column()+1 // -1: of the whole
		errs = append(errs, fmt.Errorf("%s:%d:%d: %s%s", e.field, line, max(column, 1), m.Message, e.hint()))
	}
	return errors.Join(errs...)
}

// hint helps those whose plain text happens to be CEL: "office-hours".
func (e expression) hint() string {
	if e.field != "message" || strings.ContainsAny(e.text, `'"`) {
		return ""
	}
	return fmt.Sprintf(" (if this is text and not CEL, quote it for CEL: '%s')", e.text)
}

// applies reports whether the rule is asked for an action. Without a word
// about it deletions are nobody's to forbid: what is too large must be
// allowed to go.
func (r *rule) applies(a Action) bool {
	if len(r.actions) == 0 {
		return a != Delete
	}
	return slices.Contains(r.actions, string(a))
}

func (r *rule) holds(vars map[string]any) (bool, error) {
	v, _, err := r.when.Eval(vars)
	if err != nil {
		return false, err
	}
	holds, ok := v.Value().(bool)
	if !ok {
		return false, fmt.Errorf("the result is %v, not a bool", v.Type())
	}
	return holds, nil
}

// says is the rule's message; one that fails says so, for the verdict stands.
func (r *rule) says(vars map[string]any) string {
	if r.message == nil {
		return r.text
	}
	v, _, err := r.message.Eval(vars)
	if err != nil {
		return fmt.Sprintf("(the rule's message cannot be evaluated: %v)", err)
	}
	return fmt.Sprint(v.Value())
}
