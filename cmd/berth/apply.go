package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/client"
	"github.com/berth-net/berth/internal/rest/wire"
)

type applyOptions struct {
	files []string
	write writeOptions
}

func (a *app) applyCommand() *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Make or change a controller's resources as files say",
		Long: `Make or change the resources in a file, in the YAML files of a directory, or in the standard input for "-". All documents are checked first; then they are sent in the order in which they depend on each other, projects first and requests last. What is so already is left alone. One that is refused costs no other; the exit code is that of the first.

With --dry-run everything is decided as it would be, and nothing is kept. What depends on a resource of the same files that does not exist yet cannot be decided before that does, and it is said so.`,
		Example: "  berth apply -f site.yaml\n  berth get nic web-1 -o yaml | sed 's/node: n1/node: n2/' | berth apply -f -",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.apply(cmd, o) },
	}
	filesFlag(cmd, &o.files)
	writeFlags(cmd, &o.write)
	return withFormats(cmd, "text", "json", "yaml")
}

func filesFlag(cmd *cobra.Command, files *[]string) {
	cmd.Flags().StringArrayVarP(files, "file", "f", nil, `the file or directory, or "-"; may be given several times`)
}

// writeOptions are those of commands that change something at a controller.
type writeOptions struct {
	dryRun bool
	force  bool
	wait   time.Duration
}

func writeFlags(cmd *cobra.Command, o *writeOptions) {
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "decide, say what would change, and change nothing")
	forceFlag(cmd, &o.force)
	cmd.Flags().DurationVar(&o.wait, "wait", 0, "wait so long for the nodes to have it in force, and for a controller that is only starting")
}

func forceFlag(cmd *cobra.Command, force *bool) {
	cmd.Flags().BoolVar(force, "force", false, "for operators: take away ranges that NICs have addresses of, and take a NIC to another node though it is in force")
}

// check refuses what --dry-run and --wait cannot be together, and waits that
// are none.
func (o writeOptions) check(cmd *cobra.Command) error {
	if !cmd.Flags().Changed("wait") {
		return nil
	}
	if o.dryRun {
		return usage("--dry-run changes nothing that --wait could wait for")
	}
	return checkSiteWait(o.wait)
}

func (o writeOptions) options() client.WriteOptions {
	return client.WriteOptions{DryRun: o.dryRun, Force: o.force, Wait: o.wait}
}

func checkSiteWait(d time.Duration) error {
	if d <= 0 || d > wire.MaxWait {
		return usage("--wait %s is not above 0 and up to %s", d, wire.MaxWait)
	}
	return nil
}

func (a *app) apply(cmd *cobra.Command, o applyOptions) error {
	format, all, err := a.toWrite(cmd, o)
	if err != nil {
		return err
	}
	return a.putAll(cmd, all, applying{format, o.write})
}

// toWrite checks the flags and reads the files.
func (a *app) toWrite(cmd *cobra.Command, o applyOptions) (format string, all []fleet.Resource, err error) {
	if format, err = a.format(cmd); err != nil {
		return "", nil, err
	}
	if err := o.write.check(cmd); err != nil {
		return "", nil, err
	}
	all, err = a.declared(o.files)
	return format, all, err
}

// applying is how resources are written, and how that is told.
type applying struct {
	format string
	write  writeOptions
}

func (a *app) putAll(cmd *cobra.Command, all []fleet.Resource, how applying) error {
	c, err := a.site()
	if err != nil {
		return err
	}
	reachSite(cmd.Context(), c, how.write.wait)
	p := putter{client: c, opts: how.write.options()}
	var failed failures
	var done []outcome
	for _, r := range all {
		out, err := p.put(cmd.Context(), r)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		done = append(done, out)
	}
	return errOr(failed, a.printOutcomes(how.format, done))
}

