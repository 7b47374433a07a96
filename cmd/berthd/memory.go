package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// leastGarbage may be there before it is collected: a change leaves some
	// 100 kB, and for a collection every few changes all of them would wait.
	leastGarbage = 32 << 20
	// usualGarbage is that in percent of what is held, where that is more.
	usualGarbage = 100
)

// paceCollector has the collector run when there is garbage worth it, from now
// on: by itself it would do so for every few MB of a small heap.
func paceCollector() {
	debug.SetGCPercent(percentOf(held()))
	again()
}

// twoAtOnce lets the loop run while the collector does, also where there is one
// CPU: with one thread the collector's slices of ten milliseconds and more end
// before anybody looks who asks for something. The kernel's are shorter.
func twoAtOnce() {
	if runtime.GOMAXPROCS(0) < 2 {
		runtime.GOMAXPROCS(2)
	}
}

// again calls paceCollector after the next collection.
func again() {
	type mark struct{ _ [16]byte } // large enough for an allocation of its own
	runtime.AddCleanup(new(mark), func(int) { paceCollector() }, 0)
}

// percentOf is the garbage to allow beside what is held, both in bytes, in
// percent of that.
func percentOf(held uint64) int {
	return int(max(usualGarbage, leastGarbage*100/max(held, 4<<20)))
}

// held is what the last collection has found in use.
func held() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
