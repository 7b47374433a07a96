// Command guard measures what filtering a NIC costs: the rate of small
// packets and of a TCP stream from a guest through a bridge, with no filter,
// with berth, and with what others write into nftables and ebtables to keep a
// guest from spoofing, side by side in one run. It prints tables; raw samples
// and plots go to a directory.
//
// Not here: answers (bench/answers) and the daemon's own speed (bench/nics).
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const inside = "BERTH_BENCH_INSIDE"

// options are the command line.
type options struct {
	bin, out string
	nics     []int
	rounds   int
	slice    time.Duration // of one measurement
	only     string        // filters to measure; empty: all
}

func parse(args []string) (options, error) {
	o := options{}
	f := flag.NewFlagSet("guard", flag.ContinueOnError)
	f.StringVar(&o.bin, "bin", "bin", "directory of the built binaries")
	f.StringVar(&o.out, "out", "bench/results", "directory for samples, tables and plots")
	f.IntVar(&o.rounds, "rounds", 15, "measurements of each filter")
	f.DurationVar(&o.slice, "slice", 200*time.Millisecond, "length of one measurement")
	f.StringVar(&o.only, "only", "", "comma-separated filters to measure beside none; empty: all")
	counts := f.String("nics", "1,10,100,1000", "NICs on the bridge, at most 1000")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	for c := range strings.SplitSeq(*counts, ",") {
		n, err := strconv.Atoi(c)
		// A bridge has 1,024 ports, and a netfilter hook as many chains.
		if err != nil || n < 1 || n > 1000 {
			return o, fmt.Errorf("-nics %s: want numbers from 1 to 1000", c)
		}
		o.nics = append(o.nics, n)
	}
	if o.rounds < 1 {
		return o, errors.New("-rounds: want at least 1")
	}
	return o, nil
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "guard:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if os.Getenv(inside) == "" {
		return enter()
	}
	soft, err := openSoftThread()
	if err != nil {
		return err
	}
	if err := mounts(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "berth-guard")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	r, err := measureAll(o, dir, soft)
	if err != nil {
		return err
	}
	return r.write(o.out)
}

// enter runs this program again in namespaces of its own. As the first process
// of a process namespace it takes everything with it when it ends.
func enter() error {
	runtime.LockOSThread() // Pdeathsig is of the thread
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Unshareflags: syscall.CLONE_NEWNS, // makes the mounts private
		Pdeathsig:    syscall.SIGKILL,
	}
	return cmd.Run()
}

func mounts() error {
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount proc: %w", err)
	}
	if err := unix.Mount("bpf", bpfDir, "bpf", 0, ""); err != nil {
		return fmt.Errorf("mount bpf: %w", err)
	}
	return nil
}

const bpfDir = "/sys/fs/bpf"

func measureAll(o options, dir string, soft softThread) (*results, error) {
	r := &results{machine: thisMachine(o)}
	for _, n := range o.nics {
		for _, taps := range []bool{false, true} {
			st := &stage{options: o, dir: filepath.Join(dir, fmt.Sprintf("%d-%v", n, taps)), nics: n, taps: taps, soft: soft, results: r}
			if err := errors.Join(st.measure(), st.close()); err != nil {
				return nil, fmt.Errorf("%d NICs: %w", n, err)
			}
		}
	}
	return r, nil
}

// machine is what numbers of one run are numbers of.
type machine struct {
	Kernel  string        `json:"kernel"`
	CPU     string        `json:"cpu"`
	CPUs    int           `json:"cpus"`
	Load    string        `json:"load"` // of the last minute, before the run
	Rounds  int           `json:"rounds"`
	Slice   time.Duration `json:"slice_ns"`
	Version string        `json:"berthd"`
}

func thisMachine(o options) machine {
	m := machine{CPUs: runtime.NumCPU(), Rounds: o.rounds, Slice: o.slice}
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	m.CPU = field("/proc/cpuinfo", "model name")
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load, _, _ = strings.Cut(string(load), " ")
	}
	if out, err := exec.Command(filepath.Join(o.bin, "berthd"), "-version").Output(); err == nil {
		m.Version = strings.TrimSpace(string(out))
	}
	return m
}

// field is the value of a "key : value" line; empty if there is none.
func field(file, key string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// encode writes JSON lines.
func encode[T any](b *strings.Builder, all []T) error {
	e := json.NewEncoder(b)
	for _, one := range all {
		if err := e.Encode(one); err != nil {
			return err
		}
	}
	return nil
}
