package nd

import (
	"fmt"
	"testing"

	"github.com/berth-net/berth/internal/nic"
)

func TestInterval(t *testing.T) {
	const last = 1 - 1.0/(1<<53) // the greatest value below 1
	for _, c := range []struct {
		most   nic.Seconds
		sent   int
		random float64
		want   nic.Seconds
	}{
		{600, 3, 0, 200},
		{600, 3, 0.5, 400},
		{600, 3, last, 600},
		{600, 0, 0, 16},
		{600, 1, last, 16},
		{600, 2, 0.5, 16},
		{600, 1000, 0.25, 300},
		{1800, 3, 0, 600},
		{1800, 3, last, 1800},
		{30, 0, 0, 10},
		{30, 2, last, 16},
		{9, 3, 0, 3},
		{8, 3, 0, 3},
		{4, 0, 0, 3},
		{4, 9, last, 4},
		{2, 9, last, 2},
	} {
		b := &nic.Binding{RA: nic.RA{Interval: c.most}}
		if got := Interval(b, c.sent, c.random); got != c.want {
			t.Errorf("of %d s after %d with %g: %d s, want %d", c.most, c.sent, c.random, got, c.want)
		}
	}
}

// Every second between the bounds is as likely as any other.
func TestIntervalIsUniform(t *testing.T) {
	b := &nic.Binding{RA: nic.RA{Interval: 6}}
	seen := map[nic.Seconds]int{}
	for i := range 400 {
		seen[Interval(b, 3, float64(i)/400)]++
	}
	if got, want := fmt.Sprint(seen), "map[3:100 4:100 5:100 6:100]"; got != want {
		t.Errorf("seconds %s, want %s", got, want)
	}
}
