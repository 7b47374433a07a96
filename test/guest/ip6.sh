# The guest's life in IPv6, read by init.sh. Its kernel is a host of today:
# stable-privacy addresses (RFC 7217) and temporary ones (RFC 8981).
far=2001:db8:ff::1 # a host behind the gateway

begin6() { # before the link is up
	echo 3 >/proc/sys/net/ipv6/conf/eth0/addr_gen_mode
	echo 2 >/proc/sys/net/ipv6/conf/eth0/use_tempaddr
}
show6() { /bin/ip -o -6 address show dev eth0 "$@"; }
until6() { # COMMAND...: waits for it to succeed
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		"$@" && return
		$B sleep 0.5
	done
}
of() { $B awk '{sub("/.*", "", $4); print $4; exit}'; } # the first address
tell6() { # WHEN: how the addresses stand, flags first
	show6 | $B awk -v when="$1" '{a = $4; $1 = $2 = $3 = $4 = ""; sub(/\\.*/, ""); print "ADDRESS", when, $0, a}' |
		$B sed 's/  */ /g' | $B sort
}
reach6() { try "$1" $B ping6 -c 1 -W "${3:-3}" -I "$2" "$far"; } # NAME SOURCE [SECONDS]

configured() { show6 scope global temporary -tentative | $B grep -q . && show6 scope link -tentative | $B grep -q .; }
lease6() {
	until6 configured
	dhclient -6 -1 -cf /dev/null -lf /tmp/leases6 -pf /tmp/pid6 -sf /dhcp6.sh eth0 >/dev/console 2>/dev/null
}

ip6_life() {
	until6 [ -s /bound6 ] && $B cat /bound6
	own_alone() { ! show6 tentative | $B grep -q .; }
	until6 own_alone
	tell6 bound
	echo "ROUTE $(/bin/ip -6 route show default | $B cut -d ' ' -f 1-7)"
	temporary=$(show6 scope global temporary | of)
	stable=$(show6 scope global mngtmpaddr | of)
	reach6 temporary "$temporary"
	reach6 stable-privacy "$stable"
	reach6 given 2001:db8:1::10
	try link-local $B ping6 -c 1 -W 3 -I eth0 fe80::1
	chosen() { /bin/ip -6 route get $far | $B grep -q "src $temporary "; }
	try prefers-temporary chosen

	# Another's address and the gateway's: nobody is heard to object, and nobody hears.
	/bin/ip -6 address add 2001:db8:1::66/128 dev eth0
	/bin/ip -6 address add fe80::1/128 dev eth0
	until6 own_alone
	/bin/ip -6 address del fe80::1/128 dev eth0
	reach6 foreign-address6 2001:db8:1::66 1
	/bin/ip -6 address del 2001:db8:1::66/128 dev eth0

	echo "CHANGE" # the prefix is taken from the NIC
	deprecated() { [ "$(show6 scope global deprecated | $B wc -l)" = 2 ]; }
	until6 deprecated
	tell6 withdrawn
	reach6 withdrawn-address "$temporary" 1
	try given-again $B ping6 -c 1 -W 3 $far
}
