package statichcpd

import (
	"context"
	"fmt"
	"testing"

	"github.com/berth-net/berth/internal/source"
)

// A value of any length costs its own NIC, and no memory.
func TestLongValue(t *testing.T) {
	path := made(t)
	cli(t, path, insert("tap1", mac1, "192.0.2.10"))
	r := started(t, path)
	r.until("start", says("tap1 192.0.2.10/32"))
	const size = 50_000_000
	cli(t, path, fmt.Sprintf("insert into client_configuration (ifname, groupID, mac, attr_code, attr_val) values ('tap2', null, '%s', 12, zeroblob(%d));", mac2, size)+
		insert("tap3", "52:54:00:00:00:03", "192.0.2.13"))
	u := r.until("long", says("tap1 192.0.2.10/32, tap3 192.0.2.13/32"))
	want := path + ":2:1: client_configuration.attr_code 12: 50000000 bytes: longer than any option"
	if got := problems(u); got != want {
		t.Errorf("problem %q, want %q", got, want)
	}
}

// Names, of which no NIC can be told, and the sum of all have bounds too:
// beyond them nothing is known of any NIC.
func TestBounds(t *testing.T) {
	for name, c := range map[string]struct{ sql, want string }{
		"a name": {
			"insert into client_configuration (ifname, groupID, mac, attr_code, attr_val) values (printf('%.300000c', 'x'), null, 'y', 12, 'z');",
			"table client_configuration: string or blob too big (18)",
		},
		"the sum": {
			`with recursive n(i) as (select 1 union all select i+1 from n where i < 300)
insert into client_configuration (ifname, groupID, mac, attr_code, attr_val) select 'tap2', null, 'y', 12, zeroblob(250000+i) from n;`,
			"table client_configuration: more than 1048576 rows or 67108864 bytes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := made(t)
			cli(t, path, insert("tap1", mac1, "192.0.2.10"))
			r := started(t, path)
			r.until("start", says("tap1 192.0.2.10/32"))
			cli(t, path, c.sql)
			u := r.until(name, says("tap1 192.0.2.10/32 !"))
			if got, want := problems(u), path+": cannot be read: "+c.want; got != want {
				t.Errorf("problem %q, want %q", got, want)
			}
		})
	}
}

// A view can compute without end: it is not read, and nobody who asks for a
// reading waits for it.
func TestViewIsNotRead(t *testing.T) {
	path := made(t)
	cli(t, path, insert("tap1", mac1, "192.0.2.10"))
	r := started(t, path)
	r.until("start", says("tap1 192.0.2.10/32"))
	cli(t, path, `alter table client_v6configuration rename to was;
create view client_v6configuration as with recursive c(n) as (select 1 union all select n+1 from c)
select n as rowid, 'tap1' as ifname, null as groupID, 'aa' as duid, 3 as attr_code, 'x' as attr_val from c where n < 0;`)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.Refresh(ctx); err != nil {
		t.Errorf("refresh: %v", err)
	}
	u := r.until("view", func(u source.Update) bool { return len(u.Problems) > 0 })
	want := path + ": cannot be read: client_v6configuration is a view, not a table: not a database of statichcpd"
	if got := problems(u); got != want || nics(u) != "tap1 192.0.2.10/32 !" {
		t.Errorf("%s, problem %q, want %q", nics(u), got, want)
	}
}
