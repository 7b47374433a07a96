// Package kernel runs the kernel tests of the rooms, and one NIC of the built
// programs, on Debian 12's own kernel in an emulated machine. That kernel is
// what many operators run, and another one than that of a developer: it has no
// tcx, and another verifier.
//
// Not here: tests of its own. What is asserted is asserted inside.
package kernel

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/testenv"
	"github.com/berth-net/berth/test/vm"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var (
	//go:embed init.sh
	initScript []byte
	//go:embed story.sh
	storyScript []byte
	//go:embed dhcp.sh
	dhcpScript []byte
	//go:embed dhcp6.sh
	dhcp6Script []byte
)

// modules are what a host of berth's has loaded; the machine loads none on
// demand.
var modules = []string{
	"bridge", "br_netfilter", "veth", "tun", "dummy", "8021q", "sch_ingress", "cls_bpf",
	"nf_tables", "nft_objref", "nft_meta_bridge",
}

// suite is what is asked of a room's tests beyond: none fails, none is missing,
// and what is skipped is skipped for the want of tcx.
type suite struct {
	pass    []string // not even for that
	tooLong []string // for an emulated machine: init.sh leaves them out
}

// suites are the rooms whose tests run inside.
var suites = map[string]suite{
	"datapath": {pass: []string{
		"TestKernelCorpus", "TestKernelFuzz",
		"TestRename/clsact", "TestLeavingAndEnteringTheBridge/clsact", "TestForeignQdiscDelete/clsact",
		"TestForeignFilterStays/clsact", "TestIndexReuse/clsact", "TestForgetLeavesNothing/clsact",
		"TestSetsAreReplacedUnderTraffic/clsact", "TestOldSetGoes", "TestKilledProcessLeavesGuard", "TestKernelSoak", "TestKernelVerifier", "TestLinkLocalsGiveWayWhenIdle", "TestLinkLocalReservations",
		"TestLinkLocalsFollowTheSegment", "TestLinkLocalsAreSwept",
		"TestAnswersOfClients", "TestAnswersOfClients6", "TestAnswersOfNeighbours", "TestAnswersOfGuests4",
		"TestAnswersOfGuests6", "TestAnswersOfGuestsND", "TestDialogueOnTheWire/clsact", "TestReplyMarkIsNoPass/clsact",
	}, tooLong: []string{
		"TestInterruptedSteps", "TestInterruptedTakeover", "TestKilledAnywhere", "TestKilledInTakeover",
		"TestReplacementUnderTraffic", "TestKernelGenerated", "TestKernelTruncation", "TestKernelBitFlips",
	}},
	"hostroute": {},
	"link":      {pass: []string{"TestWaysOfVLANs"}, tooLong: []string{"TestKernelStorm"}},
	"lock":      {pass: []string{"TestKernelBridge", "TestKernelNeverOpen", "TestKernelRouted", "TestKernelVandals"}},
}

func TestDebianKernel(t *testing.T) {
	bin := t.TempDir()
	build(t, bin)
	machine := vm.Machine{
		Memory: 768, CPUs: 2, Initramfs: initramfs(t, bin), Limit: 35 * time.Minute,
		Boot: "loglevel=5", // a kernel in trouble says where
	}
	start := time.Now()
	c := readConsole(machine.Run(t, testenv.NewNS(t)))
	t.Logf("Linux %s ran for %v", c.release, time.Since(start).Round(time.Second))
	defer func() {
		if t.Failed() {
			t.Logf("console:\n%s", c.text)
		}
	}()
	for _, line := range c.broken {
		t.Error(line)
	}
	if !c.ended || !strings.HasPrefix(c.release, "6.1.") {
		t.Errorf("the machine ran Linux %q, to its end: %t; want 6.1", c.release, c.ended)
	}
	for name, s := range suites {
		t.Run(name, func(t *testing.T) {
			checkVerdicts(t, c.suites[name], s)
			checkComplete(t, c.suites[name], testsOf(t, bin, name), s.tooLong)
		})
	}
	t.Run("story", func(t *testing.T) { checkStory(t, c) })
}

