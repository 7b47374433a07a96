package testenv

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/nic"
)

func TestMain(m *testing.M) { Main(m) }

func frame(payload string) []byte {
	f := []byte{0x52, 0x54, 0, 0, 0, 0xee, 0x52, 0x54, 0, 0, 0, 1, 0x88, 0xb5}
	return append(f, bytes.Repeat([]byte(payload), 50)...)
}

func is(want []byte) Filter {
	return func(f Frame) bool { return bytes.Equal(f.Data, want) }
}

func TestMainIsPrivate(t *testing.T) {
	entries, err := os.ReadDir("/sys/class/net")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff([]string{"lo"}, names); diff != "" {
		t.Errorf("devices of the private namespace (-want +got):\n%s", diff)
	}
	var st unix.Statfs_t
	if err := unix.Statfs("/sys/fs/bpf", &st); err != nil || st.Type != unix.BPF_FS_MAGIC {
		t.Errorf("/sys/fs/bpf: type %#x, %v", st.Type, err)
	}
	if pins, err := os.ReadDir("/sys/fs/bpf"); err != nil || len(pins) > 2 { // maps.debug, progs.debug
		t.Errorf("bpffs is not fresh: %v %v", pins, err)
	}
}

func TestMainWithoutRootFails(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if exitCode(err) != 1 || !strings.Contains(string(out), "need root") {
		t.Errorf("got %v, output %q; want exit code 1 and what to do", err, out)
	}
}

func TestCaptureDirections(t *testing.T) {
	host, guest := NewNS(t), NewNS(t)
	mac := nic.MAC{0x52, 0x54, 0, 0, 0, 1}
	Veth(t, host, "tap0", guest, "eth0", mac)
	if got := guest.MAC("eth0"); got != mac {
		t.Errorf("guest's MAC is %v, want %v", got, mac)
	}
	both, inbound := Capture(t, host, "tap0"), Capture(t, host, "tap0", InboundOnly)
	Inject(t, host, "tap0", frame("out"))
	Inject(t, guest, "eth0", frame("in "))
	if f := both.Wait(time.Second, "the frame sent", is(frame("out"))); !f.Outgoing {
		t.Error("the frame sent is not marked as outgoing")
	}
	if f := both.Wait(time.Second, "the frame received", is(frame("in "))); f.Outgoing {
		t.Error("the frame received is marked as outgoing")
	}
	inbound.Wait(time.Second, "the frame received", is(frame("in ")))
	inbound.None("the frame sent", is(frame("out")))
	inbound.None("an outgoing frame", func(f Frame) bool { return f.Outgoing })
}

func TestCaptureRestoresTags(t *testing.T) {
	host, guest := NewNS(t), NewNS(t)
	Veth(t, host, "tap0", guest, "eth0", nic.MAC{0x52, 0x54, 0, 0, 0, 1})
	s := Capture(t, host, "tap0")
	f := frame("tag")
	for _, tag := range [][]byte{{0x81, 0, 0x20, 100}, {0x88, 0xa8, 0, 7}} {
		tagged := bytes.Join([][]byte{f[:12], tag, f[12:]}, nil)
		Inject(t, guest, "eth0", tagged)
		s.Wait(time.Second, "the tagged frame", is(tagged))
	}
}

func TestStopTakesWhatIsQueued(t *testing.T) {
	host, guest := NewNS(t), NewNS(t)
	Veth(t, host, "tap0", guest, "eth0", nic.MAC{0x52, 0x54, 0, 0, 0, 1})
	first, second := Capture(t, host, "tap0"), Capture(t, host, "tap0")
	frames := slices.Repeat([][]byte{frame("x")}, 500)
	Inject(t, guest, "eth0", append(frames, frame("end"))...)
	second.Wait(5*time.Second, "the last frame", is(frame("end")))
	got := 0
	for _, f := range first.Stop() {
		if is(frame("x"))(f) {
			got++
		}
	}
	if got != 500 {
		t.Errorf("Stop returned %d of 500 frames", got)
	}
}

func TestTap(t *testing.T) {
	host := NewNS(t)
	tap := Tap(t, host, "tap0")
	s := Capture(t, host, "tap0", InboundOnly)
	tap.Send(frame("plain"))
	tap.SendVnet(VnetHdr{HdrLen: 14}, frame("short head"))
	s.Wait(time.Second, "the plain frame", is(frame("plain")))
	s.Wait(time.Second, "the frame with a short head", is(frame("short head")))

	Inject(t, host, "tap0", frame("answer"))
	for {
		got := tap.Receive(time.Second)
		if got == nil {
			t.Fatal("the guest never received the host's frame")
		}
		if bytes.Equal(got, frame("answer")) {
			break
		}
	}
	tap.Close()
	if out, err := host.Try("ip", "link", "show", "dev", "tap0"); err == nil {
		t.Errorf("the tap outlived its descriptor: %s", out)
	}
}

