package vm

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// Modules adds kernel modules and what they depend on as /modules/*.ko, so
// named that the shell's order is the order to insert them in. Whatever the
// machine needs must be named: nothing is loaded on demand.
func (i *Image) Modules(names ...string) {
	i.t.Helper()
	m := modules{Image: i, files: i.moduleFiles(), done: map[string]bool{}}
	for _, name := range names {
		m.add(name)
	}
}

// moduleFiles finds every module of the kernel by its name.
func (i *Image) moduleFiles() map[string]string {
	i.t.Helper()
	files := map[string]string{}
	tree := only(i.t, filepath.Join(kernelRoot(), "lib", "modules", "*"))
	err := filepath.WalkDir(tree, func(file string, _ fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(filepath.Base(file), ".ko"); ok {
			files[strings.ReplaceAll(name, "-", "_")] = file
		}
		return err
	})
	if err != nil {
		i.t.Fatal(err)
	}
	return files
}

type modules struct {
	*Image
	files map[string]string
	done  map[string]bool
}

func (m *modules) add(name string) {
	m.t.Helper()
	if m.done[name] {
		return
	}
	file := m.files[name]
	if file == "" {
		m.t.Fatalf("the kernel in %s has no module %s", kernelRoot(), name)
	}
	data := m.read(file)
	for _, need := range m.depends(name, data) {
		m.add(need)
	}
	m.File(fmt.Sprintf("modules/%03d-%s.ko", len(m.done), name), 0o644, data)
	m.done[name] = true
}

// depends reads what modpost wrote into the module's .modinfo section, which
// is what depmod reads, too.
func (m *modules) depends(name string, data []byte) []string {
	m.t.Helper()
	file, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		m.t.Fatalf("module %s: %v", name, err)
	}
	section := file.Section(".modinfo")
	if section == nil {
		m.t.Fatalf("module %s has no .modinfo", name)
	}
	info, err := section.Data()
	if err != nil {
		m.t.Fatalf("module %s: %v", name, err)
	}
	for entry := range strings.SplitSeq(string(info), "\x00") {
		if list, ok := strings.CutPrefix(entry, "depends="); ok && list != "" {
			return strings.Split(strings.ReplaceAll(list, "-", "_"), ",")
		}
	}
	return nil
}
