package fleet_test

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/fleet"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// Every key of every kind is read, and written with its defaults.
func TestDecodeGolden(t *testing.T) {
	data, err := os.ReadFile("testdata/all.yaml")
	if err != nil {
		t.Fatal(err)
	}
	list, problems := fleet.Decode("all.yaml", data)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var got strings.Builder
	for _, r := range list {
		text, err := fleet.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		got.Write(append(text, '\n'))
		back, bad := fleet.DecodeOne(r.Header().Kind, r.Header().Name, text)
		if len(bad) > 0 {
			t.Fatalf("not read back: %v\n%s", bad, text)
		}
		if again, _ := fleet.Encode(back); !bytes.Equal(again, text) {
			t.Errorf("not stable:\n%s\n%s", text, again)
		}
		kept, err := fleet.Load(r.Header().Kind, text)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := fleet.Encode(kept); !bytes.Equal(again, text) {
			t.Errorf("not stable when kept:\n%s\n%s", text, again)
		}
	}
	golden(t, "testdata/all.json", got.String())
}

// Every mistake is told with its place, and all of them at once.
func TestProblemsGolden(t *testing.T) {
	data, err := os.ReadFile("testdata/wrong.yaml")
	if err != nil {
		t.Fatal(err)
	}
	list, problems := fleet.Decode("wrong.yaml", data)
	var got strings.Builder
	for _, p := range problems {
		got.WriteString(p.Error() + "\n")
	}
	golden(t, "testdata/wrong.txt", got.String())
	if len(list) != 1 || list[0].Header().Name != "fine" {
		t.Errorf("a broken document costs itself only: %v", list)
	}
}

func TestDecodeOne(t *testing.T) {
	r, problems := fleet.DecodeOne(fleet.KindNode, "n1", []byte(`{"networks": ["*"]}`))
	if n, ok := r.(*fleet.Node); !ok || len(problems) > 0 || n.Name != "n1" || n.Kind != fleet.KindNode || n.State != fleet.NodeEnabled {
		t.Error(r, problems)
	}
	for body, want := range map[string]string{
		`{"name": "n2"}`:           `1:10: name "n2": is "n1" by the address it was sent to`,
		`{"kind": "nic"}`:          `1:10: kind "nic": is "node" by the address it was sent to`,
		`[]`:                       `1:1: a document must be keys with values, not a list`,
		"{}\n---\n{}":              `2 documents; there must be one`,
		``:                         `0 documents; there must be one`,
		`{"state": "gone"}`:        `1:11: state "gone": must be enabled, draining or disabled`,
		`{"stat": "gone"}`:         `1:2: stat: unknown key; did you mean state?`,
		`{"networks": "*"`:         `1:1: could not find flow mapping end token '}'`,
		`{"networks": [null]}`:     `1:15: networks[0]: has no value; leave the key out, or say what it is`,
		`{"labels": {"a": ["b"]}}`: `1:18: labels.a: must be one value, not a list`,
	} {
		_, problems := fleet.DecodeOne(fleet.KindNode, "n1", []byte(body))
		if len(problems) == 0 || problems[0].Error() != want && !strings.Contains(want, "flow mapping") {
			t.Errorf("%s: %v, want %s", body, problems, want)
		}
	}
}

// No input is the end of it, and what is read is written so that it is read
// the same.
func FuzzDecode(f *testing.F) {
	for _, file := range []string{"testdata/all.yaml", "testdata/wrong.yaml", "testdata/all.json"} {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for doc := range strings.SplitSeq(string(data), "---\n") {
			f.Add([]byte(doc))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		list, problems := fleet.Decode("f", data)
		for _, p := range problems {
			if strings.ContainsAny(p.Error(), "\n\x00\x1b") {
				t.Fatalf("not one line: %q", p.Error())
			}
		}
		for _, r := range list {
			text, err := fleet.Encode(r)
			if err != nil {
				t.Fatal(err)
			}
			back, bad := fleet.DecodeOne(r.Header().Kind, r.Header().Name, text)
			if len(bad) > 0 {
				t.Fatalf("written and not read: %v\n%s", bad, text)
			}
			if again, _ := fleet.Encode(back); !bytes.Equal(again, text) {
				t.Fatalf("not stable:\n%s\n%s", text, again)
			}
		}
	})
}
