package manifest

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/yamltree"
)

// draft is one document on its way to a value: what it says, where it says
// it, and what is wrong with it.
type draft struct {
	file     string
	line     int
	root     *yamltree.Node
	index    map[string]*yamltree.Node // by path, such as "routes[0].via"
	raw      raw
	problems []Problem
	lost     bool // a value could not be read, so rules between values cannot be checked
}

// read parses one document and decodes it strictly. It never fails: what is
// wrong is in problems.
func read(file string, doc yamltree.Document) *draft {
	d := &draft{file: file, line: doc.Line, index: map[string]*yamltree.Node{}}
	root, err := yamltree.Load(doc)
	if err != nil {
		d.syntax(doc, err)
		return d
	}
	d.root, d.line = root, root.Line
	if root.Kind != yamltree.Mapping {
		d.fail("", root, "", "a document must be keys with values, not %s", root.Kind)
		return d
	}
	d.decode(reflect.ValueOf(&d.raw).Elem(), root, "")
	return d
}

func (d *draft) syntax(doc yamltree.Document, err error) {
	d.lost = true
	p := Problem{File: d.file, Line: doc.Line, Column: 1, Text: err.Error()}
	if s, ok := errors.AsType[*yamltree.SyntaxError](err); ok {
		p.Line, p.Column = s.Line, s.Col
	}
	d.problems = append(d.problems, p)
	if n := guessName(doc.Text); n != "" {
		d.raw.NIC = &n
	}
}

// guessName finds the NIC a document names that cannot be parsed, so that the
// message reaches the one who looks at the NIC.
func guessName(text string) string {
	for l := range strings.Lines(text) {
		l = strings.TrimLeft(l, "{ \t\r\n")
		key, value, ok := strings.Cut(l, ":")
		if !ok || strings.Trim(strings.TrimSpace(key), `"'`) != "nic" {
			continue
		}
		value, _, _ = strings.Cut(value, ",")
		value, _, _ = strings.Cut(value, " #")
		if value = strings.Trim(strings.TrimSpace(value), `"'`); nic.ValidName(value) {
			return value
		}
	}
	return ""
}

// name returns the NIC the document names, and the line.
func (d *draft) name() (string, int) {
	if d.raw.NIC == nil {
		return "", d.line
	}
	return *d.raw.NIC, d.line
}

// fail notes a problem at a node. The first problem of a field is the one to
// mend; what follows from it, there and below, is not told.
func (d *draft) fail(field string, n *yamltree.Node, value, format string, args ...any) {
	if len(d.problems) >= maxProblems {
		return
	}
	for _, p := range d.problems {
		if p.Field != "" && (field == p.Field || strings.HasPrefix(field, p.Field+".") || strings.HasPrefix(field, p.Field+"[")) {
			return
		}
	}
	p := Problem{File: d.file, Line: d.line, Column: 1, Field: field, Value: value, Text: fmt.Sprintf(format, args...)}
	if n != nil {
		p.Line, p.Column = n.Line, n.Col
	}
	d.problems = append(d.problems, p)
}

// unreadable is fail for a value that is lost by it.
func (d *draft) unreadable(field string, n *yamltree.Node, format string, args ...any) {
	d.lost = true
	value := ""
	if n.Kind == yamltree.Scalar {
		value = n.Text
	}
	d.fail(field, n, value, format, args...)
}

// decode reads a node into a raw field.
func (d *draft) decode(v reflect.Value, n *yamltree.Node, path string) {
	if path != "" {
		d.index[path] = n
	}
	if n.Kind == yamltree.Null {
		d.unreadable(path, n, "has no value; leave the key out, or say what it is")
		return
	}
	if n.Kind == yamltree.Scalar && v.Type() == reflect.TypeFor[wordOrList]() {
		v.Set(reflect.ValueOf(wordOrList{n.Text}))
		return
	}
	want := wanted(v.Type())
	if n.Kind != want {
		what := want.String()
		if v.Type() == reflect.TypeFor[wordOrList]() {
			what = "a word or a list"
		}
		hint := ""
		if n.Kind == yamltree.Mapping && want == yamltree.Scalar && strings.HasSuffix(path, "]") {
			// The parser takes a colon in a list inside braces for a key's.
			hint = "; inside braces an address in a list needs quotes"
		}
		d.unreadable(path, n, "must be %s, not %s%s", what, n.Kind, hint)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		d.pointer(v, n, path)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), len(n.Items), len(n.Items)))
		for i, item := range n.Items {
			d.decode(v.Index(i), item, fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Map:
		d.table(v, n, path)
	case reflect.Struct:
		d.keys(v, n, path)
	default:
		v.SetString(n.Text)
	}
}

