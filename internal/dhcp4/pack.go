package dhcp4

import "slices"

// item is one option of a reply.
type item struct {
	code uint8
	data []byte
	// drop orders what is left out when space is short: the highest first,
	// 0 never.
	drop int
}

// size is the room an option takes, split into instances of at most 255
// bytes (RFC 3396).
func (i item) size() int { return len(i.data) + 2*max(1, (len(i.data)+254)/255) }

// appendTo writes the option, split by RFC 3396 section 5 where needed.
func (i item) appendTo(b []byte) []byte {
	rest := i.data
	for {
		n := min(len(rest), 255)
		b = append(b, i.code, byte(n))
		b = append(b, rest[:n]...)
		if rest = rest[n:]; len(rest) == 0 {
			return b
		}
	}
}

// room is the space for options in each field, not counting the field's end
// option; 0 if the field is not free.
type room struct{ options, file, sname int }

// packed is the content of each field with its end option, nil if unused, and
// the items in it.
type packed struct {
	options, file, sname []byte
	sent                 []item
}

// pack writes the items in their order; false if those that must be sent do
// not fit. It leaves out the least important until the rest fits, then puts
// back what still finds room, so that one large option does not take smaller
// ones with it.
func pack(items []item, r room) (packed, bool) {
	left := byImportance(items)
	out := make([]bool, len(items))
	n := len(left)
	for !fits(items, out, r) {
		if n == 0 {
			return packed{}, false
		}
		n--
		out[left[n]] = true
	}
	for _, i := range left[n:] {
		out[i] = false
		out[i] = !fits(items, out, r)
	}
	sent := without(items, out)
	where, _ := place(sent, r)
	return write(sent, where), true
}

// byImportance returns the indices of the items that may be left out, the
// most important first.
func byImportance(items []item) []int {
	var list []int
	for i, it := range items {
		if it.drop > 0 {
			list = append(list, i)
		}
	}
	slices.SortFunc(list, func(a, b int) int { return items[a].drop - items[b].drop })
	return list
}

func fits(items []item, out []bool, r room) bool {
	_, ok := place(without(items, out), r)
	return ok
}

func without(items []item, out []bool) []item {
	sent := make([]item, 0, len(items))
	for i, it := range items {
		if !out[i] {
			sent = append(sent, it)
		}
	}
	return sent
}

// field is where an item goes; the values but the first are those of option
// 52.
type field uint8

const (
	inOptions field = 0
	inFile    field = overloadFile
	inSName   field = overloadSName
)

// place finds a field for every item. What must be sent stays in the options
// field: every client reads it, and relays look for option 82 nowhere else
// (RFC 3046 2.1). The others go to the first field with room, so the client's
// order holds within each field (RFC 2131 4.3.1: as far as possible).
func place(items []item, r room) ([]field, bool) {
	where := make([]field, len(items))
	total, must := 0, 0
	for _, it := range items {
		total += it.size()
		if it.drop == 0 {
			must += it.size()
		}
	}
	if total <= r.options {
		return where, true
	}
	left := [...]int{inOptions: r.options - overloadSize - must, inFile: r.file, inSName: r.sname}
	if left[inOptions] < 0 {
		return nil, false
	}
	for i, it := range items {
		if it.drop == 0 {
			continue
		}
		f := slices.IndexFunc(left[:], func(n int) bool { return n >= it.size() })
		if f < 0 {
			return nil, false
		}
		where[i] = field(f)
		left[f] -= it.size()
	}
	return where, true
}

// write fills the fields. Option 52 follows the leading options that must be
// sent, so that a client learns of the other fields early.
func write(items []item, where []field) packed {
	var used field
	for _, f := range where {
		used |= f
	}
	var fields [3][]byte
	head := true
	for i, it := range items {
		if head && it.drop != 0 {
			fields[inOptions] = appendOverload(fields[inOptions], used)
			head = false
		}
		fields[where[i]] = it.appendTo(fields[where[i]])
	}
	for f := range fields {
		if f == int(inOptions) || fields[f] != nil {
			fields[f] = append(fields[f], optEnd)
		}
	}
	return packed{options: fields[inOptions], file: fields[inFile], sname: fields[inSName], sent: items}
}

func appendOverload(b []byte, used field) []byte {
	if used == inOptions {
		return b
	}
	return append(b, optOverload, 1, byte(used))
}
