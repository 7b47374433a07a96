package control_test

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/berth-net/berth/internal/control"
	"github.com/berth-net/berth/internal/fleet"
)

var (
	nodes = flag.Int("nodes", 10, "of BenchmarkSite")
	nics  = flag.Int("nics", 100, "of each of its nodes")
)

// BenchmarkSite times one change from the request until the message for its
// node is there, while all nodes are connected; memory is of the whole process,
// etcd in it.
func BenchmarkSite(b *testing.B) {
	r, _ := replica(b, control.Options{Store: openStore(b), Name: "r1"})
	fill(b, r)
	streams := connect(b, r)
	var took []time.Duration
	b.ResetTimer()
	for i := range b.N {
		n := i % *nodes
		name := fmt.Sprintf("v%d-%d", n, i%*nics)
		begin := time.Now()
		if _, err := put(b, r, fleet.KindNIC, name, fmt.Sprintf("{project: web, network: big, node: n%d, vm: v%d, hostname: h%d}", n, n, i)); err != nil {
			b.Fatal(err)
		}
		msg, err := streams[n].Next(b.Context())
		if err != nil || len(msg.Set) != 1 || msg.Set[0].Name != name {
			b.Fatalf("%+v, %v", msg, err)
		}
		took = append(took, time.Since(begin))
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
	b.ReportMetric(heap(), "MB-heap")
}

func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

// fill makes the nodes and, by a request each, their NICs.
func fill(b *testing.B, r *control.Replica) {
	b.Helper()
	for _, x := range []struct {
		kind      fleet.Kind
		name, doc string
	}{
		{fleet.KindProject, "web", "{}"},
		{fleet.KindNetwork, "big", "{prefixes: [10.0.0.0/8], projects: ['*'], defaults: {gateway: 10.0.0.1}}"},
		{fleet.KindPool, "p", "{network: big, default: true, ranges: [10.0.1.0-10.255.0.0]}"},
	} {
		if _, err := put(b, r, x.kind, x.name, x.doc); err != nil {
			b.Fatal(err)
		}
	}
	begin := time.Now()
	for n := range *nodes {
		if _, err := put(b, r, fleet.KindNode, fmt.Sprintf("n%d", n), "{}"); err != nil {
			b.Fatal(err)
		}
		var list strings.Builder
		for i := range *nics {
			fmt.Fprintf(&list, "{name: v%d-%d, network: big, node: n%d}, ", n, i, n)
		}
		if _, err := put(b, r, fleet.KindRequest, fmt.Sprintf("r%d", n), fmt.Sprintf("{project: web, vms: [{name: v%d, nics: [%s]}]}", n, list.String())); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("%d NICs granted in %s, %.0f MB of heap", *nodes**nics, time.Since(begin), heap())
}

// connect opens all streams at once and takes the full sets.
func connect(b *testing.B, r *control.Replica) []*control.Stream {
	b.Helper()
	begin := time.Now()
	streams := make([]*control.Stream, *nodes)
	var g errgroup.Group
	for n := range streams {
		g.Go(func() error {
			st, err := r.Stream(b.Context(), fmt.Sprintf("n%d", n), control.Position{})
			if err != nil {
				return err
			}
			b.Cleanup(st.Close)
			streams[n] = st
			msg, err := st.Next(b.Context())
			if err == nil && len(msg.Set) != *nics {
				return fmt.Errorf("%s was told %d NICs", msg.Node, len(msg.Set))
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d full sets of %d made in %s, %.0f MB of heap", *nodes, *nics, time.Since(begin), heap())
	return streams
}
