package rest

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/wire"
)

// form is how a parameter is written.
type form int

const (
	name     form = iota // of a resource
	text                 // anything short
	kind                 // of a resource
	number               // not negative
	page                 // items of one page
	yes                  // "1" or "true", "0" or "false"
	duration             // as Go's, up to wire.MaxWait
	moment               // RFC 3339
	point                // a revision's number, or RFC 3339
	address              // IPv4 or IPv6
)

// param is one parameter of a route, in its query or its path.
type param struct {
	name     string
	form     form
	required bool
	what     string
}

const (
	maxName = 63
	maxText = 255
)

// schema is the parameter in the OpenAPI document.
func (p param) schema() object {
	switch p.form {
	case name:
		return object{"type": "string", "minLength": 1, "maxLength": maxName, "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$"}
	case kind:
		return written(kindType())
	case number:
		return object{"type": "integer", "format": "int64", "minimum": 0}
	case page:
		return object{"type": "integer", "minimum": 1, "maximum": wire.MaxPage, "default": wire.PageSize}
	case yes:
		return object{"type": "string", "enum": []string{"1", "true", "0", "false"}}
	case duration:
		return object{"type": "string", "format": "span", "examples": []string{"10s"}}
	case moment:
		return object{"type": "string", "format": "date-time"}
	case point:
		return object{"type": "string", "format": "point", "examples": []string{"1234", "2030-01-02T03:04:05Z"}}
	case address:
		return object{"type": "string", "format": "ip", "examples": []string{"192.0.2.10"}}
	default:
		return object{"type": "string", "maxLength": maxText}
	}
}

// check says what is wrong with a value; "": nothing.
func (p param) check(v string) string {
	var err error
	switch p.form {
	case name:
		if !fleet.ValidName(v) {
			return "that is no name: want letters, digits, and behind the first one '-', '.' and '_', 63 bytes at most"
		}
	case text:
		if len(v) > maxText || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Sprintf("want at most %d bytes, and no control characters", maxText)
		}
	case kind:
		if !slices.Contains(fleet.Kinds(), fleet.Kind(v)) {
			return fmt.Sprintf("want one of %v", fleet.Kinds())
		}
	case number:
		_, err = parseNumber(v)
	case page:
		if n, e := parseNumber(v); e != nil || n < 1 || n > wire.MaxPage {
			return fmt.Sprintf("want 1 to %d", wire.MaxPage)
		}
	case yes:
		if !slices.Contains([]string{"1", "true", "0", "false"}, v) {
			return "want 1 or 0"
		}
	case duration:
		if d, e := time.ParseDuration(v); e != nil || d < 0 || d > wire.MaxWait {
			return fmt.Sprintf("want a time such as 10s, up to %s", wire.MaxWait)
		}
	case moment:
		if _, e := time.Parse(time.RFC3339Nano, v); e != nil {
			return "want a time such as 2030-01-02T03:04:05Z"
		}
	case point:
		if _, e := time.Parse(time.RFC3339Nano, v); e != nil {
			if _, e := parseNumber(v); e != nil {
				return "want the number of a revision, or a time such as 2030-01-02T03:04:05Z"
			}
		}
	case address:
		if a, e := netip.ParseAddr(v); e != nil || a.Zone() != "" {
			return "want an IPv4 or IPv6 address"
		}
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func parseNumber(v string) (int64, error) {
	n, err := strconv.ParseUint(v, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("want a number of 0 to %d", int64(1<<63-1))
	}
	return int64(n), nil
}

// arguments are the checked parameters of one request.
type arguments struct{ values url.Values }

// readArguments checks the query and the path of a request against its route.
func readArguments(rt *route, r *http.Request) (arguments, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return arguments{}, refuse(http.StatusBadRequest, "query %q: %v", r.URL.RawQuery, err)
	}
	var mistakes []wire.Mistake
	for key, values := range query {
		if problem := rt.unfit(key, values); problem != "" {
			mistakes = append(mistakes, wire.Mistake{Field: key, Value: strings.Join(values, ","), Problem: problem})
		}
	}
	for _, p := range rt.query {
		if p.required && !query.Has(p.name) {
			mistakes = append(mistakes, wire.Mistake{Field: p.name, Problem: "it is missing"})
		}
	}
	for _, p := range rt.inPath() {
		value := r.PathValue(p.name)
		if problem := p.check(value); problem != "" {
			mistakes = append(mistakes, wire.Mistake{Field: p.name, Value: value, Problem: problem})
		}
		query.Set("{"+p.name+"}", value)
	}
	if len(mistakes) > 0 {
		return arguments{}, refuseValues(http.StatusBadRequest, "parameters", mistakes)
	}
	return arguments{query}, nil
}

func (rt *route) unfit(key string, values []string) string {
	i := slices.IndexFunc(rt.query, func(p param) bool { return p.name == key })
	switch {
	case i < 0:
		return "there is no such parameter here"
	case len(values) > 1:
		return fmt.Sprintf("it is given %d times", len(values))
	}
	return rt.query[i].check(values[0])
}

func (a arguments) text(key string) string { return a.values.Get(key) }
func (a arguments) name() string           { return a.values.Get("{name}") }
func (a arguments) kind() fleet.Kind       { return fleet.Kind(a.values.Get("kind")) }

func (a arguments) yes(key string) bool {
	v := a.values.Get(key)
	return v == "1" || v == "true"
}

func (a arguments) number(key string, otherwise int) int {
	n, err := parseNumber(a.values.Get(key))
	if err != nil {
		return otherwise
	}
	return int(n)
}

func (a arguments) duration(key string) time.Duration {
	d, _ := time.ParseDuration(a.values.Get(key)) // was checked; 0 if not given
	return d
}

func (a arguments) moment(key string) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, a.values.Get(key)) // as above
	return t
}

func (a arguments) address(key string) netip.Addr {
	addr, _ := netip.ParseAddr(a.values.Get(key)) // as above
	return addr.Unmap()
}
