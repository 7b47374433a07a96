// Package internal_test holds the rule of the rings: a room imports lower
// rings only, and the inner rooms know nothing of the machine they run on.
package internal_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/berth-net/berth/"

// rings places every room. A room that is not here fails the test: say where
// it belongs.
func rings() map[string]int {
	return map[string]int{
		"internal/nic": 0, "internal/reason": 0, "internal/dnsname": 0, "internal/yamltree": 0,
		"internal/wire": 1, "internal/guard": 1, "internal/dhcp4": 1, "internal/dhcp6": 1, "internal/table": 1, "internal/manifest": 1,
		"internal/fleet": 1, "internal/nd": 1, "internal/arp": 1, "internal/route": 1,
		"internal/pcap": 1, "internal/words": 2,
		"internal/compat": 1, "internal/compat/ini": 1,
		"internal/compat/carry": 2, "internal/compat/iscdhcpd": 2, "internal/compat/kea": 2, "internal/compat/dnsmasq": 2, "internal/compat/libvirt": 2,
		"internal/plan": 2, "internal/source": 2, "internal/nodelink": 2,
		"internal/policy": 2, "internal/identity": 3, "internal/ipam": 2,
		"internal/compat/nimbus": 2, "internal/compat/ganeti": 2, "internal/compat/nfdhcpd": 2, "internal/compat/statichcpd": 2, "internal/source/statichcpd": 3,
		// The inner rooms that touch the machine: edges write with them.
		"internal/disk": 2, "internal/sysctl": 2,
		"internal/etcd":       3,
		"internal/source/dir": 3, "internal/service": 3, "internal/hook": 3, "internal/store": 3, "internal/link": 3, "internal/lock": 3, "internal/hostroute": 3, "internal/port": 3,
		"internal/datapath": 3, "internal/answerer": 3, "internal/api": 3,
		"internal/rest/wire": 2, "internal/rest/client": 3,
		"internal/pki": 3, "internal/control": 4, "internal/rest": 5,
		"internal/agent": 4, "internal/source/controller": 4,
		"cmd/berth": 6, "cmd/berthd": 6, "cmd/berth-controller": 6,
		// Tools and test support stand outside.
		"internal/reason/cheader": 9, "internal/guard/corpus": 9, "internal/testenv": 9, "internal/docstest": 9, "internal/api/apitest": 9, "internal/compat/compattest": 9,
	}
}

// banned are the packages that rings 0 to 2 may not import, and why.
func banned() map[string]string {
	return map[string]string{
		"os":      "a decision must not depend on the machine",
		"log":     "inner rooms return errors and reasons; loops log",
		"context": "nothing here waits",
		"syscall": "the kernel is an edge",
		"time":    "time comes in as an argument",

		"log/slog":              "inner rooms return errors and reasons; loops log",
		"net/http":              "sockets are edges",
		"math/rand":             "a decision must be repeatable",
		"math/rand/v2":          "a decision must be repeatable",
		"golang.org/x/sys/unix": "the kernel is an edge",
	}
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func TestRings(t *testing.T) {
	place := rings()
	for _, p := range list(t) {
		room := strings.TrimPrefix(p.ImportPath, module)
		ring, known := place[room]
		if !known {
			if strings.HasPrefix(room, "internal/") || strings.HasPrefix(room, "cmd/") {
				t.Errorf("%s is in no ring", room)
			}
			continue
		}
		for _, i := range p.Imports {
			checkImport(t, room, ring, i)
		}
	}
}

// dated are the rooms whose nouns have moments in them. They may name the type,
// and never ask what time it is.
func dated() []string {
	return []string{"internal/fleet", "internal/ipam", "internal/policy", "internal/nodelink", "internal/rest/wire"}
}

func TestMomentsComeIn(t *testing.T) {
	clock := regexp.MustCompile(`\btime\.(Now|Since|Until|After|AfterFunc|Sleep|Tick|NewTimer|NewTicker)\(`)
	for _, room := range dated() {
		files, err := filepath.Glob(filepath.Join("..", room, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if call := clock.Find(data); call != nil {
				t.Errorf("%s calls %s): %s", f, call, banned()["time"])
			}
		}
	}
}

func checkImport(t *testing.T, room string, ring int, path string) {
	t.Helper()
	touches := room == "internal/disk" || room == "internal/sysctl"
	moments := path == "time" && slices.Contains(dated(), room)
	if why, bad := banned()[path]; bad && ring <= 2 && !touches && !moments {
		t.Errorf("%s (ring %d) imports %s: %s", room, ring, path, why)
	}
	other, ours := strings.CutPrefix(path, module)
	if !ours || ring == 9 {
		return
	}
	theirs, known := rings()[other]
	switch {
	case !known:
		t.Errorf("%s imports %s, which is in no ring", room, other)
	case theirs == 9:
		t.Errorf("%s imports %s, which is for tests and tools", room, other)
	case theirs >= ring:
		t.Errorf("%s (ring %d) imports %s (ring %d): a room imports lower rings only", room, ring, other, theirs)
	}
}

func list(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
