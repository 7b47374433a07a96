package fleet

import "strings"

// Need is what must still be so for a change to be made: the key was changed
// last by the transaction Revision; 0: there is no such key. With an End it is
// about all keys from Key up to it, End not included: none of them was made or
// changed after Revision.
type Need struct {
	Key      string
	End      string
	Revision int64
}

// Put writes one key.
type Put struct {
	Key   string
	Value []byte
}

// AllUnder reports whether a key to delete stands for all keys that begin with
// it: it ends in a slash, as no single key does.
func AllUnder(key string) bool { return strings.HasSuffix(key, "/") }
