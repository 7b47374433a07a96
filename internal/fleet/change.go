package fleet

// Need is what must still be so for a change to be made: the key was changed
// last by the transaction Revision; 0: there is no such key.
type Need struct {
	Key      string
	Revision int64
}

// Put writes one key.
type Put struct {
	Key   string
	Value []byte
}
