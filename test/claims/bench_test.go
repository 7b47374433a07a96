package claims_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/berth-net/berth/internal/fleet"
)

// BenchmarkMembers commits what a grant of one NIC is to three members on one
// machine, each with its own disk sync.
func BenchmarkMembers(b *testing.B) {
	_, s := cluster(b)
	var n atomic.Int64
	each := func() {
		name := fmt.Sprintf("%09d", n.Add(1))
		var needs []fleet.Need
		var puts []fleet.Put
		for prefix, size := range map[string]int{"r/nic/": 600, "a/lab/": 200, "m/lab/": 120, "i/n1/": 20, "h/": 1500, "w/lab/": 250} {
			needs = append(needs, fleet.Need{Key: prefix + name})
			puts = append(puts, fleet.Put{Key: prefix + name, Value: []byte(strings.Repeat("x", size))})
		}
		if _, err := s.Commit(context.Background(), needs, puts, nil); err != nil {
			b.Error(err)
		}
	}
	for _, writers := range []int{1, clients} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) { together(b, writers, each) })
	}
}

// BenchmarkClaims is the whole way: clients, two replicas, three members. All
// want the first free address of one pool.
func BenchmarkClaims(b *testing.B) {
	for _, writers := range []int{1, clients} {
		b.Run(fmt.Sprintf("clients=%d", writers), func(b *testing.B) {
			s := newSite(b, small("careful"))
			var n atomic.Int64
			together(b, writers, func() {
				i := n.Add(1)
				body := fmt.Sprintf(`{"project": "p%d", "network": "lab", "node": "n%d", "interface": "t%d"}`, i%8, i%4, i)
				path := pathOf(fleet.KindNIC, fmt.Sprintf("nic-%d", i))
				for _, method := range []string{http.MethodPut, http.MethodDelete} {
					if got, _, text := s.doors[i%replicas].ask(method, path, []byte(body)); got != done {
						b.Errorf("%s %s: %s", method, path, text)
					}
				}
			})
		})
	}
}

// together does it b.N times, by so many at once.
func together(b *testing.B, writers int, do func()) {
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				do()
			}
		})
	}
	all.Wait()
	b.StopTimer()
}
