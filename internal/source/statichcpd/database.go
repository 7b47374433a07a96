package statichcpd

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"

	sqlite "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	compat "github.com/berth-net/berth/internal/compat/statichcpd"
)

// What a broken writer can cost is bounded: a value that is longer costs its
// NIC, everything else the whole database, which then says nothing.
const (
	maxRows  = 1 << 20
	maxValue = 1 << 18 // no option is longer, whatever its notation
	maxBytes = 1 << 26 // of a table
)

// What Create mends.
var (
	errNoFile  = errors.New("there is no such file")
	errNoTable = errors.New("not a database of statichcpd")
)

// database is the open file. A connection is kept because only by one that is
// kept SQLite tells whether others have committed.
type database struct {
	file os.FileInfo // what was opened: another one may stand there later
	db   *sql.DB
	conn *sql.Conn
}

// dsn never waits long: whoever writes goes first, and is read a moment later.
func dsn(path, mode string, pragmas ...string) string {
	q := url.Values{"mode": {mode}, "_pragma": pragmas}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// open opens the file to be read. The mode is rw because SQLite needs it to
// undo what a crashed writer left; query_only keeps us from writing rows.
func open(ctx context.Context, path string) (*database, error) {
	file, err := sound(path)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(path, "rw", "busy_timeout(200)", "query_only(1)", "trusted_schema(0)"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	d := &database{file: file, db: db, conn: conn}
	if _, err := sqlite.Limit(conn, lib.SQLITE_LIMIT_LENGTH, maxValue); err != nil {
		return nil, errors.Join(err, d.close())
	}
	if d.replaced(path) {
		return nil, errors.Join(errors.New("was replaced while it was opened"), d.close())
	}
	return d, nil
}

// sound refuses what is no file, and what anybody could have written.
func sound(path string) (os.FileInfo, error) {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errNoFile
	case err != nil:
		return nil, err
	case !st.Mode().IsRegular():
		return nil, errors.New("not a regular file")
	case st.Mode().Perm()&0o002 != 0:
		return nil, fmt.Errorf("mode %04o lets everybody write to it; remove that (chmod o-w)", st.Mode().Perm())
	}
	return st, nil
}

// replaced reports whether the path is no longer the file that is open.
func (d *database) replaced(path string) bool {
	st, err := os.Stat(path)
	return err != nil || !os.SameFile(st, d.file)
}

func (d *database) close() error { return errors.Join(d.conn.Close(), d.db.Close()) }

// version changes with every commit of somebody else.
func (d *database) version(ctx context.Context) (int64, error) {
	var v int64
	err := d.conn.QueryRowContext(ctx, "pragma data_version").Scan(&v)
	return v, err
}

// rows reads all configuration in one transaction.
func (d *database) rows(ctx context.Context) ([]compat.Row, error) {
	tx, err := d.conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	if err := plain(ctx, tx); err != nil {
		return nil, err
	}
	var out []compat.Row
	for _, t := range tables() {
		have, err := columns(ctx, tx, t.name)
		switch {
		case err != nil:
			return nil, err
		case len(have) == 0 && t.v6:
			continue // a statichcpd from before DHCPv6
		case len(have) == 0:
			return nil, fmt.Errorf("has no table %s: %w", t.name, errNoTable)
		}
		if out, err = t.read(ctx, tx, have["groupID"], out); err != nil {
			return nil, fmt.Errorf("table %s: %w", t.name, err)
		}
	}
	return out, nil
}

type table struct {
	name, client string
	v6           bool
}

func tables() []table {
	return []table{{"client_configuration", "mac", false}, {"client_v6configuration", "duid", true}}
}

// plain refuses views and virtual tables in the place of tables: what they
// compute may never end.
func plain(ctx context.Context, tx *sql.Tx) error {
	for _, t := range tables() {
		var kind string
		err := tx.QueryRowContext(ctx, "select type from pragma_table_list(?) where schema = 'main'", t.name).Scan(&kind)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err == nil && kind != "table" {
			return fmt.Errorf("%s is a %s, not a table: not a database of statichcpd", t.name, kind)
		}
	}
	return nil
}

// columns of a table; none if it does not exist.
func columns(ctx context.Context, tx *sql.Tx, table string) (map[string]bool, error) {
	rows, err := tx.QueryContext(ctx, "select name from pragma_table_info(?)", table)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells
	out := map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		out[name] = true
	}
	return out, rows.Err()
}

func (t table) read(ctx context.Context, tx *sql.Tx, grouped bool, out []compat.Row) ([]compat.Row, error) {
	group := "null"
	if grouped {
		group = "groupID"
	}
	query := fmt.Sprintf(`select rowid, ifname, %s, %s, attr_code, iif(octet_length(attr_val) > %d, null, attr_val), octet_length(attr_val)
		from %s order by rowid limit %d`, group, t.client, maxValue, t.name, maxRows+1)
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells
	bytes := 0         // of names and values
	for n := 0; rows.Next(); n++ {
		r, size, err := t.scan(rows)
		if err != nil {
			return nil, err
		}
		if bytes += size; n == maxRows || bytes > maxBytes {
			return nil, fmt.Errorf("more than %d rows or %d bytes", maxRows, maxBytes)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// scan takes any type anywhere: a column's type binds nobody in SQLite. It
// returns how many bytes were read.
func (t table) scan(rows *sql.Rows) (r compat.Row, size int, err error) {
	r.V6 = t.v6
	var name, group, client sql.NullString
	var code any
	var length sql.NullInt64
	if err := rows.Scan(&r.RowID, &name, &group, &client, &code, &r.Value, &length); err != nil {
		return r, 0, err
	}
	size = len(name.String) + len(group.String) + len(client.String)
	if length.Int64 > maxValue {
		r.TooLong = length.Int64
	} else {
		size += int(length.Int64)
	}
	r.Interface, r.Client = name.String, strings.TrimSpace(client.String)
	r.Group, r.HasGroup = group.String, group.Valid
	if n, ok := code.(int64); ok {
		r.Code = int(n)
	} else {
		r.NoCode, r.CodeText = true, short(code)
	}
	return r, size, nil
}

// short prints the beginning of a value for a message.
func short(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case string, []byte:
		return fmt.Sprintf("%.40s", v)
	}
	return fmt.Sprint(v)
}
