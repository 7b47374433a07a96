package controller_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/testenv"
)

// TestReadme runs the commands with which README.md begins a site, as they are
// there, on three hosts that have nothing of berth but what `make install`
// leaves: a host is a network, mount, name and process namespace.
func TestReadme(t *testing.T) {
	commands := readmeCommands(t)
	if n := strings.Count(commands, "\n"); n != 10 {
		t.Errorf("README.md says ten commands, and has %d", n)
	}
	h := newHosts(t)
	out := h.run(commands)
	for _, want := range []string{
		`(?m)^head +head-0 +lan +n1 +tap20 +02:62:65:\S+ +192\.0\.2\.\d+/24$`,
		`(?m)^worker +worker-0 +lan +n2 +tap20 +02:62:65:\S+ +192\.0\.2\.\d+/24$`,
		`(?m)^head-0  in force on n1$`,
		`(?m)^  checked +yes$`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("%s is not in:\n%s", want, out)
		}
	}
	if list := h.run("ssh n2 berth list --no-headers\n"); !strings.HasPrefix(list, "tap20  in-force  02:62:65:") {
		t.Errorf("n2 has %q", list)
	}
}

// readmeCommands are the lines of the section's first block.
func readmeCommands(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## From nothing to two nodes\n")
	if !ok {
		t.Fatal("README.md has no section for those who begin a site")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var commands strings.Builder
	for line := range strings.Lines(section) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			commands.WriteString(command)
		}
	}
	return commands.String()
}

// hosts are head, n1 and n2. Their first processes end with the test, and with
// these all others in them.
type hosts struct {
	t   *testing.T
	bin string // what head's shell finds
}

func newHosts(t *testing.T) *hosts {
	t.Helper()
	s := newSite(t)
	h := &hosts{t: t, bin: filepath.Join(s.dir, "hostbin")}
	if err := os.Mkdir(h.bin, 0o755); err != nil {
		t.Fatal(err)
	}
	names := filepath.Join(s.dir, "hosts")
	s.write(names, "127.0.0.1 localhost\n"+headAddress+" head\n198.18.0.2 n1\n198.18.0.3 n2\n", 0o644)
	pids := map[string]int{"head": h.boot("head", s.head, names)}
	ssh := "case $1 in\n"
	for i, ns := range s.nodes {
		name := fmt.Sprintf("n%d", i+1)
		pids[name] = h.boot(name, ns, names)
		ssh += name + ") shift; " + enterHost(pids[name]) + `sh -c "$*" ;;` + "\n"
	}
	s.write(h.bin+"/ssh", "#!/bin/sh\n"+ssh+"esac\n", 0o755)
	for _, program := range []string{"berth", "berth-controller"} {
		s.write(h.bin+"/"+program, "#!/bin/sh\n"+enterHost(pids["head"])+program+` "$@"`+"\n", 0o755)
	}
	return h
}

func enterHost(pid int) string {
	return fmt.Sprintf("exec env -i PATH=/mnt:$PATH HOME=/root nsenter -t %d -m -n -u -p -- ", pid)
}

// boot begins a host whose /etc, /run and /var/lib are its own, with what
// `make install` leaves in /etc/berth.
func (h *hosts) boot(name string, ns *testenv.NS, names string) (pid int) {
	h.t.Helper()
	examples, err := filepath.Abs("../../packaging/etc/berth")
	if err != nil {
		h.t.Fatal(err)
	}
	up, etc := filepath.Join(h.bin, name+".up"), filepath.Join(h.bin, name+".etc")
	cmd := exec.Command("sh", "-ec", strings.Join([]string{
		"[ $$ = 1 ]", // else this would be another host than its own
		"cp -a /etc " + etc, "mount --bind " + etc + " /etc", "cp " + names + " /etc/hosts",
		"rm -rf /etc/berth", "mkdir -p /etc/berth/nics.d", "cp -r " + examples + "/* /etc/berth",
		"mount -t tmpfs tmp /var/lib", "mount -t proc proc /proc", "mount -t sysfs sys /sys", "mount -t bpf bpf /sys/fs/bpf",
		"mount --bind " + binDir + " /mnt", "hostname " + name,
		": > " + up, "mount -t tmpfs tmp /run", "exec sleep infinity",
	}, "\n"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWPID}
	ns.Do(func() { err = cmd.Start() })
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		_ = cmd.Process.Kill() // with it ends everything in its process namespace
		_ = cmd.Wait()
	})
	testenv.Wait(h.t, 10*time.Second, name+" to be up", func() bool {
		_, err := os.Stat(up)
		return err == nil
	})
	return cmd.Process.Pid
}

// run has head's shell do commands, and returns what they print.
func (h *hosts) run(commands string) string {
	h.t.Helper()
	dir := h.t.TempDir()
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer out.Close()
	said, err := os.Create(filepath.Join(dir, "said"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer said.Close()
	// Files, and no pipes: what is left running holds them.
	cmd := exec.Command("bash", "-e", "-c", commands)
	cmd.Env = append(os.Environ(), "PATH="+h.bin+":"+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = out, said
	failed := cmd.Run()
	text, err := os.ReadFile(out.Name())
	if err != nil {
		h.t.Fatal(err)
	}
	if failed != nil {
		messages, _ := os.ReadFile(said.Name())
		h.t.Fatalf("%v\n%s\n%s", failed, text, messages)
	}
	return string(text)
}
