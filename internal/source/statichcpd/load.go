package statichcpd

import (
	"errors"
	"fmt"
	"os"
	"slices"

	sqlite "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	compat "github.com/berth-net/berth/internal/compat/statichcpd"
	"github.com/berth-net/berth/internal/manifest"
)

// Load reads statichcpd.conf and the lists of attributes it names; of several
// files the later ones win. Warnings cost nothing.
func Load(paths ...string) (compat.Config, compat.Attributes, []manifest.Problem, []manifest.Problem) {
	var files []compat.File
	var failed []manifest.Problem
	for _, path := range paths {
		data, p := readFile(path)
		failed = append(failed, p...)
		files = append(files, compat.File{Name: path, Data: data})
	}
	attrs := compat.DefaultAttributes()
	if len(failed) > 0 {
		return compat.Config{}, attrs, failed, nil
	}
	cfg, errs, warnings := compat.ParseConfig(files)
	v4, p4 := attributes(cfg.AttributeFile, false)
	v6, p6 := attributes(cfg.AttributeFile6, true)
	return cfg, attrs.With(v4, v6), slices.Concat(errs, p4, p6), warnings
}

func attributes(path string, v6 bool) ([]compat.Attribute, []manifest.Problem) {
	if path == "" {
		return nil, nil
	}
	data, failed := readFile(path)
	if len(failed) > 0 {
		return nil, failed
	}
	return compat.ParseAttributes(path, data, v6)
}

func readFile(path string) ([]byte, []manifest.Problem) {
	st, err := os.Stat(path)
	if err == nil && (!st.Mode().IsRegular() || st.Size() > manifest.MaxFile) {
		err = fmt.Errorf("not a regular file of at most %d bytes", manifest.MaxFile)
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, []manifest.Problem{{File: path, Text: fmt.Sprintf("cannot be read: %v", err)}}
	}
	return data, nil
}

// busy reports whether a writer has the database to itself.
func busy(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code()&0xff == lib.SQLITE_BUSY || e.Code()&0xff == lib.SQLITE_LOCKED)
}
