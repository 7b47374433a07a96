package fleet

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/yamltree"
)

// Limits of one file or body.
const (
	MaxFile      = 4 << 20
	MaxDocuments = 4096
	maxProblems  = 100 // of one document
)

// Decode reads the resources of one file, YAML or JSON, a document each. It is
// strict, and fills in the defaults; the resources are those without problems
// of their own. A Resource that it returns is valid by itself.
func Decode(file string, data []byte) ([]Resource, []Problem) {
	docs, cut := yamltree.Split(data, yamltree.Limits{Bytes: MaxFile, Documents: MaxDocuments})
	var out []Resource
	var bad []Problem
	if cut != nil {
		bad = append(bad, Problem{File: file, Line: cut.Line, Column: cut.Col, Text: cut.Text})
	}
	seen := map[string]int{}
	for _, doc := range docs {
		d := decoder{file: file, index: map[string]*yamltree.Node{}}
		res := d.document(doc)
		if res != nil {
			d.once(res, seen)
		}
		bad = append(bad, d.sorted(res)...)
		if len(d.problems) == 0 {
			out = append(out, res)
		}
	}
	return out, bad
}

// DecodeOne reads one resource whose kind and name are known otherwise, as a
// path tells them: the document may leave them out, and may not contradict.
func DecodeOne(kind Kind, name string, data []byte) (Resource, []Problem) {
	docs, cut := yamltree.Split(data, yamltree.Limits{Bytes: MaxFile, Documents: MaxDocuments})
	switch {
	case cut != nil:
		return nil, []Problem{{Line: cut.Line, Column: cut.Col, Text: cut.Text}}
	case len(docs) != 1:
		return nil, []Problem{{Text: fmt.Sprintf("%d documents; there must be one", len(docs))}}
	}
	d := decoder{kind: kind, name: name, index: map[string]*yamltree.Node{}}
	res := d.document(docs[0])
	if len(d.problems) > 0 {
		return nil, d.sorted(res)
	}
	return res, nil
}

// New returns an empty resource of a kind, nil if there is no such kind.
func New(kind Kind) Resource {
	var r Resource
	switch kind {
	case KindProject:
		r = &Project{}
	case KindNetwork:
		r = &Network{}
	case KindPool:
		r = &Pool{}
	case KindNode:
		r = &Node{}
	case KindPolicy:
		r = &Policy{}
	case KindNIC:
		r = &NIC{}
	case KindFailover:
		r = &Failover{}
	case KindRequest:
		r = &Request{}
	default:
		return nil
	}
	r.Header().Kind = kind
	return r
}

// decoder reads one document.
type decoder struct {
	file     string
	kind     Kind   // "": as the document says
	name     string // "": as the document says
	index    map[string]*yamltree.Node
	root     *yamltree.Node
	problems []Problem
	lost     bool // a value could not be read
}

func (d *decoder) document(doc yamltree.Document) Resource {
	root, err := yamltree.Load(doc)
	if err != nil {
		at := &yamltree.Node{Line: doc.Line, Col: 1}
		if s, ok := errors.AsType[*yamltree.SyntaxError](err); ok {
			at.Line, at.Col = s.Line, s.Col
		}
		d.fail("", at, "", "%s", err.Error())
		return nil
	}
	d.root = root
	if root.Kind != yamltree.Mapping {
		d.fail("", root, "", "a document must be keys with values, not %s", root.Kind)
		return nil
	}
	res := d.empty()
	if res == nil {
		return nil
	}
	d.value(reflect.ValueOf(res).Elem(), root, "")
	if h := res.Header(); h.Name == "" && d.name != "" {
		h.Name = d.name
	}
	d.agree("name", d.name, res.Header().Name)
	if !d.lost && len(d.problems) == 0 {
		Complete(res)
		d.check(res)
	}
	return res
}

// empty is a resource of the kind that the document says it is.
func (d *decoder) empty() Resource {
	kind := d.kind
	for _, e := range d.root.Keys {
		if e.Name == "kind" && e.Value.Kind == yamltree.Scalar {
			d.index["kind"] = e.Value
			d.agree("kind", string(d.kind), e.Value.Text)
			kind = Kind(e.Value.Text)
		}
	}
	if res := New(kind); res != nil {
		return res
	}
	if kind == "" {
		d.fail("kind", d.root, "", "missing: a document needs its kind, one of %s", kinds())
	} else {
		d.fail("kind", d.near("kind"), string(kind), "must be one of %s", kinds())
	}
	return nil
}

