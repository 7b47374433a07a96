package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/berth-net/berth/internal/rest/client"
)

const (
	example = "../../packaging/etc/berth/controller.yaml.example"
	page    = "../../docs/controller.md"
)

// The shipped file is the defaults, and shows every key; so does the manual.
func TestShippedConfig(t *testing.T) {
	data, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseConfig(example, data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(defaultConfig(), c, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the shipped file differs from the defaults (-default +file):\n%s", diff)
	}
	manual, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys(reflect.TypeFor[config](), "") {
		last := key[strings.LastIndexByte(key, '.')+1:]
		if !strings.Contains(string(data), last+":") {
			t.Errorf("%s does not show %q", example, last)
		}
		if !strings.Contains(string(manual), "`"+key+"`") {
			t.Errorf("%s does not show %q", page, key)
		}
	}
}

// keys are those that have a value, with the keys that they are under.
func keys(t reflect.Type, under string) []string {
	var all []string
	for i := range t.NumField() {
		f := t.Field(i)
		key, inner := under+f.Tag.Get("yaml"), f.Type
		if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			all = append(all, keys(inner, key+".")...)
			continue
		}
		all = append(all, key)
	}
	return all
}

func TestBadConfig(t *testing.T) {
	for text, want := range map[string]string{
		"listn: x":                     `[1:1] unknown field "listn"`,
		"listen: 7443x":                `listen "7443x": want an address and a port`,
		"data: var/lib":                `data "var/lib": want an absolute path`,
		"urls: ['http://c1']":          `urls "http://c1": want https://HOST:PORT`,
		"etcd: {prefix: /berth}":       `etcd.prefix "/berth": want one that ends in a slash`,
		"etcd: {ca: x.pem}":            `etcd.ca "x.pem": want an absolute path`,
		"retention: 0s":                "retention: want a time above 0",
		"retention: soon":              `"soon" is not a time`,
		"ca: {cert: /x.pem}":           "ca: want both cert and key",
		"log: {format: xml}":           `log.format "xml": want text or json`,
		"socket: {mode: rw}":           `"rw" is not a file mode`,
		"data: /a\ndata: /b":           "already defined",
		"operators: {uids: [-1]}":      "[1:20]",
		"oidc: [{issuer: x, foo: y}]":  `unknown field "foo"`,
		"etcd: {endpoint: ['http:x']}": `unknown field "endpoint"`,
	} {
		_, err := parseConfig("controller.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "controller.yaml: ") {
			t.Errorf("%q: %v, want controller.yaml: ...%s", text, err, want)
		}
	}
}

func TestReachable(t *testing.T) {
	c := config{Listen: "192.0.2.5:7443", Names: []string{"controller.example"}}
	names, urls := c.reachable()
	if names[0] != "controller.example" || !cmp.Equal(urls, []string{"https://controller.example:7443"}) {
		t.Errorf("%v, %v", names, urls)
	}
	for _, want := range []string{"192.0.2.5", "localhost", "127.0.0.1", "::1"} {
		if !strings.Contains(strings.Join(names, " ")+" ", want+" ") {
			t.Errorf("%v lacks %s", names, want)
		}
	}
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	good := write("good.yaml", "data: "+dir)
	for _, c := range []struct {
		args []string
		want int
		out  string
	}{
		{[]string{"-version"}, exitOK, "berth-controller dev\n"},
		{[]string{"-help"}, exitOK, ""},
		{[]string{"-nonsense"}, exitUsage, ""},
		{[]string{"extra"}, exitUsage, ""},
		{[]string{"-config", write("bad.yaml", "x: 1")}, exitConfig, ""},
		{[]string{"-config", write("notoken.yaml", "tokens: "+dir+"/none.yaml"), "-check"}, exitConfig, ""},
		{[]string{"-config", write("subject.yaml", "operators: {subjects: [alice]}"), "-check"}, exitConfig, ""},
		{[]string{"-config", good, "-check"}, exitOK, good + ": no mistakes\n"},
		{[]string{"-config", write("port.yaml", "data: "+dir+"\nlisten: 192.0.2.1:1")}, exitEnv, ""},
	} {
		var out, errs bytes.Buffer
		if got := run(t.Context(), c.args, &out, &errs); got != c.want || out.String() != c.out {
			t.Errorf("%v: exit %d, %q, want %d, %q (stderr %q)", c.args, got, out.String(), c.want, c.out, errs.String())
		}
	}
}

// The controller starts with nothing but a directory, answers on its socket, and
// stops when it is told to; started again it has the same CA and site.
func TestStartsFromNothing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "controller.yaml")
	text := "data: " + dir + "/data\nlisten: 127.0.0.1:0\nsocket: {path: " + dir + "/c.sock}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var cas [][]byte
	for range 2 {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan int)
		var errs bytes.Buffer
		go func() { done <- run(ctx, []string{"-config", file}, &bytes.Buffer{}, &errs) }()
		who := waitReady(t, "unix:"+dir+"/c.sock")
		stop()
		if code := <-done; code != exitOK || !who {
			t.Fatalf("exit %d, operator %v\n%s", code, who, errs.String())
		}
		ca, err := os.ReadFile(filepath.Join(dir, "data", "ca.crt"))
		if err != nil {
			t.Fatal(err)
		}
		cas = append(cas, ca)
	}
	if !bytes.Equal(cas[0], cas[1]) {
		t.Error("another CA after the second start")
	}
}

// waitReady reports whether the asker is an operator, once it is answered.
func waitReady(t *testing.T, url string) bool {
	t.Helper()
	c, err := client.New(client.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 600 {
		if _, err = c.Ready(t.Context()); err == nil {
			w, err := c.Whoami(t.Context())
			return err == nil && w.Operator
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Fatalf("%s: %v (status %d would do)", url, err, http.StatusOK)
	return false
}
