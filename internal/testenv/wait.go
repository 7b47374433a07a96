package testenv

import (
	"testing"
	"time"
)

// Wait asks cond until it holds, and ends the test if it doesn't within
// limit. It is for states only; a test of "nothing happens" needs an event
// that comes after (see Capture.Wait).
func Wait(t testing.TB, limit time.Duration, what string, cond func() bool) {
	t.Helper()
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
