"""The web servers of the lab: `lab_pages.py internet 80` or `lab_pages.py portal 5000`, on IPv4 and IPv6.

`/big/N` sends N bytes, a POST takes any number, `/who` says who asks. The portal keeps connections alive and answers
everything with a redirect to its own page, as captive portals do.
"""

from __future__ import annotations

import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BLOCK = bytes(64 * 1024)


class Pages(BaseHTTPRequestHandler):
    """What is the same for both."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        if self.path == "/who":
            self._answer(200, self.client_address[0].removeprefix("::ffff:").encode())
        elif self.server.role == "portal" and self.path != "/portal":
            self._answer(302, b"", Location=f"http://{self.headers.get('X-Portal', '10.77.0.1')}/portal")
        elif self.path.startswith("/big/"):
            self._big(int(self.path.removeprefix("/big/")))
        elif self.path == "/generate_204":
            self._answer(204, b"")
        else:
            self._answer(200, b"the portal" if self.server.role == "portal" else b"the internet")

    def do_POST(self) -> None:
        left = int(self.headers.get("Content-Length", 0))
        while left > 0:
            block = self.rfile.read(min(left, len(BLOCK)))
            if not block:
                return
            left -= len(block)
        self._answer(200, b"taken")

    def log_message(self, *_: object) -> None:
        """Be quiet."""

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _big(self, count: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(count))
        self.end_headers()
        try:
            while count > 0:
                self.wfile.write(BLOCK[: min(count, len(BLOCK))])
                count -= len(BLOCK)
        except OSError:
            self.close_connection = True


class Server(ThreadingHTTPServer):
    """A server on both families."""

    address_family = socket.AF_INET6
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, role: str, port: int) -> None:
        self.role = role
        super().__init__(("::", port), Pages)

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def handle_error(self, request: object, client_address: object) -> None:
        """A guest who goes away is no error."""


if __name__ == "__main__":
    with Server(sys.argv[1], int(sys.argv[2])) as server:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        server.serve_forever()