func TestTapReceiveEnds(t *testing.T) {
	host := NewNS(t)
	host.Sysctl("net.ipv6.conf.default.disable_ipv6", "1") // nothing is sent by itself
	if got := Tap(t, host, "tap0").Receive(20 * time.Millisecond); got != nil {
		t.Errorf("got % x from a silent tap", got)
	}
}

func TestStartIsKilledWithItsChildren(t *testing.T) {
	var child string
	t.Run("inner", func(t *testing.T) {
		ns := NewNS(t)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("sh", "-c", "sleep 600 & echo $!; wait")
		cmd.Stdout = w
		ns.Start(cmd)
		w.Close()
		b := make([]byte, 16)
		n, err := r.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		child = strings.TrimSpace(string(b[:n]))
	})
	Wait(t, 5*time.Second, "the child's end", func() bool {
		stat, err := os.ReadFile("/proc/" + child + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

func TestNamespacesAreApart(t *testing.T) {
	a, b := NewNS(t), NewNS(t)
	Bridge(t, a, "br0")
	if _, err := b.Try("ip", "link", "show", "dev", "br0"); err == nil {
		t.Error("the bridge of one namespace is seen in another")
	}
	if got := a.Exec("cat", "/proc/sys/net/bridge/bridge-nf-call-iptables"); got != "0\n" {
		t.Errorf("bridge-nf-call-iptables is %q, want 0", got)
	}
	if !strings.Contains(a.Exec("ip", "-o", "link", "show", "dev", "lo"), "LOOPBACK,UP") {
		t.Error("lo is not up")
	}
	a.Exec("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", b.Name)
	b.SetUp("v1") // fails if it is not there
}

func TestNeedKernel(t *testing.T) {
	t.Setenv("BERTH_CI", "1")
	NeedKernel(t, 4, 19, "this test")
	for s, want := range map[string]version{
		"6.18.44-fc-v669": {6, 18}, "6.1.0-13-amd64": {6, 1}, "5.15.0": {5, 15},
	} {
		got, err := parseRelease(s)
		if err != nil || got != want {
			t.Errorf("parseRelease(%q) = %v, %v; want %v", s, got, err, want)
		}
	}
	if _, err := parseRelease("mainline"); err == nil {
		t.Error("parseRelease accepts a release without numbers")
	}
}

func TestLimit(t *testing.T) {
	for slow, want := range map[string]time.Duration{"": time.Second, "1": time.Second, "5": 5 * time.Second} {
		t.Setenv("BERTH_SLOW", slow)
		if got := Limit(t, time.Second); got != want {
			t.Errorf("BERTH_SLOW=%s: %v, want %v", slow, got, want)
		}
	}
}

func TestVersionAtLeast(t *testing.T) {
	for v, want := range map[version]bool{
		{5, 15}: false, {6, 1}: false, {6, 5}: false, {6, 6}: true, {6, 18}: true, {7, 0}: true,
	} {
		if got := v.atLeast(6, 6); got != want {
			t.Errorf("%v is at least 6.6: %t, want %t", v, got, want)
		}
	}
}

// A recorder stands for the test that a Need function ends.
type recorder struct {
	testing.TB
	skipped, failed string
}

func (r *recorder) Helper()        {}
func (r *recorder) Skip(a ...any)  { r.skipped = a[0].(string) }
func (r *recorder) Fatal(a ...any) { r.failed = a[0].(string) }

func TestMissingFailsWhereTheKernelIsComplete(t *testing.T) {
	r := &recorder{TB: t}
	t.Setenv("BERTH_CI", "")
	missing(r, "no such thing")
	if r.skipped != "no such thing" || r.failed != "" {
		t.Errorf("outside CI: %+v", r)
	}
	*r = recorder{TB: t}
	t.Setenv("BERTH_CI", "1")
	missing(r, "no such thing")
	if r.failed == "" || r.skipped != "" {
		t.Errorf("with BERTH_CI=1: skipped %q, failed %q", r.skipped, r.failed)
	}
}

func TestNeedLinkKindTellsMissingFromBroken(t *testing.T) {
	t.Setenv("BERTH_CI", "")
	for kind, absent := range map[string]bool{"bridge": false, "vxlan": false, "berthnone": true} {
		r := &needRecorder{recorder{TB: t}}
		NeedLinkKind(r, kind)
		if (r.skipped != "") != absent {
			t.Errorf("NeedLinkKind(%q): skipped %q", kind, r.skipped)
		}
	}
}

// needRecorder fails for real, but records a skip.
type needRecorder struct{ recorder }

func (r *needRecorder) Fatal(a ...any) { r.TB.Fatal(a...) }
