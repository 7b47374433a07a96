package statichcpd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	compat "github.com/berth-net/berth/internal/compat/statichcpd"
)

// state prints groups, clients and both configurations.
const state = `select 'group', ifname, groupID from client_groups order by 2;
	select 'client', ifname, groupID, mac from clients order by 2, 4;
	select 'v4', ifname, groupID, mac, attr_code, attr_val from client_configuration order by 2, 5;
	select 'v6', ifname, groupID, duid, attr_code, attr_val from client_v6configuration order by 2, 5;`

func v4(ifname, group, code, value string) string {
	return "insert into client_configuration (ifname, groupID, mac, attr_code, attr_val) values ('" + ifname + "', " + group + ", 'm', " + code + ", '" + value + "');"
}

func v6(ifname, group, code, value string) string {
	return "insert into client_v6configuration (ifname, groupID, duid, attr_code, attr_val) values ('" + ifname + "', " + group + ", 'm', " + code + ", '" + value + "');"
}

// What controllers rely on: the triggers, the foreign keys and the lists.
func TestSchema(t *testing.T) {
	both := func(group string) string {
		return v4("a", group, "256", "x") + v4("a", group, "1", "y") + v6("a", group, "3", "z")
	}
	for _, c := range []struct{ name, sql, want string }{
		{"rows make group and client", both("'g'"), "group|a|g\nclient|a|g|m\nv4|a|g|m|1|y\nv4|a|g|m|256|x\nv6|a|g|m|3|z"},
		{"without a group, once", both("null"), "group|a|\nclient|a||m\nv4|a||m|1|y\nv4|a||m|256|x\nv6|a||m|3|z"},
		{"a client makes its group", "insert into clients values ('a', 'g', 'm');", "group|a|g\nclient|a|g|m"},
		{"deleting the client", both("'g'") + "delete from clients where mac='m';", ""},
		{"deleting the client, no group", both("null") + v4("b", "null", "1", "y") + "delete from clients where ifname='a';", "group|b|\nclient|b||m\nv4|b||m|1|y"},
		{"deleting the group", both("'g'") + "delete from client_groups;", ""},
		{"deleting one row", both("'g'") + "delete from client_configuration where attr_code=1;", "group|a|g\nclient|a|g|m\nv4|a|g|m|256|x\nv6|a|g|m|3|z"},
		{"deleting the last rows", both("'g'") + "delete from client_configuration; delete from client_v6configuration;", ""},
		{"the same, the other way round", both("null") + "delete from client_v6configuration; delete from client_configuration;", ""},
		{"a group replaces none", v4("a", "null", "256", "old") + v4("a", "'g'", "256", "new"), "group|a|g\nclient|a||m\nclient|a|g|m\nv4|a||m|256|old\nv4|a|g|m|256|new"},
		{"a group replaces none, v6", v6("a", "null", "3", "old") + v6("a", "'g'", "3", "new"), "group|a|g\nclient|a||m\nclient|a|g|m\nv6|a||m|3|old\nv6|a|g|m|3|new"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := made(t)
			cli(t, path, c.sql)
			if d := cmp.Diff(c.want, cli(t, path, state)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// What the database refuses.
func TestSchemaRefuses(t *testing.T) {
	for _, c := range []struct{ sql, want string }{
		{v4("a", "'g'", "99", "x"), "FOREIGN KEY constraint failed"},
		{v6("a", "'g'", "99", "x"), "FOREIGN KEY constraint failed"},
		{v4("a", "'g'", "1", "x") + "delete from valid_attributes where opcode=1;", "FOREIGN KEY constraint failed"},
		{v4("a", "'g'", "1", "x") + v4("a", "'g'", "1", "x"), "UNIQUE constraint failed"},
		{v4("a", "'g'", "1", "x") + v4("a", "'h'", "1", "x"), "constraint failed"},
		{"insert into client_configuration values ('a', 'g', 'm', 1, null);", "NOT NULL constraint failed"},
		{"insert into valid_attributes values (1, 1, 1);", "UNIQUE constraint failed"},
	} {
		if out, err := tryCLI(made(t), c.sql); err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v, %s\nwant %s", c.sql, err, out, c.want)
		}
	}
}

// The lists of attributes are filled anew each time, the journal is a
// write-ahead log, and the rows stay.
func TestCreateAgain(t *testing.T) {
	path := made(t)
	cli(t, path, v4("a", "null", "256", "x"))
	more := []compat.Attribute{{Code: 150, Max: 2, Type: compat.IPV4}}
	if err := Create(t.Context(), path, compat.DefaultAttributes().With(more, nil)); err != nil {
		t.Fatal(err)
	}
	if got, want := cli(t, path, "select * from valid_attributes where opcode in (3, 44, 150) order by 1"), "3|3|1\n150|2|1"; got != want {
		t.Errorf("attributes %q, want %q", got, want)
	}
	if got, want := cli(t, path, "select count(*), max(datatype) from valid_v6attributes"), "12|9"; got != want {
		t.Errorf("attributes of IPv6 %q, want %q", got, want)
	}
	if got := cli(t, path, "pragma journal_mode; select count(*) from client_configuration"); got != "wal\n1" {
		t.Errorf("journal and rows %q", got)
	}
}

// Load finds the configuration and its lists.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	list := write("v4.csv", "opcode,max_count,datatype\n150,2,IPV4\n")
	list6 := write("v6.csv", "200,2,INT16\n")
	conf := write("a.conf", "[statichcpd]\ndhcp_db_filename=/db\nserved_interface_regex=^tap\n")
	more := write("b.conf", "[statichcpd]\nadditional_attributes_file="+list+"\nadditional_v6attributes_file="+list6+"\ncolour=red\n")
	cfg, attrs, errs, warnings := Load(conf, more)
	if len(errs) > 0 || len(warnings) != 1 || cfg.Database != "/db" {
		t.Errorf("%+v, %v, %v", cfg, errs, warnings)
	}
	if got, want := attrs.V4[len(attrs.V4)-1].Code+attrs.V6[len(attrs.V6)-1].Code, 350; got != want {
		t.Errorf("last codes add up to %d, want %d", got, want)
	}
	if _, _, errs, _ := Load(conf, filepath.Join(dir, "none")); len(errs) != 1 || !strings.Contains(errs[0].Error(), "none: cannot be read") {
		t.Errorf("a missing file: %v", errs)
	}
	bad := write("c.conf", "[statichcpd]\nadditional_attributes_file="+dir+"\n")
	if _, _, errs, _ := Load(conf, bad); len(errs) != 1 || !strings.Contains(errs[0].Error(), "not a regular file") {
		t.Errorf("a directory for a list: %v", errs)
	}
}
