#!/bin/sh
# What dhclient -6 calls in the guest: sets the address and notes what was given.
[ "$reason" = BOUND6 ] || exit 0
/bin/ip -6 address add "$new_ip6_address/128" dev "$interface"
echo "LEASE6 ip=$new_ip6_address/$new_ip6_prefixlen dns=$new_dhcp6_name_servers preferred=$new_preferred_life valid=$new_max_life" >/bound6
