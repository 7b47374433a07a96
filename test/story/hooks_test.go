package story_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/testenv"
)

// hookLog is a file that every hook writes to.
type hookLog struct {
	t    testing.TB
	path string
}

// newHookSite is a site with hooks for all events, each of which writes a line.
// More of each, by event, is run after that.
func newHookSite(t testing.TB, more map[string]string) (*site, hookLog) {
	t.Helper()
	s := newSite(t, "")
	log := hookLog{t, s.dir + "/hook.log"}
	for _, event := range []string{"pre-up", "post-up", "pre-change", "post-change", "post-down"} {
		text := "#!/bin/sh\n" +
			`state() { ` + program(t, "berth") + ` --socket ` + s.socket() + ` list -o json | jq -r '.[] | select(.nic == "'$BERTH_NIC'") | "\(.state) \(.installed.mode // "-")"'; }` + "\n" +
			`echo "$BERTH_EVENT $BERTH_NIC $BERTH_ADDRESSES" >> ` + log.path + "\n" + more[event] + "\n"
		file := filepath.Join(s.dir, "hooks.d", event+".d", "10-log")
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.config = "hooks: " + s.dir + "/hooks.d\n"
	s.writeConfig()
	return s, log
}

// of returns the lines about one NIC.
func (l hookLog) of(name string) []string {
	l.t.Helper()
	data, err := os.ReadFile(l.path)
	if err != nil && !os.IsNotExist(err) {
		l.t.Fatal(err)
	}
	lines := []string{}
	for line := range strings.Lines(string(data)) {
		if words := strings.Fields(line); words[1] == name {
			lines = append(lines, strings.Join(words, " "))
		}
	}
	return lines
}

// wait waits until the lines about a NIC are these.
func (l hookLog) wait(name string, want ...string) {
	l.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) && !cmp.Equal(want, l.of(name)) {
		time.Sleep(20 * time.Millisecond)
	}
	if diff := cmp.Diff(want, l.of(name)); diff != "" {
		l.t.Fatalf("hooks of %s (-want +got):\n%s", name, diff)
	}
}

// TestHooks walks one NIC through all events, with the hooks that belong to
// each, and before or after what they belong to.
func TestHooks(t *testing.T) {
	t.Parallel()
	needTool(t, "jq")
	say := `echo "is $BERTH_NIC $(state)" >> ${0%/hooks.d/*}/hook.log`
	s, log := newHookSite(t, map[string]string{"pre-up": say, "post-up": say, "post-down": say})
	s.start()
	s.bindAll()
	up := func(g *guest) []string {
		who := " " + g.port
		return []string{
			"pre-up" + who + " " + g.addr.String() + "/24", "is" + who + " waiting closed",
			"post-up" + who + " " + g.addr.String() + "/24", "is" + who + " in-force enforce",
		}
	}
	for _, g := range s.vms { // all of them: hooks that run when berthd is stopped are killed
		log.wait(g.port, up(g)...)
	}
	lines := up(s.vms[0])
	s.heard(s.vms[0])

	t.Log("berthd starts again: what is in force does not come up again")
	s.stop()
	s.start()
	s.settled(s.managed()...)
	log.wait("vm1", lines...)

	t.Log("another address")
	s.write("vm1.yaml", s.vms[0].bindingWith("192.0.2.31", ""))
	lines = append(lines, "pre-change vm1 192.0.2.31/24", "post-change vm1 192.0.2.31/24")
	log.wait("vm1", lines...)

	t.Log("berthd starts again, and is told of another address only then")
	s.stop()
	s.write("vm1.yaml", s.vms[0].binding())
	s.start()
	lines = append(lines, "pre-change vm1 192.0.2.11/24", "post-change vm1 192.0.2.11/24")
	log.wait("vm1", lines...)

	t.Log("the binding is removed: closed first")
	s.remove("vm1.yaml")
	lines = append(lines, "post-down vm1 192.0.2.11/24", "is vm1 closed closed")
	log.wait("vm1", lines...)

	t.Log("another NIC's link is deleted")
	s.ns.Delete("vm2")
	testenv.Wait(t, 10*time.Second, "post-down of vm2", func() bool {
		all := log.of("vm2")
		return all[len(all)-1] == "is vm2 waiting -"
	})
	log.wait("vm3", up(s.vms[2])...)
}

