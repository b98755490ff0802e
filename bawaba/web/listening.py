"""The port that Bawaba serves on, taken before anything else is touched."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

BACKLOG = 2048
FIRST_HANDED_OVER = 3
FIRST_FREE_PORT = 1024


class CannotListen(Exception):
    """The port cannot be had; the text says why and what to do."""


@contextmanager
def listening(host: str, port: int) -> Iterator[Sequence[socket.socket]]:
    """Listen on every address that `host` stands for; who connects before we answer waits. Raises `CannotListen`.

    Where the system listens for us (systemd's socket units), on its sockets instead: then who connects while a process
    is replaced waits for the next one.
    """
    if handed_over := _handed_over():
        yield handed_over
        return
    with ExitStack() as stack:
        yield [stack.enter_context(_listener(found, host, port)) for found in _addresses(host, port)]


def _handed_over() -> list[socket.socket]:
    """The sockets that are meant for this process and no child of it (sd_listen_fds(3))."""
    if os.environ.pop("LISTEN_PID", "") != str(os.getpid()):
        return []
    return [socket.socket(fileno=FIRST_HANDED_OVER + number) for number in range(int(os.environ.pop("LISTEN_FDS", 0)))]


def _addresses(host: str, port: int) -> list[tuple[int, tuple[object, ...]]]:
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise CannotListen(f"BAWABA_HOST: {host} is no address or name of this machine ({error.strerror}).") from error
    return list(dict.fromkeys((int(family), address) for family, _type, _protocol, _name, address in found))


def _listener(found: tuple[int, tuple[object, ...]], host: str, port: int) -> socket.socket:
    family, address = found
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # IPv4 has a socket of its own
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotListen(_why(error, host, port)) from error
    return listener


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is taken by another program, perhaps by a Bawaba that runs already.\n"
            f"Stop that one, or choose another port: BAWABA_PORT={port + 1 if port < 65535 else port - 1}. "
            f"Who has it: ss -ltnp 'sport = :{port}'"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"BAWABA_HOST: this machine has no address {host} (`ip address` lists them; 0.0.0.0 is all of them)."
    if error.errno in (errno.EACCES, errno.EPERM) and port < FIRST_FREE_PORT:
        return f"Only root may listen on port {port}: choose one from {FIRST_FREE_PORT} on with BAWABA_PORT."
    return f"Bawaba cannot listen on {host} port {port}: {error.strerror}."
