package hook

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

const (
	searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	// keptOutput is how much of what a program says is kept.
	keptOutput = 4096
	// lastOutput is how long its output is waited for when it has ended.
	lastOutput = time.Second
)

// input is what a program gets.
type input struct {
	env   []string
	stdin []byte // the whole binding as a document; nothing if it is not known
}

func (c *Call) input() (input, error) {
	b := cmp.Or(c.Binding, &nic.Binding{})
	mac := ""
	if !b.MAC.IsZero() {
		mac = b.MAC.String()
	}
	in := input{env: []string{
		"PATH=" + searchPath,
		"BERTH_EVENT=" + string(c.Event),
		"BERTH_NIC=" + c.NIC,
		"BERTH_IFINDEX=" + strconv.Itoa(c.Index),
		"BERTH_BRIDGE=" + c.Bridge,
		"BERTH_NETWORK=" + b.Network,
		"BERTH_MAC=" + mac,
		"BERTH_ADDRESSES=" + addresses(b.Addresses),
		"BERTH_GATEWAY=" + address(b.Gateway),
		"BERTH_GATEWAY6=" + address(b.Gateway6),
		"BERTH_HOSTNAME=" + b.Hostname,
		"BERTH_SOURCE=" + b.Origin.Source,
	}}
	in.env = append(in.env, tags(b.Tags)...)
	if c.Binding == nil {
		return in, nil
	}
	var err error
	if in.stdin, err = manifest.Encode(c.Binding); err != nil {
		return in, fmt.Errorf("print binding of NIC %s: %w", c.NIC, err)
	}
	return in, nil
}

func addresses(all []netip.Prefix) string {
	texts := make([]string, len(all))
	for i, p := range all {
		texts[i] = p.String()
	}
	return strings.Join(texts, " ")
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// tags are the binding's as variables, in upper case and with "_" for what a
// variable's name cannot hold. Of two that become the same name, the first by
// key counts; what no variable can hold is on stdin alone.
func tags(all map[string]string) []string {
	var env []string
	seen := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		name := "BERTH_TAG_" + strings.Map(variable, key)
		if seen[name] || strings.ContainsRune(all[key], 0) {
			continue
		}
		seen[name] = true
		env = append(env, name+"="+all[key])
	}
	return env
}

func variable(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z':
		return r - 'a' + 'A'
	case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return r
	default:
		return '_'
	}
}

// run runs one program. It leads a process group of its own, which is killed
// as a whole when its time is up.
func (r *Runner) run(ctx context.Context, program string, with input) error {
	name := filepath.Join(filepath.Base(filepath.Dir(program)), filepath.Base(program))
	if err := r.trusted(program); err != nil {
		return fmt.Errorf("%s is not run: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	var out bounded
	cmd := exec.CommandContext(ctx, program)
	cmd.Env, cmd.Dir = with.env, "/"
	cmd.Stdin = bytes.NewReader(with.stdin)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		err := unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		if errors.Is(err, unix.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
	cmd.WaitDelay = lastOutput
	err := cmd.Run()
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("killed after %s", r.limit)
	case errors.Is(err, exec.ErrWaitDelay):
		err = errors.New("it has left a process behind that holds its output")
	}
	if text := out.String(); text != "" {
		return fmt.Errorf("%s: %w: %s", name, err, text)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// bounded keeps the beginning of what is written to it.
type bounded struct {
	b    bytes.Buffer
	more bool
}

// Write implements io.Writer.
func (o *bounded) Write(p []byte) (int, error) {
	keep := min(len(p), keptOutput-o.b.Len())
	o.b.Write(p[:keep])
	o.more = o.more || keep < len(p)
	return len(p), nil
}

// String is what was said, in one line.
func (o *bounded) String() string {
	text := strings.Join(strings.Fields(strings.ToValidUTF8(o.b.String(), "?")), " ")
	if o.more {
		text += "..."
	}
	return text
}
