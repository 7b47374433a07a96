package statichcpd

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"

	compat "github.com/berth-net/berth/internal/compat/statichcpd"
)

//go:embed schema.sql
var schema string

// Create makes the database, or brings one of an older statichcpd to the
// schema with groups, fills the tables of allowed attributes anew and sets the
// write-ahead log, all as statichcpd did at every start. Nothing else here
// ever writes to a database.
func Create(ctx context.Context, path string, attrs compat.Attributes) error {
	db, err := sql.Open("sqlite", dsn(path, "rwc", "busy_timeout(5000)", "journal_mode(WAL)"))
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	defer db.Close() //nolint:errcheck // what counts is the commit
	db.SetMaxOpenConns(1)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	if err := errors.Join(addGroups(ctx, tx), execute(ctx, tx, schema), fill(ctx, tx, attrs)); err != nil {
		return fmt.Errorf("create %s: %w", path, errors.Join(err, tx.Rollback()))
	}
	return tx.Commit()
}

func execute(ctx context.Context, tx *sql.Tx, query string, args ...any) error {
	_, err := tx.ExecContext(ctx, query, args...)
	return err
}

// addGroups gives tables of before the groups their column.
func addGroups(ctx context.Context, tx *sql.Tx) error {
	for _, table := range []string{"clients", "client_configuration", "client_v6configuration"} {
		have, err := columns(ctx, tx, table)
		if err != nil {
			return err
		}
		if len(have) == 0 || have["groupID"] {
			continue
		}
		if err := execute(ctx, tx, "alter table "+table+" add column groupID text"); err != nil {
			return err
		}
	}
	return nil
}

func fill(ctx context.Context, tx *sql.Tx, attrs compat.Attributes) error {
	for table, list := range map[string][]compat.Attribute{"valid_attributes": attrs.V4, "valid_v6attributes": attrs.V6} {
		if err := execute(ctx, tx, "delete from "+table); err != nil {
			return err
		}
		for _, a := range list {
			if err := execute(ctx, tx, "insert into "+table+" (opcode, max_count, datatype) values (?, ?, ?)", a.Code, a.Max, int(a.Type)); err != nil {
				return err
			}
		}
	}
	return nil
}