// TestHookFails: a NIC whose hook before it fails stays as it is, and says why;
// what fails afterwards is shown, and undoes nothing.
func TestHookFails(t *testing.T) {
	t.Parallel()
	needTool(t, "jq")
	refuse := `[ "$BERTH_HOSTNAME" != bad ] || { echo "no such VLAN" >&2; exit 7; }`
	s, log := newHookSite(t, map[string]string{"pre-up": refuse, "pre-change": refuse, "post-up": `[ $BERTH_NIC != vm3 ] || exit 9`})
	s.start()
	vm := s.vms[0]
	why := func(event string) string {
		return "a site's hook before the change has failed or is still running: " + event + ".d/10-log: exit status 7: no such VLAN"
	}
	waits := func(event string) {
		t.Helper()
		s.waitState("vm1", api.Waiting, 10*time.Second)
		testenv.Wait(t, 10*time.Second, "the failure of "+event, func() bool {
			n := s.show("vm1")
			return n.State == api.Waiting && n.Reason == reason.WaitHook && n.Why == why(event)
		})
	}
	t.Log("pre-up fails: closed, and no other NIC waits")
	s.write("vm1.yaml", vm.binding()+"hostname: bad\n")
	s.write("vm2.yaml", s.vms[1].binding())
	s.attach("vm2")
	waits("pre-up")
	s.unheard(vm, reason.NoBinding)
	if r := s.berth("attach", "vm1", "--wait", "--timeout", "200ms"); r.code == 0 || !strings.Contains(r.stderr, "no such VLAN") {
		t.Errorf("attach of a NIC that waits for its hook: %+v", r)
	}

	t.Log("another binding is tried at once")
	s.write("vm1.yaml", vm.binding())
	s.attach("vm1")
	s.heard(vm)
	log.wait("vm1", "pre-up vm1 192.0.2.11/24", "pre-up vm1 192.0.2.11/24", "post-up vm1 192.0.2.11/24")

	t.Log("pre-change fails: the old binding stays in force, and nobody else gets its address")
	s.write("vm1.yaml", vm.bindingWith("192.0.2.31", "hostname: bad\n"))
	waits("pre-change")
	s.write("vm2.yaml", s.vms[1].bindingWith("192.0.2.11", ""))
	s.waitState("vm2", api.Waiting, 10*time.Second)
	held := func() {
		t.Helper()
		s.heard(vm)
		if n := s.show("vm2"); n.State != api.Waiting || !strings.Contains(n.Why, "address 192.0.2.11 is held by NIC vm1") {
			t.Errorf("vm2 is %s, %q", n.State, n.Why)
		}
	}
	held()

	t.Log("and so it is after berthd was started again")
	s.stop()
	s.start()
	waits("pre-change")
	held()

	t.Log("suspension does not wait, and lets the address go")
	s.write("vm1.yaml", vm.bindingWith("192.0.2.31", "hostname: bad\nsuspended: true\n"))
	s.attach("vm1", "vm2")
	s.unheard(vm, reason.IP4Spoof)
	moved := *s.vms[1]
	moved.addr = vm.addr
	s.heard(&moved)

	t.Log("post-up fails: in force all the same")
	s.write("vm3.yaml", s.vms[2].binding())
	s.attach("vm3")
	testenv.Wait(t, 10*time.Second, "the failure of post-up", func() bool { return s.show("vm3").Hook == "post-up.d/10-log: exit status 9" })
	s.heard(s.vms[2])
	if got := s.must("show", "vm3"); !strings.Contains(got, "\nhook  post-up.d/10-log: exit status 9\n") {
		t.Errorf("berth show has no word of it:\n%s", got)
	}
	told := false
	for _, e := range s.events() {
		told = told || e.NIC == "vm3" && e.Kind == "hook" && e.Text == "post-up.d/10-log: exit status 9"
	}
	if !told {
		t.Error("berth events has no word of it")
	}
}

// TestHookIsNotTrusted: a program that others could have written is not run,
// and nothing comes into force that it stands before.
func TestHookIsNotTrusted(t *testing.T) {
	t.Parallel()
	s, log := newHookSite(t, nil)
	if err := os.Chmod(s.dir+"/hooks.d/pre-up.d/10-log", 0o777); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.write("vm1.yaml", s.vms[0].binding())
	want := fmt.Sprintf("%s: pre-up.d/10-log is not run: mode 0777 lets others write to it; remove that (chmod go-w)", reason.WaitHook.Text())
	s.waitState("vm1", api.Waiting, 10*time.Second)
	testenv.Wait(t, 10*time.Second, "the refusal", func() bool { return s.show("vm1").Why == want })
	s.unheard(s.vms[0], reason.NoBinding)
	if ran := log.of("vm1"); len(ran) > 0 {
		t.Errorf("it ran: %q", ran)
	}
}