// reachSite waits for a controller that is only starting. Whatever is still
// wrong then, the next call will say.
func reachSite(ctx context.Context, c *client.Client, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		if _, err := c.Ready(ctx); !errors.Is(err, client.ErrUnreachable) {
			return
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// declared reads the resources of files, in order of dependency; it is all or
// nothing.
func (a *app) declared(files []string) ([]fleet.Resource, error) {
	if len(files) == 0 {
		return nil, usage("-f FILE is missing")
	}
	var all []fleet.Resource
	var bad failures
	for _, name := range files {
		inside, err := yamlFiles(name)
		if err != nil {
			return nil, err
		}
		for _, file := range inside {
			content, shown, err := a.readInput(file)
			if err != nil {
				return nil, err
			}
			res, problems := fleet.Decode(shown, content)
			all = append(all, res...)
			for _, p := range problems {
				bad = append(bad, &api.InvalidError{Detail: p.Error()})
			}
		}
	}
	if len(bad) > 0 {
		return nil, bad
	}
	if len(all) == 0 {
		return nil, &api.InvalidError{Detail: strings.Join(files, ", ") + ": there is no document in it"}
	}
	slices.SortStableFunc(all, func(x, y fleet.Resource) int {
		return cmp.Compare(placeOf(x.Header().Kind), placeOf(y.Header().Kind))
	})
	return all, nil
}

// placeOf is where a kind is in the order of dependency.
func placeOf(k fleet.Kind) int { return slices.Index(fleet.Kinds(), k) }

// yamlFiles are those of a directory, by name, or the one file.
func yamlFiles(name string) ([]string, error) {
	if st, err := os.Stat(name); name == "-" || err != nil || !st.IsDir() {
		return []string{name}, nil // whoever opens it says what is wrong
	}
	var all []string
	for _, pattern := range []string{"*.yaml", "*.yml", "*.json"} {
		found, err := filepath.Glob(filepath.Join(name, pattern))
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	slices.Sort(all)
	return all, nil
}

// outcome is what came of one resource.
type outcome struct {
	Kind           fleet.Kind `json:"kind"`
	Name           string     `json:"name"`
	Did            string     `json:"did"` // created, changed, deleted, unchanged, depends
	DryRun         bool       `json:"dry_run,omitempty"`
	client.Written `json:",inline"`
}

// putter writes the resources of files.
type putter struct {
	client *client.Client
	opts   client.WriteOptions
	fresh  []fleet.Resource // that a dry run would make
}

func (p *putter) put(ctx context.Context, r fleet.Resource) (outcome, error) {
	h := r.Header()
	doc, err := fleet.Encode(r)
	if err != nil {
		return outcome{}, err
	}
	opts := p.opts
	if h.Kind != fleet.KindNIC && h.Kind != fleet.KindRequest {
		opts.Wait = 0 // nodes have nothing of the others
	}
	out := outcome{Kind: h.Kind, Name: h.Name, DryRun: opts.DryRun}
	out.Written, err = p.client.Put(ctx, h.Kind, h.Name, doc, opts)
	if err != nil && p.dependsOnFresh(err) {
		out.Did = "depends"
		p.fresh = append(p.fresh, r)
		return out, nil
	}
	if err != nil {
		return out, about(h.Kind, h.Name, err)
	}
	if out.Did = did(out.Written); out.Did == "created" {
		p.fresh = append(p.fresh, r)
	}
	return out, nil
}

// ruleNoSuch is the controller's word for a reference to nothing.
const ruleNoSuch = "no-such"

// dependsOnFresh reports whether a dry run was refused only for the want of
// what the same files make.
func (p *putter) dependsOnFresh(err error) bool {
	refused, ok := asRefusal(err)
	if !ok || !p.opts.DryRun || len(refused.Problem.Errors) == 0 {
		return false
	}
	return !slices.ContainsFunc(refused.Problem.Errors, func(m wire.Mistake) bool {
		return m.Rule != ruleNoSuch || !slices.ContainsFunc(p.fresh, func(r fleet.Resource) bool { return r.Header().Name == m.Value })
	})
}

// did is what a change was, or would be.
func did(w client.Written) string {
	var head fleet.Head
	if w.Resource != nil && json.Unmarshal(*w.Resource, &head) != nil {
		return "changed"
	}
	switch {
	case !w.Changed:
		return "unchanged"
	case len(w.Edits) > 0 && w.Edits[0].Before == nil:
		return "created"
	case len(w.Edits) == 0 && head.Meta != nil && head.Meta.Created.Equal(head.Meta.Changed):
		return "created"
	}
	return "changed"
}

// printOutcomes writes one line for each, as messages; the data has all.
func (a *app) printOutcomes(format string, done []outcome) error {
	if format != "text" {
		return a.structured(format, append([]outcome{}, done...)) // [], not null
	}
	for _, o := range done {
		fmt.Fprintf(a.stderr, "%s: %s\n", label(o.Kind, o.Name), o.text())
	}
	return nil
}

func (o outcome) text() string {
	switch {
	case o.Did == "depends":
		return "depends on what would be created before it: cannot be decided yet"
	case o.Did == "unchanged", o.Did == "nothing to delete":
		return o.Did
	case o.DryRun:
		return "would be " + o.Did
	}
	text := fmt.Sprintf("%s, revision %d", o.Did, o.Revision)
	for i := range o.Status {
		text += fmt.Sprintf("; %s on %s: %s", printable(o.Status[i].NIC), printable(o.Status[i].Node), statusText(&o.Status[i]))
	}
	return text
}
