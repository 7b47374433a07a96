package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// process is one of ours that runs.
type process struct {
	cmd *exec.Cmd
	log *os.File
}

func start(log string, argv ...string) (*process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = f, f
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &process{cmd, f}, nil
}

func (p *process) stop() error {
	if p == nil {
		return nil
	}
	err := p.cmd.Process.Signal(unix.SIGTERM)
	return errors.Join(err, p.cmd.Wait(), p.log.Close())
}

// memory is a line of proc_pid_status(5), in KiB; 0 if it is gone.
func (p *process) memory(line string) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), line)
	n, _ := strconv.Atoi(strings.Fields(rest + " 0")[0])
	return n
}

// tick is the unit of utime and stime in proc(5) on every Linux that berth runs on.
const tick = 10 * time.Millisecond

// used is the processor time that it has had.
func (p *process) used() (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	user, err1 := strconv.Atoi(fields[11]) // utime, the 14th of all
	system, err2 := strconv.Atoi(fields[12])
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

// load is the share of one processor that it takes meanwhile.
func (p *process) load(do func() error) (float64, error) {
	before, err := p.used()
	begin := time.Now()
	if err = errors.Join(err, do()); err != nil {
		return 0, err
	}
	after, err := p.used()
	return (after - before).Seconds() / time.Since(begin).Seconds(), err
}
