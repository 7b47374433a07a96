package lock

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// read returns the generation and our tables as the kernel shows them, in the
// order of tables().
func (l *Lock) read() (gen uint32, have []table, err error) {
	g, err := l.nl.GetGen()
	if err != nil {
		return 0, nil, fmt.Errorf("get generation: %w", err)
	}
	all, err := l.nl.ListTables()
	if err != nil {
		return 0, nil, fmt.Errorf("list tables: %w", err)
	}
	for _, shape := range tables(Desired{}) {
		i := slices.IndexFunc(all, func(t *nftables.Table) bool {
			return t.Name == TableName && t.Family == shape.Family
		})
		if i < 0 {
			continue
		}
		t, err := l.readTable(all[i], shape)
		if err != nil {
			return 0, nil, l.stale(g.ID, fmt.Errorf("table %s: %w", title(shape.Family), err))
		}
		have = append(have, t)
	}
	return g.ID, have, nil
}

// stale turns an error into ErrChanged if a transaction came in between: what
// was listed may have gone since.
func (l *Lock) stale(gen uint32, err error) error {
	if after, e := l.nl.GetGen(); e == nil && after.ID != gen {
		return ErrChanged
	}
	return err
}

func (l *Lock) readTable(nt *nftables.Table, shape table) (table, error) {
	t := table{Family: shape.Family}
	if nt.Flags != 0 {
		t.Flaw = fmt.Sprintf("has flags %#x (dormant or owned)", uint32(nt.Flags))
		return t, nil
	}
	var err error
	if t.Flaw, err = l.chainFlaw(shape); err != nil || t.Flaw != "" {
		return t, err
	}
	if t.Flaw, err = l.readObjects(nt, &t); err != nil || t.Flaw != "" {
		return t, err
	}
	for _, c := range shape.Chains {
		rules, err := l.nl.GetRules(nt, &nftables.Chain{Name: c.Name, Table: nt})
		if err != nil {
			return t, fmt.Errorf("chain %s: %w", c.Name, err)
		}
		c.Rules = nil
		for _, r := range rules {
			c.Rules = append(c.Rules, rule{exprs: r.Exprs})
		}
		t.Chains = append(t.Chains, c)
	}
	return t, nil
}

// chainFlaw compares the chains but for their rules.
func (l *Lock) chainFlaw(shape table) (string, error) {
	all, err := l.nl.ListChainsOfTableFamily(shape.Family)
	if err != nil {
		return "", fmt.Errorf("list chains: %w", err)
	}
	count := 0
	for _, got := range all {
		if got.Table == nil || got.Table.Name != TableName {
			continue
		}
		count++
		i := slices.IndexFunc(shape.Chains, func(c chain) bool { return c.Name == got.Name })
		if i < 0 {
			return fmt.Sprintf("has a chain %q", got.Name), nil
		}
		if !sameHook(got, shape.Chains[i].Hook) {
			return fmt.Sprintf("chain %s is hooked elsewhere or has another policy", got.Name), nil
		}
	}
	if count != len(shape.Chains) {
		return "lacks a chain", nil
	}
	return "", nil
}

func sameHook(got *nftables.Chain, want *nftables.ChainHook) bool {
	if want == nil {
		return got.Hooknum == nil
	}
	return got.Hooknum != nil && *got.Hooknum == *want &&
		got.Priority != nil && *got.Priority == first &&
		got.Type == nftables.ChainTypeFilter &&
		got.Policy != nil && *got.Policy == nftables.ChainPolicyAccept
}

