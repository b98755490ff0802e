"""A shell whose link is cut at a call that a test names: what a driver tells its gateway's shell goes through here.

    python cut_shell.py FOLDER COMMAND…

`FOLDER/calls` has one byte for every call that came and changes something: to lose one that only reads leaves the
gateway as the loss of the answer before it does. `FOLDER/cut` says "how at times": "before" loses the link and the call
with it, "after" does the call and loses its answer; from the change of that number on (0 is the first), so many times.
Only the standard library: it is started anew after every cut.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import IO

READING = re.compile(rb"ndsctl json|/proc/net/arp")
END = re.compile(rb"printf '\\n(--[0-9a-f]+) ")


def main(folder: str, command: list[str]) -> None:
    """Pass on calls and answers until the link is cut, or nobody asks any more."""
    shell = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert shell.stdin is not None and shell.stdout is not None
    for call, end in calls(sys.stdin.buffer):
        how = "done" if READING.search(call) else fate(folder)
        if how == "before":
            break
        shell.stdin.write(call)
        shell.stdin.flush()
        answer = answer_of(shell.stdout, end)
        if how == "after":
            break
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()
    shell.stdin.close()
    shell.wait()


def calls(told: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Every call, with the word that its answer ends with."""
    lines: list[bytes] = []
    while line := told.readline():
        lines.append(line)
        if found := END.search(line):
            yield b"".join(lines), found[1]
            lines.clear()


def answer_of(said: IO[bytes], end: bytes) -> bytes:
    """All that is said up to that word."""
    lines: list[bytes] = []
    while line := said.readline():
        lines.append(line)
        if line.startswith(end):
            break
    return b"".join(lines)


def fate(folder: str) -> str:
    """Count this change: what becomes of it."""
    with open(f"{folder}/calls", "ab") as counted:
        number = os.fstat(counted.fileno()).st_size
        counted.write(b".")
    try:
        with open(f"{folder}/cut", encoding="ascii") as cut:
            how, at, times = cut.read().split()
    except FileNotFoundError:
        return "done"
    return how if int(at) <= number < int(at) + int(times) else "done"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
