package etcd

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/fleet"
)

// grant is a transaction of the size that granting one NIC has.
func grant(n int64) ([]fleet.Need, []fleet.Put) {
	name := fmt.Sprintf("%09d", n)
	needs := []fleet.Need{{Key: "r/network/lab", Revision: 0}, {Key: "r/pool/all", Revision: 0}, {Key: "p/epoch", Revision: 0}}
	var puts []fleet.Put
	for prefix, size := range map[string]int{"r/nic/": 600, "a/lab/": 200, "m/lab/": 120, "i/n1/": 20, "h/": 1500, "w/lab/": 250} {
		needs = append(needs, fleet.Need{Key: prefix + name})
		puts = append(puts, fleet.Put{Key: prefix + name, Value: []byte(strings.Repeat("x", size))})
	}
	return needs, puts
}

// BenchmarkCommit makes grants that do not meet, by so many at once.
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 32} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := embedded(b)
			var n atomic.Int64
			b.SetParallelism(max(1, writers/2))
			each := func() {
				needs, puts := grant(n.Add(1))
				if _, err := s.Commit(context.Background(), needs, puts, nil); err != nil {
					b.Error(err)
				}
			}
			if writers == 1 {
				for b.Loop() {
					each()
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					each()
				}
			})
		})
	}
}

// BenchmarkTold is from a commit's begin until a reader has been told of it.
func BenchmarkTold(b *testing.B) {
	s := embedded(b)
	ctx, cancel := context.WithCancel(b.Context())
	seen, ended := make(chan int64), make(chan error, 1)
	go func() {
		ended <- s.Follow(ctx, func(x Batch) error {
			select {
			case seen <- x.Revision:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	<-seen
	var n int64
	for b.Loop() {
		n++
		needs, puts := grant(n)
		done := make(chan int64, 1)
		go func() {
			rev, err := s.Commit(ctx, needs, puts, nil)
			if err != nil {
				b.Error(err)
			}
			done <- rev
		}()
		<-seen
		<-done
	}
	cancel()
	<-ended
}

// BenchmarkFullRead is how fast a replica that starts reads NICs with their
// claims.
func BenchmarkFullRead(b *testing.B) {
	s := embedded(b)
	const nics = 50_000
	for i := int64(0); i < nics; i += 1000 {
		var puts []fleet.Put
		for n := i; n < i+1000; n++ {
			_, more := grant(n)
			puts = append(puts, more...)
		}
		if _, err := s.Commit(b.Context(), nil, puts, nil); err != nil {
			b.Fatal(err)
		}
	}
	begin, read := time.Now(), 0
	for b.Loop() {
		keys := 0
		_ = s.Follow(b.Context(), func(x Batch) error { // ends with errEnough
			keys += len(x.Events)
			if x.More {
				return nil
			}
			return errEnough
		}, "r/", "a/", "m/", "i/")
		if keys != 4*nics {
			b.Fatalf("%d keys", keys)
		}
		read += nics
	}
	b.ReportMetric(float64(read)/time.Since(begin).Seconds(), "NICs/s")
}
