package rest

import (
	"encoding/json"
	"net/netip"
	"path"
	"reflect"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/rest/wire"
)

// object is a JSON object of the OpenAPI document; encoding/json sorts its keys.
type object = map[string]any

// schemas makes JSON schemas of Go types, one component for each named struct.
type schemas struct{ components object }

// of returns the schema of a type as encoding/json writes and reads it.
func (s *schemas) of(t reflect.Type) object {
	if o := written(t); o != nil {
		return o
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Struct:
		return s.component(t)
	case reflect.Slice:
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Uint8:
		return object{"type": "integer", "minimum": 0, "maximum": 255}
	case reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer", "format": "int64"}
	default: // any
		return object{}
	}
}

// written is the schema of types that have a form of their own.
func written(t reflect.Type) object {
	if values := enums()[t]; values != nil {
		return object{"type": "string", "enum": values}
	}
	switch t {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[netip.Addr]():
		return object{"type": "string", "format": "ip", "examples": []string{"192.0.2.10", "2001:db8::10"}}
	case reflect.TypeFor[netip.Prefix]():
		return object{"type": "string", "format": "prefix", "examples": []string{"192.0.2.0/24", "2001:db8::/64"}}
	case reflect.TypeFor[nic.MAC]():
		return object{"type": "string", "format": "mac", "examples": []string{"02:62:65:00:00:01"}}
	case reflect.TypeFor[fleet.Duration]():
		return object{"type": "string", "format": "span", "examples": []string{"36h", "90d"}}
	case reflect.TypeFor[fleet.Range]():
		return object{"type": "string", "format": "range", "examples": []string{"192.0.2.10-192.0.2.99"}}
	case reflect.TypeFor[json.RawMessage]():
		return object{"description": "any JSON"}
	}
	return nil
}

func enums() map[reflect.Type][]string {
	var kinds []string
	for _, k := range fleet.Kinds() {
		kinds = append(kinds, string(k))
	}
	return map[reflect.Type][]string{
		reflect.TypeFor[fleet.Kind]():      kinds,
		reflect.TypeFor[fleet.Phase]():     {string(fleet.Prepared), string(fleet.Activated)},
		reflect.TypeFor[fleet.NodeState](): {string(fleet.NodeEnabled), string(fleet.NodeDraining), string(fleet.NodeDisabled)},
		reflect.TypeFor[fleet.Effect]():    {string(fleet.Allow), string(fleet.Deny)},
		reflect.TypeFor[wire.EventType]():  {string(wire.Put), string(wire.Deleted)},
	}
}

// component puts the struct among the components, once, and refers to it.
func (s *schemas) component(t reflect.Type) object {
	name := typeName(t)
	if name == "" {
		return s.object(t)
	}
	if _, done := s.components[name]; !done {
		s.components[name] = object{} // it may contain itself
		s.components[name] = s.object(t)
	}
	return object{"$ref": "#/components/schemas/" + name}
}

// typeName is the type's own, with what it is made of behind it: "PageNIC"; and
// with its package in front unless that is one of those that everybody reads.
func typeName(t reflect.Type) string {
	name, args, generic := strings.Cut(t.Name(), "[")
	if generic {
		args = strings.TrimSuffix(args, "]")
		name += args[strings.LastIndexAny(args, "./")+1:]
	}
	switch room := path.Base(t.PkgPath()); {
	case name == "" || room == "fleet" || room == "nodelink":
		return name
	case room == "wire" && name != "Usage": // fleet has one
		return name
	default:
		return strings.ToUpper(room[:1]) + room[1:] + name
	}
}

func (s *schemas) object(t reflect.Type) object {
	properties, required := object{}, []string{}
	for _, f := range fields(t) {
		key, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		schema := s.of(f.Type)
		if t == reflect.TypeFor[fleet.VM]() && key == "nics" {
			schema = s.vmNICs()
		}
		if !strings.Contains(options, "omit") {
			required = append(required, key)
			// encoding/json writes null for what was never made.
			if kind := f.Type.Kind(); (kind == reflect.Slice || kind == reflect.Map) && schema["type"] != nil {
				schema["type"] = []any{schema["type"], "null"}
			}
		}
		properties[key] = schema
	}
	out := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// vmNICs are NICs as a request has them: what they have of their VM is left out.
func (s *schemas) vmNICs() object {
	nic := s.object(reflect.TypeFor[fleet.NIC]())
	nic["required"] = []string{"network"}
	s.components["VMNIC"] = nic
	return object{"type": "array", "items": object{"$ref": "#/components/schemas/VMNIC"}}
}

// fields are those of a struct and of what it embeds.
func fields(t reflect.Type) (all []reflect.StructField) {
	for i := range t.NumField() {
		f := t.Field(i)
		switch {
		case f.Anonymous:
			all = append(all, fields(f.Type)...)
		case f.IsExported() && f.Tag.Get("json") != "-":
			all = append(all, f)
		}
	}
	return all
}