func wanted(t reflect.Type) yamltree.Kind {
	switch t.Kind() {
	case reflect.Pointer:
		return wanted(t.Elem())
	case reflect.Slice:
		return yamltree.List
	case reflect.Map, reflect.Struct:
		return yamltree.Mapping
	}
	return yamltree.Scalar
}

// pointer reads an optional key; text is taken as written, quoted or not.
func (d *draft) pointer(v reflect.Value, n *yamltree.Node, path string) {
	p := reflect.New(v.Type().Elem())
	switch p.Elem().Kind() {
	case reflect.Bool:
		if n.Quoted || n.Text != "true" && n.Text != "false" {
			d.unreadable(path, n, "must be true or false")
			return
		}
		p.Elem().SetBool(n.Text == "true")
	case reflect.Int64:
		i, err := parseInt(n.Text)
		if err != nil || n.Quoted {
			d.unreadable(path, n, "must be a whole number")
			return
		}
		p.Elem().SetInt(i)
	default:
		d.decode(p.Elem(), n, path)
	}
	v.Set(p)
}

// parseInt reads decimal and 0x hexadecimal; a leading zero is refused, since
// some read it as octal.
func parseInt(s string) (int64, error) {
	if h, ok := strings.CutPrefix(s, "0x"); ok {
		u, err := strconv.ParseUint(h, 16, 63)
		return int64(u), err
	}
	digits := strings.TrimPrefix(s, "-")
	if len(digits) > 1 && digits[0] == '0' || strings.HasPrefix(digits, "+") {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseInt(s, 10, 64)
}

// table reads a map with free keys, such as tags and boot-arch.
func (d *draft) table(v reflect.Value, n *yamltree.Node, path string) {
	v.Set(reflect.MakeMap(v.Type()))
	for _, e := range d.unique(n, func(key string) string { return tablePath(path, key) }) {
		value := reflect.New(v.Type().Elem()).Elem()
		d.decode(value, e.Value, tablePath(path, e.Name))
		v.SetMapIndex(reflect.ValueOf(e.Name), value)
	}
}

// tablePath is how nic.Validate names an entry of a map.
func tablePath(path, key string) string {
	if path == "tags" {
		return path + "." + key
	}
	return path + "[" + key + "]"
}

// keys reads a struct; a key it does not have is a mistake.
func (d *draft) keys(v reflect.Value, n *yamltree.Node, path string) {
	for _, e := range d.unique(n, func(key string) string { return yamltree.Join(path, key) }) {
		if i, ok := fieldOf(v.Type(), e.Name); ok {
			d.decode(v.Field(i), e.Value, yamltree.Join(path, e.Name))
			continue
		}
		at := &yamltree.Node{Line: e.Line, Col: e.Col}
		if len(d.problems) >= maxProblems {
			return
		}
		if near := nearest(v.Type(), e.Name); near != "" {
			d.fail(yamltree.Join(path, e.Name), at, "", "unknown key; did you mean %s?", yamltree.Join(path, near))
		} else {
			d.fail(yamltree.Join(path, e.Name), at, "", "unknown key")
		}
	}
}

// unique returns the entries of a mapping without those given twice.
func (d *draft) unique(n *yamltree.Node, path func(key string) string) []yamltree.Entry {
	return n.Unique(func(e yamltree.Entry, first int) {
		d.fail(path(e.Name), &yamltree.Node{Line: e.Line, Col: e.Col}, "", "given twice, first at line %d", first)
	})
}

// fieldOf finds the struct field with a key.
func fieldOf(t reflect.Type, key string) (int, bool) {
	for i := range t.NumField() {
		if keyOf(t.Field(i)) == key {
			return i, true
		}
	}
	return 0, false
}

func keyOf(f reflect.StructField) string {
	key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return key
}

// nearest returns the key a mistyped one was probably meant to be.
func nearest(t reflect.Type, key string) string {
	keys := make([]string, t.NumField())
	for i := range keys {
		keys[i] = keyOf(t.Field(i))
	}
	return yamltree.Nearest(keys, key)
}
