"""A phone that asks for an address: prints the offer's options as JSON (RFC 2131). Run inside a namespace."""

from __future__ import annotations

import json
import socket
import struct
import sys

MAGIC = b"\x63\x82\x53\x63"


def main() -> None:
    """`dhcp_client.py MAC`"""
    mac = bytes.fromhex(sys.argv[1].replace(":", ""))
    asked = struct.pack("!BBBBIHH4s4s4s4s16s64s128s", 1, 1, 6, 0, 7, 0, 0x8000, *[bytes(4)] * 4, mac, b"", b"")
    asked += MAGIC + bytes([53, 1, 1, 55, 4, 1, 3, 6, 114, 255])  # a DISCOVER that asks for 114 too
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talk:
        talk.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        talk.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        talk.bind(("", 68))
        talk.settimeout(8)
        talk.sendto(asked, ("255.255.255.255", 67))
        offer = talk.recv(2048)
    options, at = {}, 240
    while offer[at] != 255:
        options[offer[at]] = offer[at + 2 : at + 2 + offer[at + 1]].hex()
        at += 2 + offer[at + 1]
    sys.stdout.write(json.dumps({"address": socket.inet_ntoa(offer[16:20]), "options": options}))


if __name__ == "__main__":
    main()
