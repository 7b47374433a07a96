package hook

import "time"

// SetLimit shortens what a program may take.
func (r *Runner) SetLimit(d time.Duration) { r.limit = d }
