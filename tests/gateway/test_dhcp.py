"""What a phone is told when it joins, by the dnsmasq settings of `gateway init` and through the agent's rules."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bawaba.gateway import init
from tests import needs
from tests.lab import GATEWAY4, Lab, eventually

pytestmark = pytest.mark.netns
CLIENT = Path(__file__).with_name("dhcp_client.py")


def test_a_phone_gets_an_address_our_dns_the_portals_name_and_option_114():
    needs.require("netns")
    wanted = init.Wanted(lan="lan", wan="wan", lan_address=f"{GATEWAY4}/24", portal_url="https://wifi.example.org")
    with Lab(guests=1) as lab:
        lab.start_agent()
        config = next(text for name, text in init.files(wanted).items() if str(name).endswith("dnsmasq.conf"))
        written = lab.folder / "dnsmasq.conf"
        written.write_text(config.replace("/var/lib/bawaba-gateway/leases", str(lab.folder / "leases")))
        command = ["dnsmasq", "--keep-in-foreground", f"--conf-file={written}", f"--pid-file={lab.folder}/pid"]
        lab.gateway.popen(*command, "--user=root", stderr=subprocess.DEVNULL)
        guest = lab.guests[0]
        eventually(lambda: ":67" in lab.gateway.run("ss", "-lun"))
        told = json.loads(guest.run(sys.executable, str(CLIENT), guest.mac))

    options = told["options"]
    assert told["address"].startswith("10.77.0.")
    assert socket.inet_ntoa(bytes.fromhex(options["3"])) == GATEWAY4
    assert socket.inet_ntoa(bytes.fromhex(options["6"])) == GATEWAY4
    assert bytes.fromhex(options["114"]).decode() == "https://wifi.example.org/capport/api"
