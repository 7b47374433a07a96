package policy

import (
	"errors"
	"math"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"

	// Zones of getHours("Europe/Berlin") must not depend on the machine.
	_ "time/tzdata"
)

// Limits of one expression: those of a careful human, far below what would
// take the compiler long.
const (
	maxExpression = 16 << 10 // code points
	maxDepth      = 100      // of calls and brackets
	maxNesting    = 4        // of all(), exists(), map()...
)

// newEnv declares variables, types and functions for the expressions.
func newEnv() (*cel.Env, error) {
	options := []cel.EnvOption{
		// Before the types: its adapter must not be outermost.
		ext.Network(),
		ext.NativeTypes(cel.NativeTypeFor[Input](ext.ParseStructTag("json"))),
		ext.Strings(), ext.Sets(), ext.Math(), ext.Bindings(), cel.OptionalTypes(),
		cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(maxExpression), cel.ParserRecursionLimit(maxDepth),
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateRegexLiterals(),
			cel.ValidateComprehensionNestingLimit(maxNesting)),
		sum(),
	}
	return cel.NewEnv(append(append(options, variables()...), units()...)...)
}

// variables are the fields of Input, and nics: those of all VMs.
func variables() []cel.EnvOption {
	return []cel.EnvOption{
		cel.Variable("identity", cel.ObjectType("policy.Identity")),
		cel.Variable("action", cel.StringType),
		cel.Variable("project", cel.StringType),
		cel.Variable("request", cel.ObjectType("policy.Request")),
		cel.Variable("usage", cel.ObjectType("policy.Usage")),
		cel.Variable("time", cel.TimestampType),
		cel.Variable("nics", cel.ListType(cel.ObjectType("policy.NIC"))),
	}
}

func (in *Input) variables() map[string]any {
	return map[string]any{
		"identity": &in.Identity, "action": string(in.Action), "project": in.Project, "request": &in.Request,
		"usage": &in.Usage, "time": in.Time, "nics": in.Request.nics(),
	}
}

// units are for sizes, in bytes, and rates, in bit/s.
func units() []cel.EnvOption {
	var options []cel.EnvOption
	for _, u := range []struct {
		name string
		size int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"Mbit", 1e6}, {"Gbit", 1e9}} {
		options = append(options, cel.Constant(u.name, cel.IntType, types.Int(u.size)))
	}
	return options
}

// sum adds the numbers of a list: request.vms.map(v, v.bandwidth).sum().
func sum() cel.EnvOption {
	return cel.Function("sum", cel.MemberOverload("list_int_sum", []*cel.Type{cel.ListType(cel.IntType)}, cel.IntType,
		cel.UnaryBinding(func(list ref.Val) ref.Val {
			total, err := add(list.(traits.Lister))
			if err != nil {
				return types.WrapErr(err)
			}
			return types.Int(total)
		})))
}

func add(list traits.Lister) (int64, error) {
	var total int64
	for it := list.Iterator(); it.HasNext() == types.True; {
		n, ok := it.Next().(types.Int)
		if !ok {
			return 0, errors.New("sum: not a list of numbers")
		}
		if n > 0 && total > math.MaxInt64-int64(n) || n < 0 && total < math.MinInt64-int64(n) {
			return 0, errors.New("sum: integer overflow")
		}
		total += int64(n)
	}
	return total, nil
}
