#!/bin/sh
# One NIC on a host with the built programs: vm1 is the host's end of a veth
# whose other end, in a namespace, is the guest's.
B=/bin/busybox

in_guest() { ip netns exec guest "$@"; }
try() { # NAME COMMAND...: prints whether it succeeded
	name=$1
	shift
	if "$@" >/dev/null 2>&1; then echo "TRY $name yes"; else echo "TRY $name no"; fi
}
foreign() { # NAME: the guest speaks from another's address
	in_guest ip address add 192.0.2.66/24 dev eth0
	try "$1" ip netns exec guest $B ping -c 1 -W 2 -I 192.0.2.66 192.0.2.1
	in_guest ip address del 192.0.2.66/24 dev eth0
}
ping_own() { # PING FLAG...: an emulated machine that is busy may lose one
	in_guest $B "$@" || in_guest $B "$@" || in_guest $B "$@"
}
own() { try "$1" ping_own ping -c 1 -W 5 192.0.2.1; }
foreign6() { # NAME: the same in IPv6
	in_guest ip address add 2001:db8:1::66/64 dev eth0 nodad
	try "$1" ip netns exec guest $B ping6 -c 1 -W 2 -I 2001:db8:1::66 2001:db8:1::1
	in_guest ip address del 2001:db8:1::66/64 dev eth0
}
own6() { # NAME SOURCE
	try "$1" ping_own ping6 -c 1 -W 5 -I "$2" 2001:db8:1::1
}
address6() { ip -n guest -o -6 address show dev eth0 scope global -tentative | $B awk '$4 ~ /^2001:db8:a:/ {sub("/.*", "", $4); print $4}'; }

ip netns add site
ip netns add guest
ip link add br0 up type bridge
ip link add lan0 up master br0 type veth peer name eth0 netns site
ip -n site address add 192.0.2.1/24 dev eth0
ip -n site address add fe80::1/64 dev eth0 nodad
ip -n site address add 2001:db8:1::1/64 dev eth0 nodad
ip -n site link set eth0 up
ip -n site route add 2001:db8:a::/64 dev eth0
ip link add vm1 up master br0 type veth peer name eth0 address 52:54:00:00:00:10 netns guest
ip -n guest link set eth0 up
foreign unguarded
foreign6 unguarded6

berthd -config /etc/berth/berthd.yaml >/tmp/berthd.log 2>&1 &
daemon=$!
# Emulated, it needs a while until it listens.
for i in 1 2 3 4 5 6 7 8 9 10; do
	[ -S /run/berthd.sock ] && break
	$B sleep 1
done
export BERTH_SOCKET=/run/berthd.sock
try in-force berth attach vm1 --wait --timeout 20s
in_guest $B udhcpc -f -n -q -i eth0 -s /dhcp.sh -t 10 -T 2 2>/dev/null
own own-address
foreign foreign-address
for i in 1 2 3 4 5 6 7 8 9 10; do
	[ "$(address6)" ] && break
	$B sleep 1
done
in_guest dhclient -6 -1 -cf /dev/null -lf /tmp/leases6 -pf /tmp/pid6 -sf /dhcp6.sh eth0 2>/dev/null
for i in 1 2 3 4 5 6 7 8 9 10; do
	ip -n guest -6 address show dev eth0 tentative | $B grep -q . || break
	$B sleep 1
done
own6 slaac-address "$(address6)"
own6 given-address 2001:db8:1::10
foreign6 foreign-address6
echo "STATUS $(berth status -o json | $B tr -d '\n')"
echo "NIC $(berth show vm1 -o json | $B tr -d '\n')"
kill $daemon
wait $daemon
echo "BERTHD ended $?"
foreign foreign-address-without-berthd
foreign6 foreign-address6-without-berthd
own own-address-without-berthd
own6 slaac-address-without-berthd "$(address6)"
$B sed 's/^/LOG /' /tmp/berthd.log
