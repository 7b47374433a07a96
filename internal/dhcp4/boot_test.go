package dhcp4

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/nic"
)

func netboot(b *nic.Binding) {
	b.DHCP4.Boot = nic.Boot{NextServer: ip("192.0.2.5"), ServerName: "pxe", File: "pxelinux.0"}
	b.DHCP4.BootArch = map[uint16]nic.Boot{
		7:  {NextServer: ip("192.0.2.6"), File: "grubx64.efi"},
		16: {File: "http://192.0.2.7/boot.efi"},
	}
	b.DHCP4.BootIPXE = nic.Boot{File: "http://192.0.2.8/menu.ipxe"}
}

func text(s string) string { return hex.EncodeToString([]byte(s)) }

// siaddr, sname and file by architecture and user class; options 66 and 67
// when asked for (V4-29, R59).
func TestBoot(t *testing.T) {
	head := isOffer + serverID + lease1d
	bios := packet{siaddr: "192.0.2.5", sname: text("pxe"), file: text("pxelinux.0")}
	efi := packet{siaddr: "192.0.2.6", file: text("grubx64.efi")}
	script := packet{file: text("http://192.0.2.8/menu.ipxe")}
	for name, c := range map[string]struct {
		ask     string
		want    packet
		options string
	}{
		"plain client":              {"", bios, ""},
		"BIOS":                      {"5d020000", bios, ""},
		"EFI":                       {"5d020007", efi, ""},
		"EFI as second choice":      {"5d0400090007", efi, ""},
		"options 66 and 67 asked":   {"37024342", bios, "430a" + text("pxelinux.0") + "4203" + text("pxe")},
		"no server name for option": {"5d020007 37024243", efi, "430b" + text("grubx64.efi")},
		"iPXE, bare":                {"4d04" + text("iPXE"), script, ""},
		"iPXE, RFC 3004":            {"4d0504" + text("iPXE"), script, ""},
		"iPXE, second class":        {"4d0a04" + text("test") + "04" + text("iPXE"), script, ""},
		"iPXE before architecture":  {"5d020007 4d04" + text("iPXE"), script, ""},
		"longer class":              {"4d0604" + text("iPXE") + "00", script, ""},
		"another class":             {"4d05" + text("iPXE2"), bios, ""},
		"another counted class":     {"4d0403" + text("PXE"), bios, ""},
		"class that overruns":       {"4d0509" + text("iPXE"), bios, ""},
		"UEFI HTTP": {
			"5d020010 3c0a" + text("HTTPClient"),
			packet{file: text("http://192.0.2.7/boot.efi")},
			"3c0a" + text("HTTPClient"),
		},
		"UEFI HTTP with architecture": {
			"5d020010 37023c43 3c15" + text("HTTPClient:Arch:00016"),
			packet{file: text("http://192.0.2.7/boot.efi")},
			"3c0a" + text("HTTPClient") + "4319" + text("http://192.0.2.7/boot.efi"),
		},
		"PXEClient is not answered as proxy": {"3c20" + text("PXEClient:Arch:00000:UNDI:002001") + "37013c", bios, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.yiaddr, c.want.options = "192.0.2.10", head+c.options
			got := Answer(server(quiet(netboot)), asks(t, packet{options: "350101" + c.ask}))
			check(t, answered("DISCOVER", "OFFER", "192.0.2.10", replies(t, guestMAC(), "192.0.2.10", c.want)), got)
		})
	}
}

func TestBootInformationOfAckInformAndNak(t *testing.T) {
	s := server(quiet(netboot))
	boot := packet{siaddr: "192.0.2.5", sname: text("pxe"), file: text("pxelinux.0")}

	want := boot
	want.yiaddr, want.options = "192.0.2.10", isAck+serverID+lease1d
	check(t, answered("REQUEST", "ACK", "192.0.2.10", replies(t, guestMAC(), "192.0.2.10", want)),
		Answer(s, asks(t, packet{options: "350103 3204c000020a"})))

	want = boot
	want.ciaddr, want.options = "192.0.2.10", isAck+serverID
	check(t, answered("INFORM", "ACK", "192.0.2.10", replies(t, guestMAC(), "192.0.2.10", want)),
		Answer(s, asks(t, packet{options: "350108", ciaddr: "192.0.2.10"})))

	check(t, nakked("192.0.2.99", packet{options: isNak + serverID + refused})(t),
		Answer(s, asks(t, packet{options: "350103 3204c0000263"})))
}

func TestHTTPClientWithoutBootFile(t *testing.T) {
	got := Answer(server(quiet()), asks(t, packet{options: "350101 3c0a" + text("HTTPClient")}))
	wantOptions(t, isOffer+serverID+lease1d, got)
}

func TestOwnOptionsWinOverBoot(t *testing.T) {
	b := quiet(netboot, own(67, text("other")), own(60, text("mine")))
	got := Answer(server(b), asks(t, packet{options: "350101 3702433c"}))
	wantOptions(t, isOffer+serverID+lease1d+"4305"+text("other")+"3c04"+text("mine"), got)
}

// Names that fill their fields keep the final NUL; longer ones are left to
// the options instead of being cut.
func TestBootNamesFillTheFields(t *testing.T) {
	for _, c := range []struct {
		sname, file         int
		wantSName, wantFile string
	}{
		{63, 127, strings.Repeat("73", 63), strings.Repeat("66", 127)},
		{64, 128, "", ""},
	} {
		b := quiet(func(b *nic.Binding) {
			b.DHCP4.Boot = nic.Boot{ServerName: strings.Repeat("s", c.sname), File: strings.Repeat("f", c.file)}
		})
		got := Answer(server(b), asks(t, packet{options: "350101 37024243 390205dc"}))
		want := packet{
			yiaddr: "192.0.2.10", sname: c.wantSName, file: c.wantFile,
			options: isOffer + serverID + lease1d +
				withLength("42", strings.Repeat("73", c.sname)) + withLength("43", strings.Repeat("66", c.file)),
		}
		check(t, answered("DISCOVER", "OFFER", "192.0.2.10", replies(t, guestMAC(), "192.0.2.10", want)), got)
	}
}