func kinds() string {
	var words []string
	for _, k := range Kinds() {
		words = append(words, string(k))
	}
	return strings.Join(words, ", ")
}

// agree holds what the document says to what the path says.
func (d *decoder) agree(field, path, said string) {
	if path != "" && said != path {
		d.fail(field, d.near(field), said, "is %q by the address it was sent to", path)
	}
}

// once refuses a resource that the file has already.
func (d *decoder) once(res Resource, seen map[string]int) {
	h := res.Header()
	key := string(h.Kind) + "/" + h.Name
	if line, dup := seen[key]; dup {
		d.fail("name", d.near("name"), h.Name, "declared twice in this file, first at line %d", line)
		return
	}
	seen[key] = d.root.Line
}

// check adds what Validate finds, each at the value it is about.
func (d *decoder) check(res Resource) {
	for _, e := range nic.FieldErrors(res.Validate()) {
		d.fail(e.Field, d.near(e.Field), e.Value, "%s", e.Problem)
	}
}

// near returns the node of a path or of the nearest one around it.
func (d *decoder) near(path string) *yamltree.Node {
	for path != "" {
		if n, ok := d.index[path]; ok {
			return n
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return d.root
}

func (d *decoder) fail(field string, n *yamltree.Node, value, format string, args ...any) {
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, Problem{File: d.file, Line: n.Line, Column: n.Col, Field: field, Value: value, Text: fmt.Sprintf(format, args...)})
	}
}

// unreadable is fail for a value that is lost by it.
func (d *decoder) unreadable(field string, n *yamltree.Node, format string, args ...any) {
	d.lost = true
	value := ""
	if n.Kind == yamltree.Scalar {
		value = n.Text
	}
	d.fail(field, n, value, format, args...)
}

// sorted returns the problems in the order of the file, with their resource.
func (d *decoder) sorted(res Resource) []Problem {
	slices.SortStableFunc(d.problems, func(x, y Problem) int {
		return cmp.Or(cmp.Compare(x.Line, y.Line), cmp.Compare(x.Column, y.Column))
	})
	for i := range d.problems {
		if res != nil {
			d.problems[i].Kind, d.problems[i].Name = res.Header().Kind, res.Header().Name
		}
	}
	return d.problems
}

// value reads a node into what stands for it.
func (d *decoder) value(v reflect.Value, n *yamltree.Node, path string) {
	if path != "" {
		d.index[path] = n
	}
	if n.Kind == yamltree.Null {
		d.unreadable(path, n, "has no value; leave the key out, or say what it is")
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		d.value(v.Elem(), n, path)
		return
	}
	if v.Kind() == reflect.Interface {
		v.Set(reflect.ValueOf(d.free(n, path)))
		return
	}
	text, isText := v.Addr().Interface().(encoding.TextUnmarshaler)
	want := yamltree.Scalar
	switch {
	case isText:
	case v.Kind() == reflect.Slice:
		want = yamltree.List
	case v.Kind() == reflect.Map, v.Kind() == reflect.Struct:
		want = yamltree.Mapping
	}
	if n.Kind != want {
		d.unreadable(path, n, "must be %s, not %s", want, n.Kind)
		return
	}
	if isText {
		if err := text.UnmarshalText([]byte(n.Text)); err != nil {
			d.unreadable(path, n, "%s", textProblem(v.Type(), err))
		}
		return
	}
	d.plain(v, n, path)
}

// plain reads what is not text of a form of its own.
func (d *decoder) plain(v reflect.Value, n *yamltree.Node, path string) {
	switch v.Kind() {
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), len(n.Items), len(n.Items)))
		for i, item := range n.Items {
			d.value(v.Index(i), item, fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Map:
		d.table(v, n, path)
	case reflect.Struct:
		d.keys(v, n, path)
	case reflect.Bool:
		if n.Quoted || n.Text != "true" && n.Text != "false" {
			d.unreadable(path, n, "must be true or false")
			return
		}
		v.SetBool(n.Text == "true")
	case reflect.String:
		v.SetString(n.Text)
	default:
		d.number(v, n, path)
	}
}

// number reads whole numbers; none of ours is negative.
func (d *decoder) number(v reflect.Value, n *yamltree.Node, path string) {
	i, whole := integer(n)
	switch {
	case !whole:
		d.unreadable(path, n, "must be a whole number")
	case v.CanInt() && !v.OverflowInt(i) && i >= 0:
		v.SetInt(i)
	case v.CanUint() && i >= 0 && !v.OverflowUint(uint64(i)):
		v.SetUint(uint64(i))
	default:
		d.unreadable(path, n, "must be 0 to %d", most(v))
	}
}

