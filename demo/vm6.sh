#!/bin/sh
# What dhclient and dhcpcd call for IPv6. Writes down beside this file what the
# client was given; dhcpcd sets its address itself, dhclient leaves that to
# its script. Prefix, router and MTU are the router advertisement's.
record=${0%.sh}.lease
case $reason in
BOUND6 | RENEW6 | REBIND6) ;;
EXPIRE6 | RELEASE6 | STOP6)
	rm -f "$record"
	exit 0
	;;
*) exit 0 ;;
esac

[ -z "$new_ip6_address" ] || ip -6 address replace "$new_ip6_address/128" dev eth0
cat >"$record.new" <<END
address=${new_ip6_address:-$new_dhcp6_ia_na1_ia_addr1}
dns=$new_dhcp6_name_servers
duid=$new_dhcp6_server_id
lease=${new_max_life:-$new_dhcp6_ia_na1_ia_addr1_vltime}
END
mv "$record.new" "$record"
