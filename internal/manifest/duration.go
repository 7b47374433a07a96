package manifest

import (
	"errors"
	"strconv"
	"strings"

	"github.com/berth-net/berth/internal/nic"
)

const day = 24 * 60 * 60

// parseSeconds reads "infinite", whole seconds, or numbers with the units w,
// d, h, m and s, such as 1d12h. The wire has whole seconds only.
func parseSeconds(s string) (nic.Seconds, error) {
	if s == "infinite" {
		return nic.Infinite, nil
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return inRange(n)
	}
	var total uint64
	for rest := s; rest != ""; {
		i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if i <= 0 {
			return 0, errDuration()
		}
		n, err := strconv.ParseUint(rest[:i], 10, 32)
		unit, ok := unitSeconds(rest[i])
		if err != nil || !ok {
			return 0, errDuration()
		}
		total += n * unit // below 2^32 * 2^20, and a value has few units
		if total >= uint64(nic.Infinite) {
			return inRange(total)
		}
		rest = rest[i+1:]
	}
	if s == "" {
		return 0, errDuration()
	}
	return inRange(total)
}

func errDuration() error {
	return errors.New("not a time; want one like 24h, 1d12h, 90m, 3600 (seconds) or infinite")
}

func unitSeconds(u byte) (uint64, bool) {
	switch u {
	case 'w':
		return 7 * day, true
	case 'd':
		return day, true
	case 'h':
		return 3600, true
	case 'm':
		return 60, true
	case 's':
		return 1, true
	}
	return 0, false
}

func inRange(n uint64) (nic.Seconds, error) {
	if n >= uint64(nic.Infinite) {
		return 0, errors.New("longer than the wire can say (136 years); write infinite")
	}
	return nic.Seconds(n), nil
}

// formatSeconds writes what parseSeconds reads, as days and smaller units;
// "none" for 0.
func formatSeconds(s nic.Seconds) string {
	switch s {
	case 0:
		return "none"
	case nic.Infinite:
		return "infinite"
	}
	var b []byte // a controller writes a million documents, each with a dozen of these
	for _, u := range []struct {
		name byte
		size nic.Seconds
	}{{'d', day}, {'h', 3600}, {'m', 60}, {'s', 1}} {
		if n := s / u.size; n > 0 {
			b = append(strconv.AppendUint(b, uint64(n), 10), u.name)
		}
		s %= u.size
	}
	return string(b)
}
