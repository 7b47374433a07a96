package disk_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/berth-net/berth/internal/disk"
)

func TestTrusted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		mode   os.FileMode
		uid    int
		others []uint32
		want   string
	}{
		{0o755, 0, nil, ""},
		{0o600, 65534, []uint32{7, 65534}, ""},
		{0o600, 65534, []uint32{7}, "owned by user id 65534, who is not trusted to write it"},
		{0o664, 0, nil, "mode 0664 lets others write to it; remove that (chmod go-w)"},
		{0o646, 0, nil, "mode 0646 lets others write to it; remove that (chmod go-w)"},
	} {
		if err := os.Chmod(path, test.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, test.uid, 0); err != nil {
			t.Fatal(err)
		}
		st, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := disk.Trusted(st, test.others...); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("mode %o, user id %d, trusted %v: %q, want %q", test.mode, test.uid, test.others, got, test.want)
		}
	}
}
