package story_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/testenv"
)

// looseTables are statichcpd's without anything that keeps a bad value out:
// what a controller may find, whose connection has no foreign keys.
const looseTables = `pragma journal_mode = delete;
create table client_configuration (ifname, groupID, mac, attr_code, attr_val);
create table client_v6configuration (ifname, groupID, duid, attr_code, attr_val);
`

// ofBefore are the tables of a statichcpd that had no groups.
const ofBefore = `pragma journal_mode = delete;
create table client_configuration (ifname text, mac text, attr_code int, attr_val);
`

// malformed is one bad row and what berth is to say of it.
type malformed struct {
	what, sql string
	says      []string
}

func malformedRows(mac string) []malformed {
	add := func(code, value string) string {
		return "insert into client_configuration values ('vm1', null, '" + mac + "', " + code + ", " + value + ");"
	}
	long := strings.Repeat("x", 70_000)
	return []malformed{
		{"an unknown code", add("200", "'x'"), []string{"attr_code 200", `"x"`, "not an allowed attribute"}},
		{"a code that is no number", add("'dns'", "'192.0.2.53'"), []string{"client_configuration.attr_code", `"dns"`, "must be a number"}},
		{"a text for a number", add("26", "'large'"), []string{"attr_code 26", `"large"`, "must be an integer"}},
		{"a number that is too large", add("26", "70000"), []string{"attr_code 26", `"70000"`, "65535"}},
		{"a bad address", "update client_configuration set attr_val = '192.0.2.300' where ifname = 'vm1' and attr_code = 256;", []string{"attr_code 256", `"192.0.2.300"`, "not an IPv4 address"}},
		{"an IPv6 address for IPv4", add("6", "'2001:db8::53'"), []string{"attr_code 6", `"2001:db8::53"`}},
		{"two values of a single one", add("258", "'192.0.2.3'"), []string{"attr_code 258", `"192.0.2.3"`, "at most 1"}},
		{"two MACs on an interface", strings.Replace(add("15", "'example.org'"), mac, "52:54:00:aa:00:99", 1), []string{"client_configuration.mac", `"52:54:00:aa:00:99"`, mac}},
		{"a bad MAC", strings.Replace(add("15", "'example.org'"), mac, "52:54:00", 1), []string{"client_configuration.mac", `"52:54:00"`, "not a MAC address"}},
		{"no MAC", strings.Replace(add("15", "'example.org'"), "'"+mac+"'", "null", 1), []string{"client_configuration.mac", "not a MAC address"}},
		{"another group", strings.Replace(add("15", "'example.org'"), "null", "'a'", 1) + strings.Replace(add("15", "'example.org'"), "null", "'b'", 1), []string{"groupID", `"b"`, "can be in one"}},
		{"NULL", add("15", "null"), []string{"attr_code 15", "NULL"}},
		{"a bad mask", "update client_configuration set attr_val = '255.0.255.0' where ifname = 'vm1' and attr_code = 1;", []string{"attr_code 1", `"255.0.255.0"`, "not a subnet mask"}},
		{"a bad route", add("121", "'10.0.0.0/8 192.0.2.1'"), []string{"attr_code 121", "not a route"}},
		{"a text that is too long", add("12", "'"+long+"'"), []string{"attr_code 12", "1232 fit"}},
		{"binary", add("12", "x'00ff10'"), []string{"attr_code 12", "UTF-8"}},
		{"IPv6 in a bad place", "insert into client_v6configuration values ('vm1', null, '" + mac + "', 25, '2001:db8::/200');", []string{"client_v6configuration.attr_code 25", `"2001:db8::/200"`, "not an IPv6 prefix"}},
	}
}

