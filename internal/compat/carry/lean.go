package carry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-net/berth/internal/compat"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// Lean writes a binding as YAML for people: only the keys that make it differ
// from what the networks and the defaults give. It is checked by reading it
// back.
func Lean(b *nic.Binding, nets manifest.Networks) ([]byte, error) {
	full, err := tree(b)
	if err != nil {
		return nil, err
	}
	l := leaner{full: full, nets: nets}
	doc := object{}
	for _, key := range []string{"nic", "network", "mac"} {
		if v, ok := full.get(key); ok {
			doc.set(key, v)
		}
	}
	if doc, err = l.complete(doc); err != nil {
		return nil, err
	}
	return yaml(l.reduce(doc)), nil
}

type leaner struct {
	full object
	nets manifest.Networks
}

// complete adds keys until the document means the binding. Defaults follow
// other keys, so one round may not do.
func (l *leaner) complete(doc object) (object, error) {
	for range 3 {
		read, err := l.read(doc)
		if err != nil {
			return nil, err
		}
		missing := differing(l.full, read)
		if len(missing) == 0 {
			return doc, nil
		}
		doc = merge(doc, missing)
	}
	return nil, errors.New("does not come out the same when it is read back")
}

// reduce takes away, key by key, what is said anyway.
func (l *leaner) reduce(doc object) object {
	for _, path := range slices.Backward(paths(doc)) {
		less := without(doc, path)
		read, err := l.read(less)
		if err == nil && len(differing(l.full, read)) == 0 {
			doc = less
		}
	}
	return doc
}

// read says what a document means, with every default.
func (l *leaner) read(doc object) (object, error) {
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	r := manifest.Parse("", text, l.nets)
	if len(r.Problems) > 0 {
		return nil, r.Problems[0]
	}
	if len(r.Bindings) != 1 {
		return nil, errors.New("is not one document")
	}
	return tree(&r.Bindings[0])
}

func tree(b *nic.Binding) (object, error) {
	text, err := manifest.Encode(b)
	if err != nil {
		return nil, err
	}
	var o object
	if err := json.Unmarshal(text, &o); err != nil {
		return nil, fmt.Errorf("read the binding of %s: %w", b.NIC, err)
	}
	return o, nil
}

// object is a JSON object whose keys keep their order.
type object []member

type member struct {
	key   string
	value any // object, or json.RawMessage
}

func (o object) get(key string) (any, bool) {
	for _, m := range o {
		if m.key == key {
			return m.value, true
		}
	}
	return nil, false
}

func (o *object) set(key string, value any) {
	for i, m := range *o {
		if m.key == key {
			(*o)[i].value = value
			return
		}
	}
	*o = append(*o, member{key, value})
}

// UnmarshalJSON reads nested objects as objects and all else as it is.
func (o *object) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return err
	}
	*o = object{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return err
		}
		var value any = raw
		if raw[0] == '{' {
			var inner object
			if err := json.Unmarshal(raw, &inner); err != nil {
				return err
			}
			value = inner
		}
		*o = append(*o, member{key.(string), value})
	}
	return nil
}

// MarshalJSON writes the keys in their order.
func (o object) MarshalJSON() ([]byte, error) {
	var w bytes.Buffer
	w.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			w.WriteByte(',')
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		w.WriteString(strconv.Quote(m.key) + ":")
		w.Write(value)
	}
	w.WriteByte('}')
	return w.Bytes(), nil
}

// differing are the keys of want that have does not have the same.
func differing(want, have object) object {
	var out object
	for _, m := range want {
		other, _ := have.get(m.key)
		switch w := m.value.(type) {
		case object:
			h, _ := other.(object)
			if d := differing(w, h); len(d) > 0 || len(w) == 0 && len(h) > 0 {
				out = append(out, member{m.key, d})
			}
		case json.RawMessage:
			if h, ok := other.(json.RawMessage); !ok || !bytes.Equal(w, h) {
				out = append(out, m)
			}
		}
	}
	return out
}

