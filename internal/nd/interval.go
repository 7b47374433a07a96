package nd

import "github.com/berth-net/berth/internal/nic"

// RFC 4861 section 10.
const (
	minInterval     = 3  // of MinRtrAdvInterval, 6.2.1
	initialInterval = 16 // MAX_INITIAL_RTR_ADVERT_INTERVAL
	initialCount    = 3  // MAX_INITIAL_RTR_ADVERTISEMENTS
)

// Interval is the time to the next unsolicited advertisement when sent of them
// have gone out since the NIC began to get them: uniform between
// MinRtrAdvInterval, a third of the binding's interval, and the interval
// itself, but at first no longer than 16 s (RFC 4861 6.2.4). random is in
// [0,1).
func Interval(b *nic.Binding, sent int, random float64) nic.Seconds {
	most := b.RA.Interval
	least := min(max(minInterval, most/3), most)
	wait := least + nic.Seconds(random*float64(most-least+1))
	if sent < initialCount {
		wait = min(wait, initialInterval)
	}
	return wait
}
