package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// Trusted refuses a file or directory that somebody could have written who is
// neither root, nor the user of this process, nor one of others (user ids).
func Trusted(st fs.FileInfo, others ...uint32) error {
	if st.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("mode %04o lets others write to it; remove that (chmod go-w)", st.Mode().Perm())
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("its owner cannot be told")
	}
	if sys.Uid != 0 && sys.Uid != uint32(os.Geteuid()) && !slices.Contains(others, sys.Uid) {
		return fmt.Errorf("owned by user id %d, who is not trusted to write it", sys.Uid)
	}
	return nil
}
