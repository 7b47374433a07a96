// Command berth-controller is one replica of the controller: it decides which
// virtual NIC of a site has which address, and tells the nodes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker.
var version = "dev"

// Exit codes, documented in docs/controller.md.
const (
	exitOK      = 0
	exitRuntime = 1 // failed while running
	exitUsage   = 2 // flags
	exitConfig  = 3 // configuration
	exitEnv     = 4 // the machine lacks something: a port, a directory, the store
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("berth-controller", flag.ContinueOnError)
	fs.SetOutput(stderr)
	file := fs.String("config", "/etc/berth/controller.yaml", "configuration `file`; may be missing")
	check := fs.Bool("check", false, "check the configuration and what it names, print all mistakes, and exit")
	restored := fs.Bool("restored", false, "the store was put back from a backup: have the nodes obey it though they have newer sets")
	show := fs.Bool("version", false, "print the version and exit")
	examples := fs.String("test-policy", "", "decide on the examples in this `file`, and in those behind the flags, by the policies in them, and exit")
	if err := fs.Parse(args); err != nil || fs.NArg() > 0 && *examples == "" {
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		fmt.Fprintln(stderr, "berth-controller: takes no arguments but flags; see -help")
		return exitUsage
	}
	if *show {
		fmt.Fprintln(stdout, "berth-controller", version)
		return exitOK
	}
	if *examples != "" {
		return testPolicies(append([]string{*examples}, fs.Args()...), stdout, stderr)
	}
	cfg, err := loadConfig(*file)
	if err == nil {
		_, err = cfg.identity(nil)
	}
	if err != nil {
		fmt.Fprintln(stderr, "berth-controller:", err)
		return exitConfig
	}
	if *check {
		fmt.Fprintf(stdout, "%s: no mistakes\n", *file)
		return exitOK
	}
	return serving(ctx, cfg, *restored, stderr)
}

func serving(ctx context.Context, cfg config, restored bool, stderr io.Writer) int {
	log := cfg.Log.New(stderr)
	err := serve(ctx, cfg, restored, log)
	if err == nil || ctx.Err() != nil && errors.Is(err, context.Canceled) {
		log.Info("berth-controller stops")
		return exitOK
	}
	log.Error("berth-controller stops", "err", err)
	switch {
	case errors.Is(err, errEnvironment):
		return exitEnv
	case errors.Is(err, errConfig):
		return exitConfig
	}
	return exitRuntime
}