func most(v reflect.Value) uint64 {
	bits := v.Type().Bits()
	if v.CanInt() {
		bits--
	}
	return 1<<bits - 1
}

// integer reads decimal as it is printed: with a leading zero it is text.
func integer(n *yamltree.Node) (int64, bool) {
	i, err := strconv.ParseInt(n.Text, 10, 64)
	return i, err == nil && !n.Quoted && strconv.FormatInt(i, 10) == n.Text
}

// table reads a map with free keys.
func (d *decoder) table(v reflect.Value, n *yamltree.Node, path string) {
	v.Set(reflect.MakeMap(v.Type()))
	for _, e := range d.unique(n, path) {
		value := reflect.New(v.Type().Elem()).Elem()
		d.value(value, e.Value, yamltree.Join(path, e.Name))
		if value.IsValid() {
			v.SetMapIndex(reflect.ValueOf(e.Name), value)
		}
	}
}

// free reads keys of a binding: what they must be is for manifest to say.
func (d *decoder) free(n *yamltree.Node, path string) any {
	switch n.Kind {
	case yamltree.List:
		list := make([]any, 0, len(n.Items))
		for i, item := range n.Items {
			item := d.entry(item, fmt.Sprintf("%s[%d]", path, i))
			list = append(list, item)
		}
		return list
	case yamltree.Mapping:
		m := map[string]any{}
		for _, e := range d.unique(n, path) {
			m[e.Name] = d.entry(e.Value, yamltree.Join(path, e.Name))
		}
		return m
	default: // a value
	}
	if i, whole := integer(n); whole {
		return i
	}
	if !n.Quoted && (n.Text == "true" || n.Text == "false") {
		return n.Text == "true"
	}
	return n.Text
}

func (d *decoder) entry(n *yamltree.Node, path string) any {
	d.index[path] = n
	if n.Kind == yamltree.Null {
		d.unreadable(path, n, "has no value; leave the key out, or say what it is")
		return ""
	}
	return d.free(n, path)
}

// keys reads a struct; a key it does not have is a mistake.
func (d *decoder) keys(v reflect.Value, n *yamltree.Node, path string) {
	fields := fieldsOf(v.Type())
	for _, e := range d.unique(n, path) {
		if i := slices.IndexFunc(fields, func(f field) bool { return f.key == e.Name }); i >= 0 {
			d.value(v.FieldByIndex(fields[i].index), e.Value, yamltree.Join(path, e.Name))
			continue
		}
		d.lost = true
		text := "unknown key"
		names := make([]string, len(fields))
		for i, f := range fields {
			names[i] = f.key
		}
		if near := yamltree.Nearest(names, e.Name); near != "" {
			text += "; did you mean " + yamltree.Join(path, near) + "?"
		}
		d.fail(yamltree.Join(path, e.Name), &yamltree.Node{Line: e.Line, Col: e.Col}, "", "%s", text)
	}
}

// unique returns the entries of a mapping without those given twice.
func (d *decoder) unique(n *yamltree.Node, path string) []yamltree.Entry {
	return n.Unique(func(e yamltree.Entry, first int) {
		d.lost = true
		d.fail(yamltree.Join(path, e.Name), &yamltree.Node{Line: e.Line, Col: e.Col}, "", "given twice, first at line %d", first)
	})
}

// field is a key of a struct, of what it embeds too.
type field struct {
	key   string
	index []int
}

func fieldsOf(t reflect.Type) []field {
	var out []field
	for f := range t.Fields() {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && key == "" {
			for _, inner := range fieldsOf(f.Type) {
				out = append(out, field{inner.key, append(slices.Clone(f.Index), inner.index...)})
			}
			continue
		}
		out = append(out, field{key, f.Index})
	}
	return out
}

// textProblem words what a type of another package says.
func textProblem(t reflect.Type, err error) string {
	switch t.String() {
	case "netip.Addr":
		return "not an IP address"
	case "netip.Prefix":
		return "not a prefix such as 192.0.2.0/24"
	case "time.Time":
		return "not a time such as 2026-01-02T15:04:05Z"
	case "nic.MAC":
		return "not a MAC address; want six octets like 52:54:00:aa:00:01"
	}
	return err.Error()
}