// build makes the test binaries and the programs, for a machine without libc.
func build(t *testing.T, bin string) {
	t.Helper()
	run := func(args ...string) {
		cmd := exec.Command("go", args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
	}
	for name := range suites {
		run("test", "-c", "-tags", "debiankernel", "-ldflags", "-s -w", "-o", filepath.Join(bin, name+".test"), "../../internal/"+name)
	}
	run("build", "-ldflags", "-s -w", "-o", bin+"/", "../../cmd/berthd", "../../cmd/berth")
}

// testsOf asks a test binary what it holds.
func testsOf(t *testing.T, bin, suite string) (tests []string) {
	t.Helper()
	out, err := exec.Command(filepath.Join(bin, suite+".test"), "-test.list", "^(Test|Fuzz)").Output()
	if err != nil || len(out) == 0 {
		t.Fatalf("list the tests of %s: %q, %v", suite, out, err)
	}
	return strings.Fields(string(out))
}

func initramfs(t *testing.T, bin string) string {
	t.Helper()
	i := vm.NewImage(t, initScript)
	i.Modules(modules...)
	// The shell of busybox takes its own ip whatever PATH says; tests call sh.
	for _, name := range []string{"dash", "ip", "tc", "bridge", "nft", "ping", "arping", "dhclient"} {
		i.Program(name)
	}
	i.Link("bin/sh", "dash")
	for _, name := range []string{"cat", "ls", "sleep", "sort"} {
		i.Link("bin/"+name, "busybox")
	}
	for name := range suites {
		i.Copy("tests/"+name+"/"+name, filepath.Join(bin, name+".test"))
		i.Tree("tests/"+name+"/testdata", "../../internal/"+name+"/testdata")
	}
	for _, room := range []string{"dhcp4", "dhcp6"} { // datapath's clients
		i.Tree("tests/"+room+"/testdata", "../../internal/"+room+"/testdata")
	}
	i.Copy("bin/berth", filepath.Join(bin, "berth"))
	i.Copy("bin/berthd", filepath.Join(bin, "berthd"))
	i.File("story.sh", 0o755, storyScript)
	i.File("dhcp.sh", 0o755, dhcpScript)
	i.File("dhcp6.sh", 0o755, dhcp6Script)
	i.File("etc/berth/berthd.yaml", 0o644, []byte("nics: /etc/berth/nics.d\nstate: /run/state\nsocket: {path: /run/berthd.sock}\n"))
	i.File("etc/berth/nics.d/vm1.yaml", 0o644, []byte(binding))
	return i.Write()
}

// checkVerdicts wants no failure, and nothing skipped but what needs tcx.
func checkVerdicts(t *testing.T, r *results, s suite) {
	t.Helper()
	if r.exit != "0" {
		t.Errorf("ended with %q, want 0", r.exit)
	}
	if len(r.failed) > 0 {
		t.Errorf("failed:\n%s", strings.Join(r.failed, "\n"))
	}
	for _, name := range s.pass {
		if r.verdicts[name] != "PASS" {
			t.Errorf("%s: %q, want PASS", name, r.verdicts[name])
		}
	}
	skipped := r.with("SKIP")
	if r.wantTCX != len(skipped) {
		t.Errorf("%d of %d skipped tests say that they need tcx: %q", r.wantTCX, len(skipped), skipped)
	}
	t.Logf("%d passed; for want of tcx skipped: %q; too long: %q", len(r.with("PASS")), skipped, s.tooLong)
}

// checkComplete wants every test of the binary to have had its verdict.
func checkComplete(t *testing.T, r *results, tests, tooLong []string) {
	t.Helper()
	for _, name := range tests {
		if heard := r.verdicts[name] != ""; heard == slices.Contains(tooLong, name) {
			t.Errorf("%s: heard of it: %t", name, heard)
		}
	}
}
