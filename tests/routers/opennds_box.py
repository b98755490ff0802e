"""Debian's own openNDS on the gateway of the lab, in a box: mounts and processes of its own, for it edits /etc/hosts,
keeps files in /tmp and ends programs by their names."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.lab import MANAGER4, PORTAL_PORT, Lab, eventually

FASKEY = "0123456789abcdef0123456789abcdef"
CHECK_S = 2  # checkinterval: how often it looks at quotas and clocks
SETTINGS = f"""\
gatewayinterface lan
gatewayname Roof
fasport {PORTAL_PORT}
fasremoteip {MANAGER4}
faspath /
faskey {FASKEY}
fas_secure_enabled 1
checkinterval {CHECK_S}
allow_preemptive_authentication 1
sessiontimeout 0
authidletimeout 0
binauth /usr/lib/opennds/binauth_log.sh
FirewallRuleSet users-to-router {{
    FirewallRule allow udp port 53
    FirewallRule allow tcp port 53
    FirewallRule allow udp port 67
}}
"""
SSHD = """\
Port 22
ListenAddress 172.30.0.1
HostKey /mnt/host_key
AuthorizedKeysFile /mnt/guest_list
PidFile none
PasswordAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
"""
SERVICE = """\
#!/bin/sh
# restart, as the service of a router does it
for old in $(pidof opennds); do kill "$old"; done
for i in 1 2 3 4 5 6 7 8 9 10; do pidof opennds >/dev/null || break; sleep 0.2; done
for old in $(pidof opennds); do kill -9 "$old"; done
rm -f /tmp/ndsctl.sock /tmp/ndsctl.lock
setsid /usr/bin/opennds -f -c /etc/opennds/opennds.conf >>/mnt/opennds.log 2>&1 </dev/null &
"""
BOX = """\
set -e
mount --make-rprivate /
mount --bind {folder} /mnt
mount -t tmpfs none /tmp
mount -t tmpfs none /run
cp /mnt/leases /tmp/dhcp.leases
mount --bind /mnt/hosts /etc/hosts
mount --bind /mnt/etc /etc/opennds
mount --bind /mnt/init.d /etc/init.d
# Its chains at priority -100 take no rules from iptables-nft; with iptables-legacy it would count no uploads.
sed "s/priority -100/priority 0/" /usr/lib/opennds/libopennds.sh >/mnt/libopennds.sh
chmod 755 /mnt/libopennds.sh
mount --bind /mnt/libopennds.sh /usr/lib/opennds/libopennds.sh
mkdir -p /run/sshd
[ ! -e /mnt/sshd_config ] || /usr/sbin/sshd -f /mnt/sshd_config
/etc/init.d/opennds restart
exec sleep infinity
"""


MASQUERADE = """\
add table ip owners_nat
add chain ip owners_nat out { type nat hook postrouting priority 100; }
add rule ip owners_nat out oifname wan masquerade
"""


class OpenNdsBox:
    """The daemon and a shell beside it. `folder` is seen as /mnt inside."""

    def __init__(self, lab: Lab, settings: str = SETTINGS) -> None:
        self.lab = lab
        self.folder = lab.folder / "opennds"
        self.bin = self.folder / "path"
        self._box: subprocess.Popen[str] | None = None
        for folder in ("etc", "init.d", "path"):
            (self.folder / folder).mkdir(parents=True)
        self._write("hosts", "127.0.0.1 localhost\n")
        self._write("etc/opennds.conf", settings)
        self._write("leases", "".join(f"4102444800 {guest.mac} {guest.ip4} phone *\n" for guest in lab.guests))
        self._write("box.sh", BOX.format(folder=self.folder))
        self._write("init.d/opennds", SERVICE).chmod(0o755)

    @property
    def is_on(self) -> bool:
        """Whether the box is switched on."""
        return self._box is not None

    def let_in_by_ssh(self) -> tuple[Path, str]:
        """Run an SSH server beside it from the next start on: the private key that it takes, and its own public key."""
        for name in ("host_key", "key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)], check=True)
        self._write("guest_list", (self.folder / "key.pub").read_text())
        self._write("sshd_config", SSHD)
        kind, key, *_ = (self.folder / "host_key.pub").read_text().split()
        return self.folder / "key", f"{kind} {key}"

    def start(self) -> None:
        """Switch it on, and wait until it answers."""
        self.lab.nft(MASQUERADE)
        self._box = self.lab.gateway.popen(
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "/bin/sh",
            str(self.folder / "box.sh"),
        )
        eventually(lambda: self._first() != "", self.log)
        shell = f'#!/bin/sh\nexec {" ".join(self._inside())} /bin/sh "$@"\n'
        self._write("path/sh", shell).chmod(0o755)
        self.wait()

    def wait(self) -> None:
        """Until it answers."""
        eventually(lambda: "openNDS Status" in self.sh("ndsctl status"), self.log, 20)
        for guest in self.lab.guests:
            guest.run("ping", "-c", "1", "-W", "1", "10.77.0.1", check=False)

    def sh(self, script: str) -> str:
        """Run a script beside it."""
        done = subprocess.run([*self._inside(), "sh", "-c", script], capture_output=True, text=True, timeout=30)
        return done.stdout

    def restart(self) -> None:
        """End it and start it again."""
        self.sh("/etc/init.d/opennds restart")
        self.wait()

    def stop(self) -> None:
        """Switch the whole box off."""
        if self._box is not None:
            self.lab.gateway.kill(self._box)
            self._box = None
            self.lab.nft("flush", "ruleset")

    def log(self) -> str:
        """What it wrote last."""
        path = self.folder / "opennds.log"
        return path.read_text(errors="replace")[-2000:] if path.exists() else "nothing"

    def _first(self) -> str:
        """The number of the box's first process, as the machine sees it."""
        assert self._box is not None
        children = Path(f"/proc/{self._box.pid}/task/{self._box.pid}/children")
        return children.read_text().strip() if children.exists() else ""

    def _inside(self) -> list[str]:
        return ["nsenter", "-t", self._first(), "-m", "-n", "-p", "env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]

    def _write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path
