package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/berth-net/berth/internal/policy"
)

// testPolicies decides on the examples in files by the policies in them, which
// make one suite, as `berth policy test` has a controller do.
func testPolicies(files []string, stdout, stderr io.Writer) int {
	results, err := runSuite(files)
	if err != nil {
		fmt.Fprintln(stderr, "berth-controller:", err)
		return exitConfig
	}
	failed := 0
	for _, r := range results {
		word := "ok"
		if r.Problem != "" {
			word = "FAILED"
			failed++
		}
		fmt.Fprintf(stdout, "%s  %s\n", word, strings.Trim(r.Name+": "+r.Problem, ": "))
	}
	if failed > 0 {
		fmt.Fprintf(stderr, "berth-controller: %d of %d tests failed\n", failed, len(results))
		return exitRuntime
	}
	return exitOK
}

func runSuite(files []string) ([]policy.Result, error) {
	var all policy.Suite
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		s, err := policy.ParseSuite(file, data)
		if err != nil {
			return nil, err
		}
		all.Policies, all.Tests = append(all.Policies, s.Policies...), append(all.Tests, s.Tests...)
	}
	if len(all.Tests) == 0 {
		return nil, fmt.Errorf("%s: there are no tests in it", strings.Join(files, ", "))
	}
	return all.Run()
}
