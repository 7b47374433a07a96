package claims_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// small runs replicas that are miniatures.
func small(manner string) func(socket string) func() *exec.Cmd {
	return func(socket string) func() *exec.Cmd { return ourselves("replica", socket, manner) }
}

// controller runs replicas that are the real program, each with its directory
// and ports.
func controller(t testing.TB) func(socket string) func() *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "berth-controller")
	build := exec.Command("go", "build", "-o", program, "../../cmd/berth-controller")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the controller: %v\n%s", err, out)
	}
	n := 0
	return func(socket string) func() *exec.Cmd {
		n++
		file := filepath.Join(dir, fmt.Sprintf("%d.yaml", n))
		config := fmt.Sprintf("data: %s\nname: c%d\nlisten: 127.0.0.1:%d\nsocket: {path: %s}\netcd: {endpoints: [\"%s\"]}\nlog: {level: warn}\n",
			filepath.Join(dir, fmt.Sprint(n)), n, 7442+n, socket, strings.Join(endpoints(), `", "`))
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		return func() *exec.Cmd { return exec.Command(program, "-config", file) }
	}
}
