"""A shell on the gateway: one `sh` that stays, over SSH or on this machine, which is told one command after another."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from bawaba.routers.driver import GatewayError, RouterAuthFailed, RouterProtocolError, RouterUnreachable

LONGEST_LINE = 1 << 22
CLOSE_S = 2.0
KEY_REFUSED = re.compile(
    r"host key|REMOTE HOST IDENTIFICATION|Permission denied|Too many authentication", re.IGNORECASE
)
NO_KEY = re.compile(r"Identity file .* not accessible|no such identity", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    text: str


def ssh_command(address: str, port: int | None, user: str, key_file: str, host_key: str, connect_s: float) -> list[str]:
    """The system's `ssh` to a gateway. `host_key` ("ssh-ed25519 AAAA…") is the only one believed; where it is empty,
    the first one that is seen stays (the known_hosts of whoever runs us)."""
    words = ["ssh", "-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={max(1, round(connect_s))}"]
    words += ["-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3", "-o", "LogLevel=ERROR"]
    if host_key:
        known = f"KnownHostsCommand=/bin/echo %H {host_key}"
        words += ["-o", known, "-o", "UserKnownHostsFile=none", "-o", "GlobalKnownHostsFile=none"]
        words += ["-o", "StrictHostKeyChecking=yes"]
    else:
        words += ["-o", "StrictHostKeyChecking=accept-new"]
    if key_file:
        words += ["-i", key_file, "-o", "IdentitiesOnly=yes"]
    return [*words, "-p", str(port or 22), "-l", user, "--", address, "sh"]


class Shell:
    """The connection. One command at a time; one on which something was late or broken is let go."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._process: asyncio.subprocess.Process | None = None
        self._complaints: asyncio.Task[bytes] | None = None
        self._lock = asyncio.Lock()

    async def run(self, script: str) -> Said:
        """Run a script to its end. Raises `RouterUnreachable` or `RouterAuthFailed` where there is no shell."""
        async with self._lock:
            try:
                return await self._run(script)
            except asyncio.CancelledError:
                self._drop()  # its answer would be taken for the next one's
                raise

    async def close(self) -> None:
        """Let go of it."""
        process = self._process
        if process is not None and process.stdin is not None and process.returncode is None:
            process.stdin.close()  # the shell at the other end goes with it
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), CLOSE_S)
        self._drop()

    async def _run(self, script: str) -> Said:
        process = await self._open()
        end = f"--{secrets.token_hex(8)}"
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(f"( {script}\n) </dev/null 2>/dev/null; printf '\\n{end} %d\\n' $?\n".encode())
            await process.stdin.drain()
            lines: list[str] = []
            while line := (await process.stdout.readline()).decode(errors="replace"):
                if line.startswith(end):
                    return Said(int(line.split()[1]), "".join(lines).removesuffix("\n"))
                lines.append(line)
        except (ValueError, IndexError) as error:
            self._drop()
            raise RouterProtocolError(f"the shell's answer makes no sense: {error}", outcome_known=False) from error
        except OSError as error:
            raise await self._ended() from error
        raise await self._ended()

    async def _open(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        pipe = asyncio.subprocess.PIPE
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=pipe, stdout=pipe, stderr=pipe, limit=LONGEST_LINE
            )
        except OSError as error:
            raise RouterUnreachable(f"{self._command[0]} cannot be started here: {error.strerror}") from error
        assert self._process.stderr is not None
        self._complaints = asyncio.create_task(self._process.stderr.read())
        return self._process

    async def _ended(self) -> GatewayError:
        """Why the shell went away, by what it said at its end."""
        words = ""
        if self._complaints is not None:
            with contextlib.suppress(TimeoutError):
                words = (await asyncio.wait_for(self._complaints, 1)).decode(errors="replace").strip()
        self._drop()
        last = words.splitlines()[-1][:200] if words else "the connection ended"
        if KEY_REFUSED.search(words) or NO_KEY.search(words):
            return RouterAuthFailed(f"SSH: {last}")
        return RouterUnreachable(f"SSH: {last}", outcome_known=False)

    def _drop(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            if process.stdin is not None:
                process.stdin.close()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        if self._complaints is not None:
            self._complaints.cancel()
            self._complaints = None
