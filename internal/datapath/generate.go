package datapath

// Regenerating needs Debian 12's clang 14, llvm and libbpf-dev; building does
// not: the object is committed, and `make generate-check` holds it to its source.

//go:generate go run ../reason/cheader bpf/reasons.h
//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -cflags "-O2 -g -fno-strict-aliasing -Wall -Wextra -Werror -Wno-unused-parameter -I/usr/include/x86_64-linux-gnu" -no-global-types -target bpfel -type nic_rules -type nic_state -type set_key -type set6_key -type local_key -type local -type share_key -type share -type punt -type sample -type exchange -type answer4 -type answer6 -type arp_answers -type nd_answers berth bpf/berth.c
