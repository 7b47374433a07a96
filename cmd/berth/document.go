package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/berth-net/berth/internal/api"
)

// document is one binding of a file.
type document struct {
	file string
	skip int // lines of the file before the document's first
	nic  string
	body []byte
}

// documents reads a file, or the standard input for "-", and takes its YAML
// documents apart. One with nothing but comments is none.
func (a *app) documents(file string) ([]document, error) {
	content, name, err := a.readInput(file)
	if err != nil {
		return nil, err
	}
	var docs []document
	for _, d := range splitDocuments(content) {
		d.file = name
		docs = append(docs, d)
	}
	if len(docs) == 0 {
		return nil, &api.InvalidError{Detail: name + ": there is no document in it"}
	}
	return docs, nil
}

// maxInput bounds a file of many documents; each has the API's own limit.
const maxInput = 256 << 20

func (a *app) readInput(file string) (content []byte, name string, err error) {
	in, name := a.stdin, "standard input"
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, "", err
		}
		defer f.Close()
		in, name = f, file
	}
	content, err = io.ReadAll(io.LimitReader(in, maxInput+1))
	if err != nil {
		return nil, "", fmt.Errorf("read %s: %w", name, err)
	}
	if len(content) > maxInput {
		return nil, "", &api.InvalidError{Detail: fmt.Sprintf("%s: more than %d bytes", name, maxInput)}
	}
	return content, name, nil
}

// splitDocuments cuts at the document markers (YAML 1.2.2 section 9.1.2): a
// line that begins so can be nothing else, not even in a block scalar.
func splitDocuments(content []byte) []document {
	var docs []document
	var body []byte
	start, line := 0, 0
	flush := func() {
		if hasContent(body) {
			docs = append(docs, document{skip: start, body: body})
		}
		body = nil
	}
	for text := range bytes.Lines(content) {
		switch rest, marker := cutMarker(text); marker {
		case "---":
			flush()
			// What follows on the marker's line keeps its column.
			start, body = line, append([]byte("   "), rest...)
		case "...":
			flush()
			start = line + 1
		default:
			body = append(body, text...)
		}
		line++
	}
	flush()
	return docs
}

func cutMarker(text []byte) (rest []byte, marker string) {
	for _, m := range []string{"---", "..."} {
		rest, ok := bytes.CutPrefix(text, []byte(m))
		if ok && (len(rest) == 0 || bytes.ContainsAny(rest[:1], " \t\r\n")) {
			return rest, m
		}
	}
	return nil, ""
}

func hasContent(body []byte) bool {
	for line := range bytes.Lines(body) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' {
			return true
		}
	}
	return false
}

// named finds which NIC the document is for. All else in it is berthd's to
// judge.
func (d document) named() (document, error) {
	var head struct {
		NIC string `yaml:"nic"`
	}
	if err := yaml.Unmarshal(d.body, &head); err != nil {
		return d, d.invalid(syntaxError(err))
	}
	if head.NIC == "" {
		return d, &api.InvalidError{Detail: d.at(1) + ": the document has no `nic`, the name of the interface"}
	}
	if err := api.CheckName(head.NIC); err != nil {
		return d, &api.InvalidError{Detail: fmt.Sprintf("%s: nic: %v", d.at(1), err)}
	}
	d.nic = head.NIC
	return d, nil
}

func (d document) at(line int) string { return fmt.Sprintf("%s:%d", d.file, d.skip+line) }

func (d document) invalid(problem string) error {
	return &api.InvalidError{Detail: d.file + ": the document is not YAML", Fields: []string{d.place(problem)}}
}

// syntaxError words the parser's error as berthd does: "line:column: problem".
func syntaxError(err error) string {
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil && at.GetToken().Position != nil {
		p := at.GetToken().Position
		return fmt.Sprintf("%d:%d: %s", p.Line, p.Column, at.GetMessage())
	}
	return err.Error()
}

// place turns "line:column: ..." of the document into "file:line:column: ..."
// of the file it came from.
func (d document) place(problem string) string {
	number, rest, _ := strings.Cut(problem, ":")
	line, err := strconv.Atoi(number)
	if err != nil {
		return d.file + ": " + problem
	}
	return d.at(line) + ":" + rest
}

// explain makes a refusal of the server speak of the file.
func (d document) explain(err error) error {
	var refused *api.Error
	if !errors.As(err, &refused) || len(refused.Problem.Errors) == 0 {
		return err
	}
	fields := make([]string, len(refused.Problem.Errors))
	for i, f := range refused.Problem.Errors {
		fields[i] = d.place(f)
	}
	return &api.InvalidError{Detail: refused.Error(), Fields: fields}
}
