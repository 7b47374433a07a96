// Package story tells whole stories with the real programs: berthd and berth
// as built, real DHCP clients in guests, a site with its own DHCP server, and
// captures on every port. What it asserts is what a guest, the site or an
// operator can see.
//
// Not here: anything a test closer to the code can show (the single option,
// verdict, plan or message).
package story_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/berth-net/berth/internal/testenv"
)

// etcdEnv has this binary be an etcd instead of the tests: its directory.
const etcdEnv = "BERTH_STORY_ETCD"

func TestMain(m *testing.M) {
	dir := os.Getenv(etcdEnv)
	if dir == "" {
		testenv.Main(m)
		return
	}
	if err := serveEtcd(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// binDir is on the /run that testenv makes for this run alone, so nothing is
// left behind.
const binDir = "/run/berth-bin"

// build makes the programs, once for a run.
var build = sync.OnceValue(func() error {
	if err := os.MkdirAll(binDir, 0o755); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-o", binDir+"/", "../../cmd/berthd", "../../cmd/berth", "../../cmd/berth-controller")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
})

// program returns the path of a program as built from this tree.
func program(t testing.TB, name string) string {
	t.Helper()
	if err := build(); err != nil {
		t.Fatalf("build the programs: %v", err)
	}
	return filepath.Join(binDir, name)
}

// needTool finds a program that is not berth's.
func needTool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: run test/deps.sh, which installs what the tests need", err)
	}
	return path
}
