package datapath

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/reason"
)

// Sample is one frame that was dropped, or would have been in audit mode.
type Sample struct {
	Index  int
	Reason reason.Reason
	Audit  bool
	Len    int    // of the frame
	Data   []byte // its beginning, at most 128 bytes
}

// Punt is one frame of a guest that is to be answered.
type Punt struct {
	Index  int
	Reason reason.Reason // what it was taken for
	Frame  []byte
}

// Handlers receive what the kernel hands up. Each is called from one
// goroutine; the bytes are theirs only until they return.
type Handlers struct {
	Punt     func(Punt)
	Sample   func(Sample)
	Exchange func(Exchange)
}

// Run reads the rings until ctx ends.
func (k *Kernel) Run(ctx context.Context, h Handlers) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		punt := func(b []byte) {
			if p, ok := parsePunt(b); ok {
				h.Punt(p)
			}
		}
		for _, b := range k.left {
			punt(b)
		}
		k.left = nil
		return readRing(ctx, k.maps.Punts, 0, punt)
	})
	g.Go(func() error {
		return readRing(ctx, k.maps.Samples, 0, func(b []byte) {
			if s, ok := parseSample(b); ok {
				h.Sample(s)
			}
		})
	})
	g.Go(func() error {
		// The program wakes nobody for what is dealt with.
		return readRing(ctx, k.maps.Told, tellEvery, func(b []byte) {
			if x, ok := parseExchange(b, Clock()); ok {
				h.Exchange(x)
			}
		})
	})
	return g.Wait()
}

// tellEvery is how often the ring of exchanges is looked into.
const tellEvery = 50 * time.Millisecond

// Clock is what the programs' clock shows (bpf_ktime_get_ns), CLOCK_MONOTONIC.
func Clock() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return time.Duration(ts.Nano())
}

// readRing hands every record of a ring to f: when the program wakes the
// reader, or every so often if every is not 0.
func readRing(ctx context.Context, m *ebpf.Map, every time.Duration, f func([]byte)) error {
	r, err := ringbuf.NewReader(m)
	if err != nil {
		return fmt.Errorf("open ring %s: %w", m, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = r.Close() })
	defer stop()
	if every > 0 {
		r.SetDeadline(time.Now().Add(every))
	}
	var rec ringbuf.Record
	for {
		// Nothing else may be asked of a reader that is closed meanwhile.
		err := r.ReadInto(&rec)
		switch {
		case err == nil:
			f(rec.RawSample)
		case errors.Is(err, ringbuf.ErrClosed):
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			r.SetDeadline(time.Now().Add(every))
		default:
			return fmt.Errorf("read ring %s: %w", m, err)
		}
	}
}

// parsePunt reads struct punt of bpf/berth.h.
func parsePunt(b []byte) (Punt, bool) {
	if len(b) < 8 {
		return Punt{}, false
	}
	n := int(binary.NativeEndian.Uint16(b[4:]))
	return Punt{
		Index:  int(binary.NativeEndian.Uint32(b)),
		Reason: reason.Reason(binary.NativeEndian.Uint16(b[6:])),
		Frame:  b[8 : 8+min(n, len(b)-8)],
	}, true
}

// parseSample reads struct sample of bpf/berth.h.
func parseSample(b []byte) (Sample, bool) {
	if len(b) < 12 {
		return Sample{}, false
	}
	why, kept := binary.NativeEndian.Uint16(b[8:]), int(binary.NativeEndian.Uint16(b[10:]))
	return Sample{
		Index:  int(binary.NativeEndian.Uint32(b)),
		Len:    int(binary.NativeEndian.Uint32(b[4:])),
		Reason: reason.Reason(why &^ 0x80),
		Audit:  why&0x80 != 0,
		Data:   b[12 : 12+min(kept, len(b)-12)],
	}, true
}
