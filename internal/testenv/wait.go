package testenv

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// Limit is how long something may take here: so much on a real machine, and
// BERTH_SLOW times as much where that says that the machine is emulated, or busy.
func Limit(t testing.TB, onRealMachine time.Duration) time.Duration {
	t.Helper()
	s := os.Getenv("BERTH_SLOW")
	if s == "" {
		return onRealMachine
	}
	factor, err := strconv.Atoi(s)
	if err != nil || factor < 1 {
		t.Fatalf("BERTH_SLOW=%q is not a factor", s)
	}
	return time.Duration(factor) * onRealMachine
}

// Wait asks cond until it holds, and ends the test if it doesn't within
// limit. It is for states only; a test of "nothing happens" needs an event
// that comes after (see Capture.Wait).
func Wait(t testing.TB, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	limit = Limit(t, limit)
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain for %s", limit, what)
		}
		<-tick.C
	}
}
