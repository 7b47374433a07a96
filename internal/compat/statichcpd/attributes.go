package statichcpd

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-net/berth/internal/manifest"
)

// Codes beyond DHCP's own that have a meaning in the database.
const (
	codeAddress   = 256 // client_configuration: the client's address
	codeServerID  = 258 // client_configuration: its server identifier
	codeT1        = 259 // client_v6configuration, as the next three
	codeT2        = 260
	codePreferred = 261
	codeValid     = 262
)

// Type is how a value stands in the database.
type Type uint8

// The types, with the numbers that the database's datatype column has.
const (
	IPV4     Type = 1 + iota // dotted
	IPV6                     // text
	INT16                    // integer
	INT32                    // integer
	STRING                   // text
	STATICRT                 // "CIDR,gateway"
	IA                       // "address" or "iaid_hex,address"
	PD                       // "prefix" or "iaid_hex,prefix"
	DOMAIN                   // dotted name
)

func typeNames() []string {
	return []string{IPV4: "IPV4", IPV6: "IPV6", INT16: "INT16", INT32: "INT32", STRING: "STRING", STATICRT: "STATICRT", IA: "IA", PD: "PD", DOMAIN: "DOMAIN"}
}

// String is the name that the lists have.
func (t Type) String() string { return typeNames()[t] }

// Attribute is one allowed attr_code.
type Attribute struct {
	Code int
	Max  int // rows a client may have of it
	Type Type
}

// Attributes are all allowed codes of client_configuration and of
// client_v6configuration.
type Attributes struct{ V4, V6 []Attribute }

// DefaultAttributes are the lists that statichcpd has built in.
func DefaultAttributes() Attributes {
	return Attributes{V4: []Attribute{
		{1, 1, IPV4},
		{2, 1, INT32},
		{15, 1, STRING},
		{12, 1, STRING},
		{47, 1, STRING},
		{26, 1, INT16},
		{28, 1, IPV4},
		{3, 3, IPV4},
		{4, 100, IPV4},
		{5, 100, IPV4},
		{7, 100, IPV4},
		{6, 100, IPV4},
		{33, 100, STATICRT},
		{69, 100, IPV4},
		{70, 100, IPV4},
		{121, 100, STATICRT},
		{119, 100, DOMAIN},
		{codeAddress, 1, IPV4},
		{codeServerID, 1, IPV4},
	}, V6: []Attribute{
		{23, 100, IPV6},
		{24, 100, DOMAIN},
		{31, 100, IPV6},
		{39, 100, STRING},
		{3, 100, IA},
		{4, 100, IA},
		{25, 100, PD},
		{12, 1, IPV6},
		{codeT1, 1, INT32},
		{codeT2, 1, INT32},
		{codePreferred, 1, INT32},
		{codeValid, 1, INT32},
	}}
}

// With returns the lists with more added; of one code the last counts.
func (a Attributes) With(v4, v6 []Attribute) Attributes {
	return Attributes{V4: merge(a.V4, v4), V6: merge(a.V6, v6)}
}

func merge(list, more []Attribute) []Attribute {
	out := slices.Clone(list)
	for _, m := range more {
		out = slices.DeleteFunc(out, func(a Attribute) bool { return a.Code == m.Code })
		out = append(out, m)
	}
	return out
}

func (a Attributes) of(v6 bool, code int) (Attribute, bool) {
	list := a.V4
	if v6 {
		list = a.V6
	}
	if i := slices.IndexFunc(list, func(x Attribute) bool { return x.Code == code }); i >= 0 {
		return list[i], true
	}
	return Attribute{}, false
}

// ParseAttributes reads a list of further attributes, of IPv6 if v6: lines of
// code, most rows and type below a header. The code is a number or a name,
// such as DHCP_OPT_NBNS or DHCP6_OPT_DNS_SERVERS.
func ParseAttributes(file string, data []byte, v6 bool) ([]Attribute, []manifest.Problem) {
	var out []Attribute
	var problems []manifest.Problem
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		n++
		text := strings.TrimSpace(line)
		if text == "" || text[0] == '#' || n == 1 && isHeader(text) {
			continue
		}
		a, p := parseAttribute(text, v6)
		if p != nil {
			p.File, p.Line, p.Column = file, n, 1
			problems = append(problems, *p)
			continue
		}
		out = append(out, a)
	}
	return out, problems
}

func isHeader(text string) bool { return strings.HasPrefix(strings.ToLower(text), "opcode") }

func parseAttribute(text string, v6 bool) (Attribute, *manifest.Problem) {
	bad := func(field, value, format string, args ...any) (Attribute, *manifest.Problem) {
		return Attribute{}, &manifest.Problem{Field: field, Value: value, Text: fmt.Sprintf(format, args...)}
	}
	columns := strings.Split(text, ",")
	if len(columns) != 3 {
		return bad("", "", "%d columns; want opcode,max_count,datatype", len(columns))
	}
	for i := range columns {
		columns[i] = strings.Trim(strings.TrimSpace(columns[i]), `"`)
	}
	code, ok := parseCode(columns[0], v6)
	if !ok {
		return bad("opcode", columns[0], "neither a number from 1 to %d nor the name of an option", maxCode(v6))
	}
	most, err := strconv.Atoi(columns[1])
	if err != nil || most < 1 {
		return bad("max_count", columns[1], "must be a number from 1")
	}
	t, ok := parseType(columns[2])
	if !ok || !v6 && (t == IPV6 || t == IA || t == PD) || v6 && t == STATICRT {
		return bad("datatype", columns[2], "must be one of %s", strings.Join(allowedTypes(v6), ", "))
	}
	return Attribute{Code: code, Max: most, Type: t}, nil
}

func allowedTypes(v6 bool) []string {
	if v6 {
		return []string{"IPV4", "IPV6", "INT16", "INT32", "STRING", "IA", "PD", "DOMAIN"}
	}
	return []string{"IPV4", "INT16", "INT32", "STRING", "STATICRT", "DOMAIN"}
}

// maxCode is the largest code, with those that are the database's own.
func maxCode(v6 bool) int {
	if v6 {
		return 0xffff
	}
	return codeServerID
}

func parseCode(s string, v6 bool) (int, bool) {
	if code, ok := names(v6)[s]; ok {
		return code, true
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 1 && n <= maxCode(v6)
}

func parseType(s string) (Type, bool) {
	i := slices.Index(typeNames(), strings.ToUpper(s))
	if n, err := strconv.Atoi(s); err == nil {
		i = n
	}
	return Type(max(i, 0)), i >= int(IPV4) && i <= int(DOMAIN)
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
