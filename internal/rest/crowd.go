package rest

import "sync"

// maxWatches is how many watches one identity may have open at a replica: each
// change is judged for every one of them.
const maxWatches = 100

// crowd counts those who are here, by name.
type crowd struct {
	most int // of one name
	mu   sync.Mutex
	here map[string]int
}

// enter reports whether there is room for one more; who enters leaves.
func (c *crowd) enter(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.here[name] == c.most {
		return false
	}
	c.here[name]++
	return true
}

func (c *crowd) leave(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.here[name]--; c.here[name] == 0 {
		delete(c.here, name)
	}
}
