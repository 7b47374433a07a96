package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const example = "../../packaging/etc/berth/berthd.yaml.example"

// The shipped file is the defaults, and shows every key.
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
	for _, key := range keys(reflect.TypeFor[config]()) {
		if !strings.Contains(string(data), key+":") {
			t.Errorf("%s does not show %q", example, key)
		}
	}
	page, err := os.ReadFile("../../docs/berthd.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys(reflect.TypeFor[config]()) {
		if key != "socket" && key != "log" && !strings.Contains(string(page), key+"`") {
			t.Errorf("docs/berthd.md does not show %q", key)
		}
	}
}

func keys(t reflect.Type) []string {
	var all []string
	for i := range t.NumField() {
		f := t.Field(i)
		all = append(all, f.Tag.Get("yaml"))
		if f.Type.Kind() == reflect.Struct {
			all = append(all, keys(f.Type)...)
		}
	}
	return all
}

func TestBadConfig(t *testing.T) {
	for text, want := range map[string]string{
		"nicz: /x":                             `[1:1] unknown field "nicz"`,
		"nics: [1]":                            "[1:7]",
		"nics: etc/nics":                       `nics "etc/nics": want an absolute path`,
		"closed: [\"t*p\"]":                    `closed "t*p": a pattern is a beginning and one star at the end`,
		"closed: [\"*\"]":                      `closed "*": want an interface name or a pattern such as tap*`,
		"deny: [\"[\"]":                        `deny "[": want an interface name`,
		"closed: [\"averyveryverylongname*\"]": `closed "averyveryverylongname*": `,
		"closed: [\"tap*\"]\ndeny: [\"tap-mgmt\"]": `deny "tap-mgmt": closed "tap*" would close it`,
		"log: {format: xml}":                       `log.format "xml": want text or json`,
		"log: {level: loud}":                       "loud",
		"socket: {mode: 9999}":                     `"9999" is not a file mode`,
		"socket: {mode: rw}":                       `"rw" is not a file mode`,
		"duid: '0004'":                             `duid "0004": want 3 to 18 octets in hex`,
		"duid: 00:04:zz":                           `duid "00:04:zz": want 3 to 18 octets in hex`,
		"nics: /a\nnics: /b":                       "already defined",
	} {
		_, err := parseConfig("berthd.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "berthd.yaml: ") {
			t.Errorf("%q: %v, want berthd.yaml: ...%s", text, err, want)
		}
	}
}

func TestMissingConfigIsTheDefault(t *testing.T) {
	c, err := loadConfig(filepath.Join(t.TempDir(), "none.yaml"))
	if err != nil || !cmp.Equal(c, defaultConfig()) {
		t.Errorf("%+v, %v", c, err)
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
	good := write("good.yaml", "nics: "+dir+"/nics\nnetworks: "+dir+"/networks.yaml\n")
	if err := os.Mkdir(filepath.Join(dir, "nics"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want int
		out  string
	}{
		{[]string{"-version"}, exitOK, "berthd dev\n"},
		{[]string{"-help"}, exitOK, ""},
		{[]string{"-nonsense"}, exitUsage, ""},
		{[]string{"extra"}, exitUsage, ""},
		{[]string{"-config", write("bad.yaml", "x: 1")}, exitConfig, ""},
		{[]string{"-config", good, "-check"}, exitOK, dir + "/nics: 0 bindings, 0 mistakes\n"},
	} {
		var out, errs bytes.Buffer
		if got := run(t.Context(), c.args, &out, &errs); got != c.want || out.String() != c.out {
			t.Errorf("%v: exit %d, %q, want %d, %q (stderr %q)", c.args, got, out.String(), c.want, c.out, errs.String())
		}
	}
	file := write("nics/tap7.yaml", "nic: tap7\nmac: zz\naddresses: [192.0.2.10/24]\n")
	var out, errs bytes.Buffer
	if got := run(t.Context(), []string{"-config", good, "-check"}, &out, &errs); got != exitConfig || !strings.HasPrefix(out.String(), file+":2:6: mac \"zz\": ") {
		t.Errorf("-check of a bad binding: exit %d, %q", got, out.String())
	}
}
