package ipam

import (
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
)

// u128 is an address as a number; an IPv4 address in its 4in6 form.
type u128 struct{ hi, lo uint64 }

func number(a netip.Addr) u128 {
	b := a.As16()
	return u128{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (n u128) addr() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], n.hi)
	binary.BigEndian.PutUint64(b[8:], n.lo)
	return netip.AddrFrom16(b).Unmap()
}

func (n u128) shr(k int) u128 {
	if k >= 64 {
		return u128{0, n.hi >> (k - 64)}
	}
	return u128{n.hi >> k, n.lo>>k | n.hi<<(64-k)}
}

func (n u128) shl(k int) u128 {
	if k >= 64 {
		return u128{n.lo << (k - 64), 0}
	}
	return u128{n.hi<<k | n.lo>>(64-k), n.lo << k}
}

func (n u128) less(o u128) bool { return n.hi < o.hi || n.hi == o.hi && n.lo < o.lo }

// plus is the sum; ok is false if it has no 128 bits.
func (n u128) plus(k uint64) (sum u128, ok bool) {
	lo, carry := bits.Add64(n.lo, k, 0)
	hi, over := bits.Add64(n.hi, 0, carry)
	return u128{hi, lo}, over == 0
}

// fan is how many bits of an address one level tells apart.
const fan = 6

// never is later than every time.
const never = math.MaxInt64

// leaf is 64 addresses in a row: which are somebody's, and which are kept from
// others for a while.
type leaf struct{ owned, held uint64 }

// node is 64 leaves or nodes in a row: which of them have no address that
// nobody has, and when the first held one of those can be had.
type node struct {
	full    uint64
	soonest int64
}

// occupied finds the first free address of a range in time that grows with the
// number of levels, whatever is taken. A part of the space in which nothing is
// full costs nothing: addresses far apart take one leaf each.
type occupied struct {
	leaves map[u128]leaf
	levels []map[u128]node // [0] is above the leaves
	until  func(u128) int64
}

func newOccupied(until func(u128) int64) *occupied {
	return &occupied{leaves: map[u128]leaf{}, until: until}
}

// set says what an address is. until is asked again for what is held.
func (o *occupied) set(a u128, owned, held bool) {
	key, bit := a.shr(fan), uint64(1)<<(a.lo&63)
	l := o.leaves[key]
	l.owned, l.held = l.owned&^bit, l.held&^bit
	if owned {
		l.owned |= bit
	} else if held {
		l.held |= bit
	}
	if l == (leaf{}) {
		delete(o.leaves, key)
	} else {
		o.leaves[key] = l
	}
	o.raise(0, key, l.owned|l.held == math.MaxUint64)
}

// raise tells the levels above what a leaf or node is now.
func (o *occupied) raise(level int, key u128, full bool) {
	for {
		up, bit := key.shr(fan), uint64(1)<<(key.lo&63)
		if level == len(o.levels) {
			if !full {
				return
			}
			o.levels = append(o.levels, map[u128]node{})
		}
		n := o.levels[level][up]
		if !full && n.full&bit == 0 {
			return
		}
		was := n.full == math.MaxUint64
		n.full &^= bit
		if full {
			n.full |= bit
		}
		if n.full == 0 {
			delete(o.levels[level], up)
			return // it was not full: others had room
		}
		n.soonest = o.soonest(level, up, n.full)
		o.levels[level][up] = n
		is := n.full == math.MaxUint64
		if !was && !is {
			return
		}
		level, key, full = level+1, up, is
	}
}

// soonest is when the first held address of a node's full children can be had.
func (o *occupied) soonest(level int, key u128, full uint64) int64 {
	first := int64(never)
	for ; full != 0; full &= full - 1 {
		child := key.shl(fan)
		child.lo |= uint64(bits.TrailingZeros64(full))
		if level > 0 {
			first = min(first, o.levels[level-1][child].soonest)
			continue
		}
		for held := o.leaves[child].held; held != 0; held &= held - 1 {
			a := child.shl(fan)
			a.lo |= uint64(bits.TrailingZeros64(held))
			first = min(first, o.until(a))
		}
	}
	return first
}

// next returns the first address from a on that nobody has and that is not
// held at a time; ok is false if there is none up to last.
func (o *occupied) next(a, last u128, now int64) (free u128, ok bool) {
	for !last.less(a) {
		top := len(o.levels) // of which nothing is full
		if free, ok = o.search(top, a.shr(fan*(top+1)), a, now); ok {
			return free, !last.less(free)
		}
		if a, ok = o.after(top, a.shr(fan*(top+1))); !ok {
			return u128{}, false
		}
	}
	return u128{}, false
}

// after is the first address behind a leaf (level 0) or node.
func (o *occupied) after(level int, key u128) (u128, bool) {
	next, ok := key.plus(1)
	if !ok || next.shl(fan*(level+1)).shr(fan*(level+1)) != next {
		return u128{}, false
	}
	return next.shl(fan * (level + 1)), true
}

// search looks in one leaf (level 0) or node.
func (o *occupied) search(level int, key, from u128, now int64) (u128, bool) {
	start := key.shl(fan * (level + 1))
	if from.less(start) {
		from = start
	}
	first := int(from.shr(fan*level).lo & 63)
	if level == 0 {
		return o.searchLeaf(start, first, now)
	}
	var n node
	if level <= len(o.levels) {
		n = o.levels[level-1][key]
	}
	for i := first; i < 64; i++ {
		child := key.shl(fan)
		child.lo |= uint64(i)
		if n.full&(1<<i) != 0 && o.soonestOf(level-1, child) > now {
			continue
		}
		if a, ok := o.search(level-1, child, from, now); ok {
			return a, true
		}
	}
	return u128{}, false
}

// soonestOf is soonest of a leaf (level 0) or node that is full.
func (o *occupied) soonestOf(level int, key u128) int64 {
	if level > 0 {
		return o.levels[level-1][key].soonest
	}
	return o.soonest(0, key.shr(fan), 1<<(key.lo&63))
}

func (o *occupied) searchLeaf(start u128, first int, now int64) (u128, bool) {
	l := o.leaves[start.shr(fan)]
	for i := first; i < 64; i++ {
		bit := uint64(1) << i
		a := start
		a.lo |= uint64(i)
		switch {
		case l.owned&bit != 0:
		case l.held&bit != 0 && o.until(a) > now:
		default:
			return a, true
		}
	}
	return u128{}, false
}
