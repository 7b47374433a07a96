package main

import (
	"strconv"
	"time"

	"github.com/berth-net/berth/internal/fleet"
)

// at reads a moment: a time as in RFC 3339, with the host's zone if it has
// none, a day, or how long ago it was.
func (a *app) at(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	var ago fleet.Duration
	if err := ago.UnmarshalText([]byte(text)); err == nil {
		return a.now().Add(-time.Duration(ago)), nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, a.now().Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usage("%s %q is no moment: want 2026-01-02T15:04:05Z, 2026-01-02, or how long ago, such as 36h or 7d", flag, text)
}

// point reads a moment or a revision's number, as the controller has it.
func (a *app) point(flag, text string) (string, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 {
		return text, nil
	}
	t, err := a.at(flag, text)
	if err != nil || t.IsZero() {
		return "", err
	}
	return t.Format(time.RFC3339Nano), nil
}
