package statichcpd

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const needed = "[statichcpd]\ndhcp_db_filename = /db\nserved_interface_regex = ^tap\n"

func parse(text ...string) (Config, string, string) {
	names := []string{"a.conf", "b.conf"}
	var files []File
	for i, s := range text {
		files = append(files, File{names[i], []byte(s)})
	}
	cfg, errs, warnings := ParseConfig(files)
	return cfg, printAll(errs), printAll(warnings)
}

// Every key, set to something else than its default.
func TestConfigKeys(t *testing.T) {
	cfg, errs, warnings := parse(needed + `# a comment
; another
DHCP_RATELIMIT: 7
default_lease_time = 700
max_lease_time = 7000
use_mac_as_client_duid = TRUE
disable_ia_id = 1
default_renew_time = 100
default_rebind_time = 200
default_pref_lifetime = 300
default_valid_lifetime = 400
additional_attributes_file = /v4.csv
additional_v6attributes_file = /v6.csv
`)
	if errs != "" || warnings != "" {
		t.Fatalf("%s\n%s", errs, warnings)
	}
	if cfg.Interfaces.String() != "^tap" {
		t.Errorf("interfaces %s", cfg.Interfaces)
	}
	cfg.Interfaces = nil
	want := Config{
		Database: "/db", RateLimit: 7, Lease: 700, MaxLease: 7000, UseMACAsDUID: true, DisableIAID: true,
		T1: 100, T2: 200, Preferred: 300, Valid: 400, AttributeFile: "/v4.csv", AttributeFile6: "/v6.csv",
	}
	if d := cmp.Diff(want, cfg); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// What is not said is as in the code of statichcpd.
func TestConfigDefaults(t *testing.T) {
	cfg, errs, _ := parse(needed)
	want := Config{Database: "/db", RateLimit: 1000, Lease: 600, MaxLease: 7200, T1: 1000, T2: 2000, Preferred: 3000, Valid: 4000}
	cfg.Interfaces = nil
	if d := cmp.Diff(want, cfg); d != "" || errs != "" {
		t.Errorf("%s (-want +got):\n%s", errs, d)
	}
}

// Later files win, and [statichcpd] wins over [DEFAULT]; values go on in
// indented lines and have %% for %.
func TestConfigFiles(t *testing.T) {
	cfg, errs, warnings := parse("[DEFAULT]\ndhcp_ratelimit = 1\ndefault_lease_time = 100\n"+needed, "\ufeff[statichcpd]\r\ndhcp_ratelimit = 9\r\nserved_interface_regex = ^%%\r\n   x\r\n[other]\nkey = value\n")
	if errs != "" || warnings != "" {
		t.Fatalf("%s\n%s", errs, warnings)
	}
	if cfg.RateLimit != 9 || cfg.Lease != 100 || cfg.Interfaces.String() != "^%\nx" {
		t.Errorf("%+v %q", cfg, cfg.Interfaces.String())
	}
}

func TestConfigProblems(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "a.conf: has no section [statichcpd]"},
		{"key = value", `a.conf:1:1: stands before the first section, such as [statichcpd]`},
		{"[statichcpd", `a.conf:1:1: not a section such as [statichcpd]`},
		{needed + "what", `a.conf:4:1: neither a section, nor key = value, nor a comment`},
		{needed + "dhcp_db_filename = /x", `a.conf:4:1: dhcp_db_filename "/x": given twice in this file, first in line 2`},
		{"[statichcpd]\ndhcp_db_filename = /x", "a.conf: served_interface_regex: missing: statichcpd has no default for it"},
		{"[statichcpd]\nserved_interface_regex = x", "a.conf: dhcp_db_filename: missing: statichcpd has no default for it"},
		{"[statichcpd]\ndhcp_db_filename =\nserved_interface_regex = x", "a.conf:2:1: dhcp_db_filename: has no value"},
		{"[statichcpd]\ndhcp_db_filename = x\nserved_interface_regex = (?=x)", "a.conf:3:1: served_interface_regex \"(?=x)\": cannot be used here: error parsing regexp: invalid or unsupported Perl syntax: `(?=`"},
		{needed + "dhcp_ratelimit = 0", `a.conf:4:1: dhcp_ratelimit "0": must be a number from 1 to 1000000`},
		{needed + "default_lease_time = 59", `a.conf:4:1: default_lease_time "59": must be a number from 60 to 4294967295`},
		{needed + "max_lease_time = long", `a.conf:4:1: max_lease_time "long": must be a number from 60 to 4294967295`},
		{needed + "default_renew_time = 0", `a.conf:4:1: default_renew_time "0": must be a number from 1 to 4294967295`},
		{needed + "default_rebind_time = -1", `a.conf:4:1: default_rebind_time "-1": must be a number from 1 to 4294967295`},
		{needed + "default_pref_lifetime = x", `a.conf:4:1: default_pref_lifetime "x": must be a number from 1 to 4294967295`},
		{needed + "default_valid_lifetime =", `a.conf:4:1: default_valid_lifetime: must be a number from 1 to 4294967295`},
		{needed + "additional_attributes_file =", `a.conf:4:1: additional_attributes_file: has no value`},
		{needed + "additional_v6attributes_file =", `a.conf:4:1: additional_v6attributes_file: has no value`},
		{needed + "additional_attributes_file = %(dir)s/x", `a.conf:4:1: additional_attributes_file "%(dir)s/x": a % is written %%; references such as %(key)s are not followed`},
	} {
		_, errs, _ := parse(c.text)
		if !strings.HasPrefix(errs+"\n", c.want+"\n") {
			t.Errorf("%q: %s\nwant %s", c.text, errs, c.want)
		}
	}
}

func TestConfigWarnings(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"disable_routing_with_udpsock = false", `a.conf:4:1: disable_routing_with_udpsock "false": has no effect: every answer goes into the NIC it belongs to, or to the relay`},
		{"disable_routing_with_rawsock = True", `a.conf:4:1: disable_routing_with_rawsock "True": has no effect: every answer goes into the NIC it belongs to, or to the relay`},
		{"use_mac_as_client_duid = yes", `a.conf:4:1: use_mac_as_client_duid "yes": taken as false: only true and 1 are true`},
		{"disable_ia_id = on", `a.conf:4:1: disable_ia_id "on": taken as false: only true and 1 are true`},
		{"colour = red", `a.conf:4:1: colour "red": not a key of statichcpd`},
		{"default_lease_time = 9000", `a.conf: max_lease_time "7200": shorter than default_lease_time, taken as 9000`},
		{"default_pref_lifetime = 5000", `a.conf: default_pref_lifetime: preferred lifetime 5000 is longer than the valid lifetime, taken as 4000`},
		{"default_renew_time = 2500", `a.conf: default_renew_time: T1 2500 and T2 2000 do not stand in order below the preferred lifetime 3000, taken as 1500 and 2400`},
	} {
		cfg, errs, warnings := parse(needed + c.text)
		if errs != "" || warnings != c.want {
			t.Errorf("%q: %s%s\nwant %s", c.text, errs, warnings, c.want)
		}
		if cfg.UseMACAsDUID || cfg.DisableIAID {
			t.Errorf("%q is true", c.text)
		}
	}
}
