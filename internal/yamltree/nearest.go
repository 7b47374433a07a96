package yamltree

// Nearest returns the key that a mistyped one was probably meant to be, "" for
// none.
func Nearest(keys []string, typed string) string {
	best, least := "", 3
	for _, k := range keys {
		if d := distance(k, typed); d < min(least, len(k)) {
			best, least = k, d
		}
	}
	return best
}

// distance counts the letters to add, drop or change between two keys
// (Levenshtein). A key too long to be meant is not compared.
func distance(a, b string) int {
	if len(b) > 40 {
		return len(b)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
