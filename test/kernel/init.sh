#!/bin/busybox sh
# The machine's whole life: the test binaries, and one NIC of the built berthd
# beside them. It prints what it sees; the test reads the console.
B=/bin/busybox
export PATH=/bin HOME=/tmp BERTH_SLOW=5
$B mount -t proc proc /proc
$B mount -t sysfs sys /sys
$B mount -t devtmpfs dev /dev
$B mount -t tmpfs -o mode=755 run /run
$B mount -t tmpfs tmp /tmp
$B mount -t bpf bpf /sys/fs/bpf
for m in /modules/*.ko; do $B insmod "$m" || echo "BROKEN $m"; done
echo "KERNEL $($B uname -r)"

suite() { # NAME FLAG...: runs a test binary where its testdata is
	cd "/tests/$1"
	echo "BEGIN $1"
	name=$1
	shift
	"./$name" -test.v -test.timeout=1800s "$@" 2>&1
	echo "EXIT $name $?"
}
(
	suite hostroute
	suite lock
	suite link -test.skip=TestKernelStorm
	/story.sh
) >/tmp/beside 2>&1 &
suite datapath -test.skip='^(TestInterrupted.*|TestKilledAnywhere|TestKilledInTakeover|TestReplacementUnderTraffic|TestKernelGenerated|TestKernelTruncation|TestKernelBitFlips)$' \
	-frames=5000 -dialogues=10000 -soak=5000 -kills=2 -load=2000
wait
$B cat /tmp/beside
$B dmesg | $B grep -E 'BUG:|WARNING:|Oops|Call Trace' | $B sed 's/^/BROKEN /'
echo "END"
$B poweroff -f