// readObjects reads the set and the counter.
func (l *Lock) readObjects(nt *nftables.Table, t *table) (flaw string, err error) {
	sets, err := l.nl.GetSets(nt)
	if err != nil {
		return "", fmt.Errorf("list sets: %w", err)
	}
	if len(sets) != 1 || !isOurSet(sets[0]) {
		return "its set is not the set of interface names", nil
	}
	t.Room = int(sets[0].Size)
	elements, err := l.nl.GetSetElements(sets[0])
	if err != nil {
		return "", fmt.Errorf("set %s: %w", setNames, err)
	}
	for _, e := range elements {
		name, _, _ := bytes.Cut(e.Key, []byte{0})
		t.Names = append(t.Names, string(name))
	}
	slices.Sort(t.Names)
	objs, err := l.nl.GetNamedObjects(nt)
	if err != nil {
		return "", fmt.Errorf("list counters: %w", err)
	}
	for _, o := range objs {
		if n, ok := o.(*nftables.NamedObj); ok && n.Name == counterOut && n.Type == nftables.ObjTypeCounter {
			t.Dropped = n.Obj.(*expr.Counter).Packets
			return "", nil
		}
	}
	return "lacks its counter", nil
}

func isOurSet(s *nftables.Set) bool {
	return s.Name == setNames && s.KeyType.Name == nftables.TypeIFName.Name &&
		!s.IsMap && !s.Interval && !s.HasTimeout && !s.Constant && !s.Dynamic && s.Size > 0
}

// next is the generation after one transaction; none has the number zero
// (nf_tables_commit of net/netfilter/nf_tables_api.c).
func next(gen uint32) uint32 { return max(gen+1, 1) }

// commit sends all changes in one transaction, valid on generation gen only.
func (l *Lock) commit(gen uint32, changes []change) error {
	for _, c := range changes {
		if err := l.queue(c); err != nil {
			return fmt.Errorf("table %s: %w", title(c.Table.Family), err)
		}
	}
	err := l.nl.FlushWithGenID(gen)
	if errors.Is(err, unix.ERESTART) { // nfnetlink_rcv_batch: not this generation any more
		return ErrChanged
	}
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func (l *Lock) queue(c change) error {
	nt := &nftables.Table{Family: c.Table.Family, Name: TableName}
	set := &nftables.Set{Table: nt, Name: setNames, KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian, Size: uint32(c.Table.Room)}
	if c.Delete {
		l.nl.DelTable(nt)
	}
	if c.Create {
		if err := l.queueSkeleton(nt, set, c.Table.Chains); err != nil {
			return err
		}
	}
	for _, ch := range c.Chains {
		l.nl.FlushChain(&nftables.Chain{Table: nt, Name: ch.Name})
		l.queueRules(nt, ch)
	}
	if err := l.nl.SetAddElements(set, elements(c.Add)); err != nil {
		return err
	}
	return l.nl.SetDeleteElements(set, elements(c.Drop))
}

func (l *Lock) queueSkeleton(nt *nftables.Table, set *nftables.Set, chains []chain) error {
	l.nl.AddTable(nt)
	l.nl.AddObj(&nftables.NamedObj{Table: nt, Name: counterOut, Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}})
	if err := l.nl.AddSet(set, nil); err != nil {
		return err
	}
	for _, c := range chains {
		nc := &nftables.Chain{Table: nt, Name: c.Name}
		if c.Hook != nil {
			policy, priority := nftables.ChainPolicyAccept, first
			nc.Hooknum, nc.Priority, nc.Policy, nc.Type = c.Hook, &priority, &policy, nftables.ChainTypeFilter
		}
		l.nl.AddChain(nc)
	}
	for _, c := range chains {
		l.queueRules(nt, c)
	}
	return nil
}

func (l *Lock) queueRules(nt *nftables.Table, c chain) {
	for _, r := range c.Rules {
		l.nl.AddRule(&nftables.Rule{Table: nt, Chain: &nftables.Chain{Name: c.Name, Table: nt}, Exprs: r.exprs})
	}
}

// elements encodes names as the kernel's fixed IFNAMSIZ bytes.
func elements(names []string) []nftables.SetElement {
	out := make([]nftables.SetElement, len(names))
	for i, n := range names {
		out[i].Key = make([]byte, unix.IFNAMSIZ)
		copy(out[i].Key, n)
	}
	return out
}
