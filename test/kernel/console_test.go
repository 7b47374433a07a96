package kernel

import (
	"bufio"
	"regexp"
	"slices"
	"strings"
)

// console is what the machine said, read line by line.
type console struct {
	text    string
	release string // of its kernel
	ended   bool
	broken  []string // what the kernel complained of
	suites  map[string]*results
	story   []string
	status  string
	nic     string
}

// results are those of one test binary.
type results struct {
	exit     string
	verdicts map[string]string // by test: PASS, FAIL, SKIP
	said     []string          // by the test that runs
	failed   []string          // what those that failed have said
	wantTCX  int               // how often a test said that it needs tcx
}

// with lists the tests that had a verdict.
func (r *results) with(verdict string) (tests []string) {
	for name, v := range r.verdicts {
		if v == verdict {
			tests = append(tests, name)
		}
	}
	slices.Sort(tests)
	return tests
}

// judge notes a test's verdict, and what it said if it failed.
func (r *results) judge(test, verdict string) {
	r.verdicts[test] = verdict
	if verdict == "FAIL" {
		r.failed = append(append(r.failed, test), r.said...)
	}
	r.said = nil
}

var (
	runLine     = regexp.MustCompile(`^=== RUN `)
	verdictLine = regexp.MustCompile(`^ *--- (PASS|FAIL|SKIP): (\S+)`)
	needsTCX    = regexp.MustCompile(`: tcx needs Linux 6\.6, this is `)
	// trouble is what the kernel prints even when it is to be quiet.
	trouble = regexp.MustCompile(`^BROKEN |Kernel panic|\bBUG:|\bOops\b|Out of memory`)
)

func readConsole(text string) console {
	c := console{text: text, suites: map[string]*results{}}
	for name := range suites {
		c.suites[name] = &results{verdicts: map[string]string{}}
	}
	current := &results{verdicts: map[string]string{}} // before the first BEGIN
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		line := strings.TrimRight(s.Text(), "\r")
		word, rest, _ := strings.Cut(line, " ")
		verdict := verdictLine.FindStringSubmatch(line)
		switch {
		case verdict != nil:
			current.judge(verdict[2], verdict[1])
		case runLine.MatchString(line):
			current.said = nil
		case needsTCX.MatchString(line):
			current.wantTCX++
		case trouble.MatchString(line):
			c.broken = append(c.broken, line)
		case word == "BEGIN":
			current = c.suites[rest]
		case word == "EXIT":
			name, code, _ := strings.Cut(rest, " ")
			c.suites[name].exit = code
		default:
			current.said = append(current.said, line)
			c.note(word, rest)
		}
	}
	return c
}

// note takes what is not about a test binary. The firmware leaves escapes in
// front of the first line.
func (c *console) note(word, rest string) {
	switch {
	case strings.HasSuffix(word, "KERNEL"):
		c.release = rest
	case word == "END":
		c.ended = true
	case word == "STATUS":
		c.status = rest
	case word == "NIC":
		c.nic = rest
	case word == "TRY" || word == "LEASE" || word == "LEASE6" || word == "BERTHD":
		c.story = append(c.story, word+" "+rest)
	}
}
