package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// space is one network namespace; it lives as long as this process.
type space struct{ f *os.File }

// newSpace makes a namespace without IPv6 and without bridge netfilter's
// detour through the IP tables, which no filter here needs.
func newSpace() (*space, error) {
	s := &space{}
	return s, onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("new network namespace: %w", err)
		}
		var err error
		if s.f, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		return quiet()
	})
}

func quiet() error {
	set := map[string]string{
		"ipv6/conf/all/disable_ipv6":      "1",
		"ipv6/conf/default/disable_ipv6":  "1",
		"bridge/bridge-nf-call-iptables":  "0",
		"bridge/bridge-nf-call-ip6tables": "0",
		"bridge/bridge-nf-call-arptables": "0",
	}
	for key, value := range set {
		err := os.WriteFile("/proc/sys/net/"+key, []byte(value), 0o644)
		// Without br_netfilter there is no such detour.
		if err != nil && (!errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(key, "bridge/")) {
			return err
		}
	}
	return nil
}

// do runs f on a thread within the namespace; what f starts stays in it.
func (s *space) do(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(s.f.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter namespace: %w", err)
		}
		return f()
	})
}

// onThread runs f on a thread of its own, which ends with it: whatever f did
// to the thread is gone too.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		done <- f()
	}()
	return <-done
}

// pin keeps the calling thread on one CPU, counted from the last one down, if
// there are that many.
func pin(fromLast int) error {
	cpu := runtime.NumCPU() - 1 - fromLast
	if cpu < 0 {
		return nil
	}
	var set unix.CPUSet
	set.Set(cpu)
	return unix.SchedSetaffinity(0, &set)
}