// merge puts more into a copy of o, in the order of a binding's keys where
// they are new.
func merge(o, more object) object {
	out := slices.Clone(o)
	for _, m := range more {
		have, _ := out.get(m.key)
		inner, both := have.(object)
		if add, ok := m.value.(object); ok && both {
			out.set(m.key, merge(inner, add))
		} else {
			out.set(m.key, m.value)
		}
	}
	return out
}

// paths are those of all values, an object's keys one by one.
func paths(o object) (out [][]string) {
	for _, m := range o {
		inner, ok := m.value.(object)
		if !ok || len(inner) == 0 {
			out = append(out, []string{m.key})
		}
		for _, p := range paths(inner) {
			out = append(out, append([]string{m.key}, p...))
		}
	}
	return out
}

// without leaves one path out, and what is empty by that.
func without(o object, path []string) object {
	var out object
	for _, m := range o {
		if m.key != path[0] {
			out = append(out, m)
			continue
		}
		inner, ok := m.value.(object)
		if ok && len(path) > 1 {
			if rest := without(inner, path[1:]); len(rest) > 0 {
				out = append(out, member{m.key, rest})
			}
		}
	}
	return out
}

// yaml writes keys a line each and lists of words in brackets.
func yaml(o object) []byte {
	var w bytes.Buffer
	write(&w, o, "")
	return w.Bytes()
}

func write(w *bytes.Buffer, o object, indent string) {
	for _, m := range o {
		w.WriteString(indent + word(m.key) + ":")
		writeValue(w, m.value, indent+"  ")
	}
}

func writeValue(w *bytes.Buffer, value any, indent string) {
	switch v := value.(type) {
	case object:
		if len(v) == 0 {
			w.WriteString(" {}\n")
			return
		}
		w.WriteByte('\n')
		write(w, v, indent)
	case json.RawMessage:
		if v[0] == '[' {
			writeList(w, v, indent)
			return
		}
		w.WriteString(" " + scalar(v) + "\n")
	}
}

func writeList(w *bytes.Buffer, raw json.RawMessage, indent string) {
	var items []json.RawMessage
	_ = json.Unmarshal(raw, &items) // it was written by an encoder
	if len(items) == 0 || items[0][0] != '{' {
		texts := make([]string, len(items))
		for i, v := range items {
			texts[i] = scalar(v)
		}
		w.WriteString(" [" + strings.Join(texts, ", ") + "]\n")
		return
	}
	w.WriteByte('\n')
	for _, item := range items {
		var o object
		_ = json.Unmarshal(item, &o) // likewise
		var inner bytes.Buffer
		write(&inner, legible(o), indent+"  ")
		w.WriteString(indent + "- ")
		w.Write(bytes.TrimLeft(inner.Bytes(), " "))
	}
}

// legible writes an option's bytes as text if they are text.
func legible(o object) object {
	kind, _ := o.get("type")
	value, _ := o.get("value")
	raw, ok := value.(json.RawMessage)
	if k, isRaw := kind.(json.RawMessage); !ok || !isRaw || string(k) != `"hex"` {
		return o
	}
	text, ok := compat.HexText(strings.Trim(string(raw), `"`))
	if !ok {
		return o
	}
	out := slices.Clone(o)
	out.set("type", json.RawMessage(`"string"`))
	out.set("value", json.RawMessage(strconv.Quote(text)))
	return out
}

func scalar(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return string(raw) // a number or a truth value
	}
	return word(s)
}

// word leaves a text bare if every YAML reader takes it for one. JSON's quotes
// are YAML's.
func word(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".:/-", r)
	}
	bare := s != "" && plain(rune(s[0])) && s[0] != '-' && s[0] != ':' && s[len(s)-1] != ':' &&
		strings.TrimFunc(s, plain) == "" && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) })
	if _, err := strconv.ParseFloat(s, 64); bare && err != nil && !slices.Contains(reserved(), strings.ToLower(s)) {
		return s
	}
	quoted, _ := json.Marshal(s) // a string always marshals
	return string(quoted)
}

func reserved() []string {
	return []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
}
