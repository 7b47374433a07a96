package manifest

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// yamlWriter prints raw values as YAML in block style. It is our own because
// what is written must be read back as the same text whatever it holds, which
// general encoders leave to luck.
type yamlWriter struct{ bytes.Buffer }

func (w *yamlWriter) indent(depth int) { w.WriteString(strings.Repeat("  ", depth)) }

// block writes the keys of a struct or map, a line each.
func (w *yamlWriter) block(v reflect.Value, depth int) {
	if v.Kind() == reflect.Map {
		for _, key := range slices.Sorted(maps.Keys(mapKeys(v))) {
			w.entry(yamlText(key), v.MapIndex(reflect.ValueOf(key)), depth)
		}
		return
	}
	for i := range v.NumField() {
		if !v.Field(i).IsNil() {
			w.entry(yamlText(keyOf(v.Type().Field(i))), v.Field(i), depth)
		}
	}
}

func mapKeys(v reflect.Value) map[string]bool {
	keys := map[string]bool{}
	for _, k := range v.MapKeys() {
		keys[k.String()] = true
	}
	return keys
}

func (w *yamlWriter) entry(key string, v reflect.Value, depth int) {
	w.indent(depth)
	w.WriteString(key + ":")
	v = reflect.Indirect(v)
	if l, ok := v.Interface().(wordOrList); ok {
		if w, ok := l.word(); ok {
			v = reflect.ValueOf(w)
		}
	}
	if v.Kind() == reflect.Slice && v.Len() > 0 {
		w.WriteByte('\n')
		for i := range v.Len() {
			w.item(v.Index(i), depth+1)
		}
		return
	}
	if v.Kind() == reflect.Struct || v.Kind() == reflect.Map && v.Len() > 0 {
		w.WriteByte('\n')
		w.block(v, depth+1)
		return
	}
	w.WriteString(" " + yamlScalar(v) + "\n")
}

// item writes one element of a list; a struct's first key stands behind the
// dash.
func (w *yamlWriter) item(v reflect.Value, depth int) {
	if v.Kind() != reflect.Struct {
		w.indent(depth)
		w.WriteString("- " + yamlScalar(v) + "\n")
		return
	}
	var inner yamlWriter
	inner.block(v, depth+1)
	w.indent(depth)
	w.WriteString("- ")
	w.Write(bytes.TrimLeft(inner.Bytes(), " "))
}

func yamlScalar(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Slice:
		return "[]"
	case reflect.Map:
		return "{}"
	case reflect.String:
		return yamlText(v.String())
	}
	return fmt.Sprint(v.Interface())
}

// yamlText writes a word as it is and everything else in double quotes, as
// JSON does, which every YAML reader takes for text.
func yamlText(s string) string {
	plain := s != "" && isAlnum(rune(s[0])) && s[len(s)-1] != ':' &&
		!strings.ContainsFunc(s, func(r rune) bool { return !isAlnum(r) && !strings.ContainsRune(".:/_-", r) })
	if plain && !isYAMLWord(s) {
		return s
	}
	return jsonText(s)
}

func isAlnum(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// isYAMLWord reports whether some reader would take a plain s for a number, a
// truth value or nothing.
func isYAMLWord(s string) bool {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return true
	}
	digits := strings.ReplaceAll(s, "_", "")
	if _, err := strconv.ParseInt(digits, 0, 64); err == nil {
		return true
	}
	_, err := strconv.ParseFloat(digits, 64)
	return err == nil
}
