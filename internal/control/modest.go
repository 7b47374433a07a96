package control

import (
	"strings"

	"github.com/berth-net/berth/internal/fleet"
)

// What is kept of a node's words: each replica has them in memory, and the store
// has them all. A node is believed about its NICs, and may still be somebody
// else's by now.
const (
	longText  = 1024 // bytes of a reason
	shortText = 128  // of a version or the name of a message
	mostItems = 64   // of a list
)

// modest is a status with no more in it than there can be.
func modest(st fleet.Status) fleet.Status {
	st.State, st.Reason, st.Why = cut(st.State, shortText), cut(st.Reason, shortText), cut(st.Why, longText)
	st.Sources, st.Observed, st.Answered = first(st.Sources), first(st.Observed), first(st.Answered)
	answered := make([]fleet.Told, 0, len(st.Answered))
	for _, a := range st.Answered {
		answered = append(answered, fleet.Told{Message: cut(a.Message, shortText), Time: a.Time, Addresses: first(a.Addresses)})
	}
	if st.Answered = answered; len(answered) == 0 {
		st.Answered = nil
	}
	for why := range st.Dropped {
		if len(st.Dropped) > mostItems || len(why) > shortText {
			st.Dropped = nil // no node counts like that
			break
		}
	}
	return st
}

func first[T any](list []T) []T { return list[:min(len(list), mostItems)] }

// cut bounds a text, at the end of a character.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}
