"""What can be wrong on this machine: folder, key, disk, clock, port, address, certificate, proxies."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import stat
import urllib.error
import urllib.request
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from bawaba.core.clock import is_synchronised
from bawaba.core.config import Config
from bawaba.core.keyring import KeyFileError, Keyring
from bawaba.diagnostics.finding import BAD, GOOD, WARN, Finding
from bawaba.web.language import size, span
from bawaba.web.language import translate as _

LEAST_FREE_BYTES = 1 << 30
NO_ROOM_BYTES = 200 << 20
ANSWER_S = 3.0
CERTIFICATE_DAYS = 14
CERTIFICATE_FORM = "%b %d %H:%M:%S %Y GMT"  # OpenSSL's


def folder(config: Config) -> Finding:
    """The data folder: there, ours, and nobody else's to read."""
    path, title = config.data_dir, _("Data folder")
    if not path.is_dir():
        how = _("Set BAWABA_DATA_DIR to the folder that Bawaba was started with.")
        return Finding("data_folder", BAD, title, _("%(path)s is not there.", path=path), how)
    if not os.access(path, os.W_OK | os.X_OK):
        how = _("Give it to the user that Bawaba runs as: chown -R bawaba: %(path)s", path=path)
        return Finding("data_folder", BAD, title, _("%(path)s can't be written to.", path=path), how)
    if path.stat().st_mode & 0o007:
        how = _("Shut it: chmod 700 %(path)s", path=path)
        return Finding("data_folder", WARN, title, _("Anybody on this machine may look into %(path)s.", path=path), how)
    return Finding("data_folder", GOOD, title, str(path))


def disk(config: Config) -> Finding:
    """Room for the database, its log, cards and backups."""
    title = _("Free space")
    try:
        free = shutil.disk_usage(config.data_dir).free
    except OSError as error:
        return Finding("disk", BAD, title, str(error.strerror), "")
    level = BAD if free < NO_ROOM_BYTES else WARN if free < LEAST_FREE_BYTES else GOOD
    how = _("Make room: old backups and logs first. Without any, no card can be sold or redeemed.")
    return Finding("disk", level, title, _("%(free)s free", free=size(free)), how if level != GOOD else "")


def key_file(config: Config, fingerprint: str | None) -> Finding:
    """The key file: there, shut, and the one that the database (`fingerprint`) was made with."""
    path, title = config.key_path, _("Key file")
    if not path.exists():
        how = _("Put it back from your safe copy: without it, cards can't be printed again nor routers reached.")
        return Finding("key_file", BAD, title, _("%(path)s is not there.", path=path), how)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        how = _("Shut it: chmod 600 %(path)s", path=path)
        return Finding("key_file", BAD, title, _("%(path)s can be read by others.", path=path), how)
    try:
        found = Keyring.open(path).fingerprint
    except (KeyFileError, OSError) as error:
        return Finding("key_file", BAD, title, str(error), _("Put it back from your safe copy."))
    if fingerprint is not None and found != fingerprint:
        how = _("Put the right one back from your safe copy.")
        return Finding("key_file", BAD, title, _("It is not the one that this database was made with."), how)
    return Finding("key_file", GOOD, title, _("It opens the database's secrets."))


def clock(jump_s: float) -> Finding:
    """The machine's clock: kept by the network, and not moved under us."""
    title = _("Clock")
    how = _("Let the network keep it: timedatectl set-ntp true")
    if abs(jump_s) > 60:
        moved = _("It was moved by %(span)s since Bawaba started; cards go on by steady time.", span=span(abs(jump_s)))
        return Finding("clock", WARN, title, moved, how)
    if not is_synchronised():
        return Finding("clock", WARN, title, _("The network does not keep it."), how)
    return Finding("clock", GOOD, title, _("The network keeps it."))


def public_address(config: Config) -> list[Finding]:
    """The address that guests and QR codes use, and its certificate where it has one."""
    title, url = _("Address for guests"), config.portal_url
    if config.is_portal_out_of_reach:
        how = _("Set BAWABA_PUBLIC_URL to what guests type, like http://login.wifi")
        return [Finding("public_url", WARN, title, _("No phone can open %(url)s.", url=url), how)]
    if (why := _unreachable(url)) is not None:
        how = _("Look at its name (DNS), at the proxy in front and at the firewall. Some names hold for guests only.")
        found = Finding(
            "public_url", WARN, title, _("%(url)s did not answer from here: %(why)s", url=url, why=why), how
        )
        return [found, *_certificate(url)]
    return [Finding("public_url", GOOD, title, url), *_certificate(url)]


