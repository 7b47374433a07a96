package main

import "testing"

func TestPercentOf(t *testing.T) {
	const mb = 1 << 20
	for held, want := range map[uint64]int{
		0:        800, // the runtime never collects below 4 MB times this
		4 * mb:   800,
		16 * mb:  200,
		32 * mb:  100,
		300 * mb: 100,
	} {
		if got := percentOf(held); got != want {
			t.Errorf("%d MB held: %d %%, want %d", held/mb, got, want)
		}
	}
}