// TestStatichcpdMalformed: a bad row is told by its field and value; its NIC
// keeps what it had and its neighbours do not notice.
func TestStatichcpdMalformed(t *testing.T) {
	t.Parallel()
	c := newControlled(t, "create: false")
	vm, other := c.vms[0], c.vms[1]
	good := vm.ordinary() + other.ordinary()
	c.run(looseTables + good)
	c.start()
	c.attach("vm1", "vm2")
	ears := []*testenv.Sniffer{testenv.Capture(t, vm.NS, "eth0"), testenv.Capture(t, other.NS, "eth0")}
	goOn := func(what string) {
		t.Helper()
		want := []string{"ACK 192.0.2.11 from 192.0.2.2 dns [192.0.2.53]", "ACK 192.0.2.12 from 192.0.2.2 dns [192.0.2.53]"}
		if diff := cmp.Diff(want, []string{vm.renewed(t, ears[0]), other.renewed(t, ears[1])}); diff != "" {
			t.Errorf("%s: what two renewals are told (-want +got):\n%s", what, diff)
		}
	}
	for _, m := range malformedRows(vm.mac.String()) {
		c.sql(m.sql)
		c.rejects(m)
		if v := c.waitState("vm1", api.Stale, 5*time.Second); !strings.Contains(v.Why, m.says[0]) {
			t.Errorf("%s: vm1 is %s because %q, want it to name %s", m.what, v.State, v.Why, m.says[0])
		}
		goOn(m.what)
		c.sql("delete from client_configuration;", "delete from client_v6configuration;", good)
		c.waitState("vm1", api.InForce, 5*time.Second)
	}
	for _, name := range []string{"''", "null"} {
		m := malformed{"the interface " + name, "insert into client_configuration values (" + name + ", null, '52:54:00:aa:00:09', 256, '192.0.2.19');", []string{"client_configuration.ifname", "empty or NULL"}}
		c.sql(m.sql)
		c.rejects(m)
		c.waitState("vm1", api.InForce, 5*time.Second)
		goOn(m.what)
	}
}

// rejects waits for one mistake that names everything it should.
func (c *controlled) rejects(m malformed) {
	c.t.Helper()
	var got []string
	testenv.Wait(c.t, 5*time.Second, m.what+" to be told", func() bool {
		got = c.source().Rejected
		return len(got) > 0
	})
	for _, want := range m.says {
		if !strings.Contains(strings.Join(got, "\n"), want) {
			c.t.Errorf("%s: %.400q does not say %q", m.what, got, want)
		}
	}
}

// TestStatichcpdFile: the file is of a time before groups, is renamed over,
// damaged, deleted and made anew under a running berth and while it is
// stopped. What was in force stays until there is something else to read.
func TestStatichcpdFile(t *testing.T) {
	t.Parallel()
	c := newControlled(t, "create: false")
	vm, other := c.vms[0], c.vms[1]
	insert := func(g *guest, addr string) string {
		return "insert into client_configuration values ('" + g.port + "', '" + g.mac.String() + "', 256, '" + addr + "');\n" +
			"insert into client_configuration values ('" + g.port + "', '" + g.mac.String() + "', 258, '192.0.2.2');\n"
	}
	c.run(ofBefore + insert(vm, "192.0.2.11"))
	c.start()
	c.attach("vm1")
	ear := testenv.Capture(t, vm.NS, "eth0")
	goesOn := func(what string) {
		t.Helper()
		if got, want := vm.renewed(t, ear), "ACK 192.0.2.11 from 192.0.2.2 dns []"; got != want {
			t.Errorf("%s: vm1 is told %s, want %s", what, got, want)
		}
	}
	goesOn("a database without groups")

	t.Log("renamed over")
	c.replace(looseTables + rows4("vm1", "web", vm.mac, "256 '192.0.2.11'", "258 '192.0.2.2'") + rows4("vm2", "", other.mac, "256 '192.0.2.12'", "258 '192.0.2.2'"))
	c.attach("vm2")
	goesOn("renamed over")

	t.Log("damaged, then deleted")
	if err := os.WriteFile(c.db+".new", []byte(strings.Repeat("not a database ", 1000)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(c.db+".new", c.db); err != nil {
		t.Fatal(err)
	}
	c.rejects(malformed{what: "a damaged file", says: []string{c.db, "not a database"}})
	c.waitState("vm1", api.Stale, 5*time.Second)
	goesOn("damaged")
	if err := os.Remove(c.db); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, 5*time.Second, "the missing file to be told", func() bool {
		return strings.Contains(strings.Join(c.source().Rejected, "\n"), "no such file")
	})
	goesOn("deleted")
	c.stop()
	c.launch()
	c.waitState("vm1", api.Stale, 10*time.Second)
	goesOn("deleted, and berth started again")

	t.Log("made anew, with a write-ahead log")
	c.replace(strings.Replace(looseTables, "delete", "wal", 1) + rows4("vm1", "", vm.mac, "256 '192.0.2.11'", "258 '192.0.2.2'"))
	c.waitState("vm1", api.InForce, 5*time.Second)
	testenv.Wait(t, 5*time.Second, "vm2 to be gone", func() bool { return c.states()["vm2"] != api.InForce && c.states()["vm2"] != api.Stale })
	goesOn("made anew")
	if r := c.source().Rejected; len(r) != 0 {
		t.Errorf("berth rejects %v", r)
	}
}

// replace makes another database and renames it over the one there is.
func (c *controlled) replace(input string) {
	c.t.Helper()
	other := *c
	other.db = c.db + ".new"
	other.run(input)
	if err := os.Rename(other.db, c.db); err != nil {
		c.t.Fatal(err)
	}
}
