package lock

import (
	"fmt"
	"strings"
)

// header begins every printed lock.
const header = `# berth's second lock: a frame from a managed name passes only with the mark
# that the guard's program on that interface sets. A name is enough: the rules
# stand before the interface does, so one that is new, made again or stripped
# of its program is closed, not open.
`

// Text prints the lock as an nftables script with comments. It is what Apply
// installs: the script loaded into an empty ruleset gives the same rules.
func (d Desired) Text() (string, error) {
	d, err := d.Normal()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(header)
	for _, t := range tables(d) {
		t.print(&b)
	}
	return b.String(), nil
}

func (t table) print(b *strings.Builder) {
	fmt.Fprintf(b, "\ntable %s {\n", title(t.Family))
	fmt.Fprintf(b, "\t# What this table dropped. A guard that works leaves it nothing.\n")
	fmt.Fprintf(b, "\tcounter %s { packets 0 bytes 0 }\n\n", counterOut)
	fmt.Fprintf(b, "\t# Managed interfaces, there or not.\n")
	fmt.Fprintf(b, "\tset %s {\n\t\ttype ifname\n\t\tsize %d\n%s\t}\n", setNames, t.Room, printElements(t.Names))
	for _, c := range t.Chains {
		c.print(b)
	}
	b.WriteString("}\n")
}

func printElements(names []string) string {
	if len(names) == 0 {
		return "" // nft has no empty list
	}
	return fmt.Sprintf("\t\telements = { \"%s\" }\n", strings.Join(names, `", "`))
}

func (c chain) print(b *strings.Builder) {
	b.WriteString("\n")
	comment(b, "\t", c.Why)
	fmt.Fprintf(b, "\tchain %s {\n", c.Name)
	if c.Hook != nil {
		fmt.Fprintf(b, "\t\ttype filter hook %s priority %d; policy accept;\n", c.Name, first)
	}
	for _, r := range c.Rules {
		comment(b, "\t\t", r.why)
		fmt.Fprintf(b, "\t\t%s\n", r.text)
	}
	b.WriteString("\t}\n")
}

func comment(b *strings.Builder, indent, text string) {
	if text == "" {
		return
	}
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintf(b, "%s# %s\n", indent, line)
	}
}
