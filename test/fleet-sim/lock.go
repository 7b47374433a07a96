package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lock has a file that all who measure on this machine lock: shared by those who
// only use the machine, alone for numbers that matter.
func lock(ctx context.Context, f *os.File, how int) error {
	for ctx.Err() == nil {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		wait(ctx, 20*time.Millisecond)
	}
	return ctx.Err()
}
