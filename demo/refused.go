package main

import (
	"fmt"
	"strings"

	"github.com/berth-net/berth/internal/fleet"
	rest "github.com/berth-net/berth/internal/rest/client"
)

// wish is a request that is refused.
type wish struct {
	what, name string
	vms        []string // each VM's own, in YAML's flow form
	says       []string // what the refusal must name
}

func wishes() []wish {
	const nic = "nics: [{network: lan, node: n2, interface: %s-tap"
	return []wish{
		{
			what: "An image that the policy finds too large:", name: "large",
			vms:  []string{"{name: big, image: {size: 17179869184}, " + fmt.Sprintf(nic, "big") + "}]}"},
			says: []string{"big: image.size 17179869184", "image-size", "sizes"},
		},
		{
			what: "An address of her own choice, which no policy allows:", name: "exact",
			vms:  []string{"{name: own, " + fmt.Sprintf(nic, "own") + ", addresses: [10.1.0.77]}]}"},
			says: []string{"addresses", "10.1.0.77", "exact-addresses"},
		},
		{
			what: "Two VMs more, of which the project may have one:", name: "more",
			vms:  []string{"{name: db3, " + fmt.Sprintf(nic, "db3") + "}]}", "{name: db4, " + fmt.Sprintf(nic, "db4") + "}]}"},
			says: []string{`project "db"`, "4", "5", "quota.vms"},
		},
	}
}

// refusals are three requests that alice makes in vain.
func (e *estate) refusals() error {
	e.heading("14 What alice is refused, and why")
	before, err := e.site.ProjectUsage(e.ctx, "db")
	if err != nil {
		return e.explain(err)
	}
	for _, w := range wishes() {
		if err := e.refuse(w); err != nil {
			return err
		}
	}
	after, err := e.site.ProjectUsage(e.ctx, "db")
	if err != nil {
		return e.explain(err)
	}
	page, err := e.site.List(e.ctx, fleet.KindNIC, rest.Query{Project: "db"})
	if err != nil {
		return e.explain(err)
	}
	e.fact("NICs after the refusals", len(page.Items), 3)
	e.fact("what the project has after the refusals", *after.Used, *before.Used)
	_, _, err = e.as(alice, "berth quota db")
	return err
}

func (e *estate) refuse(w wish) error {
	file := w.name + ".yaml"
	text := "kind: request\nname: " + w.name + "\nproject: db\nvms:\n"
	for _, v := range w.vms {
		text += "- " + v + "\n"
	}
	if err := e.write(file, text); err != nil {
		return err
	}
	e.line("%s", w.what)
	said, code, err := e.as(alice, "berth request -f "+file)
	e.fact("exit code of a request that is refused: "+w.name, code, 10)
	for _, word := range w.says {
		e.holds(fmt.Sprintf("the refusal of %s names %s", w.name, word), strings.Contains(said, word))
	}
	return err
}