def _unreachable(url: str) -> str | None:
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=ANSWER_S):
            return None
    except urllib.error.URLError as error:
        return str(error.reason)
    except (OSError, ValueError) as error:
        return str(error)


def _certificate(url: str) -> list[Finding]:
    parts, title = urlsplit(url), _("Certificate")
    if parts.scheme != "https" or parts.hostname is None:
        return []
    try:
        way = (parts.hostname, parts.port or 443)
        trust = ssl.create_default_context()
        with (
            socket.create_connection(way, ANSWER_S) as plain,
            trust.wrap_socket(plain, server_hostname=parts.hostname) as safe,
        ):
            until = str((safe.getpeercert() or {})["notAfter"])
    except (OSError, KeyError) as error:
        how = _("Phones refuse a certificate that is wrong or over: renew it.")
        return [Finding("certificate", BAD, title, str(error), how)]
    left = datetime.strptime(until, CERTIFICATE_FORM).replace(tzinfo=UTC) - datetime.now(UTC)
    soon = left.days < CERTIFICATE_DAYS
    fact = _("Good for another %(span)s.", span=span(left.total_seconds()))
    return [Finding("certificate", WARN if soon else GOOD, title, fact, _("Renew it before it ends.") if soon else "")]


def port(config: Config) -> Finding:
    """Who answers on our port: we, nobody, or somebody else."""
    title = _("Server")
    host = "127.0.0.1" if config.host in ("", "0.0.0.0", "::") else config.host
    where = f"[{host}]:{config.port}" if ":" in host else f"{host}:{config.port}"
    try:
        with socket.create_connection((host, config.port), ANSWER_S):
            pass
    except OSError:
        how = _("Start it: systemctl start bawaba, or bawaba serve")
        return Finding(
            "server", WARN, title, _("Nothing answers on %(where)s: Bawaba is not running.", where=where), how
        )
    try:
        with urllib.request.urlopen(f"http://{where}/healthz", timeout=ANSWER_S) as answer:
            if answer.headers.get("X-Request-ID"):
                return Finding("server", GOOD, title, _("It answers on %(where)s.", where=where))
    except (OSError, ValueError):
        pass  # somebody answers who is not us: said below
    how = _("Stop that program, or choose another port with BAWABA_PORT.")
    return Finding("server", BAD, title, _("Another program has %(where)s.", where=where), how)


def proxies(config: Config) -> Finding:
    """Whom we believe when they say who the client is."""
    title, trusted = _("Proxies"), config.trusted_proxies
    if any(ip_network(one, strict=False).prefixlen == 0 for one in trusted):
        how = _("Name only your own proxy in BAWABA_TRUSTED_PROXIES.")
        return Finding("proxies", BAD, title, _("Anybody may say that they are somebody else."), how)
    if not trusted and config.public_url.startswith("https://"):
        how = _("Name the proxy that speaks https in BAWABA_TRUSTED_PROXIES, or all guests count as one device.")
        return Finding("proxies", WARN, title, _("No proxy is trusted, and yet the address is https."), how)
    return Finding("proxies", GOOD, title, ", ".join(trusted) or _("None in front."))


def gateway(config: Config, root: Path = Path("/")) -> Finding | None:
    """dnsmasq's file on a gateway of ours: does it tell phones of the portal (option 114)? None where there is none."""
    path = root / "etc/bawaba/dnsmasq.conf"
    title = _("Captive portal by DHCP")
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        return Finding("option_114", WARN, title, f"{path}: {error.strerror}", _("Run it as root."))
    told = "dhcp-option-force=114," in text
    if config.public_url.startswith("https://") and not told:
        how = _("Write the gateway's files anew: bawaba gateway init")
        return Finding("option_114", WARN, title, _("dnsmasq does not tell phones of the portal."), how)
    return Finding("option_114", GOOD, title, _("Phones are told.") if told else _("Only told over https."))
