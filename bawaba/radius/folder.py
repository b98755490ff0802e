"""FreeRADIUS's folder: what would change is shown without its secrets, what was there is kept, and put back."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bawaba.core.errors import Unavailable
from bawaba.web.messages import say

DEFAULT = Path("/etc/freeradius/3.0")
KEPT = ".bawaba-undo.json"
PROGRAMS = ("freeradius", "radiusd")
CHECK_S = 30
SECRET = re.compile(r"""^(\s*(?:secret|password)\s*=\s*)(.*)$""", re.MULTILINE)


class NothingToUndo(Unavailable):
    """No earlier `radius config --out` is remembered there."""

    code = "nothing_to_undo"


class NoFreeRadius(Unavailable):
    """FreeRADIUS is not on this machine."""

    code = "no_freeradius"


say(
    nothing_to_undo="There is nothing to undo in %(folder)s.",
    no_freeradius="FreeRADIUS is not installed here. On Debian: apt install freeradius freeradius-rest",
)


def differences(new: Mapping[str, str], folder: Path) -> str:
    """What would change there, as a person reads it; secrets are hidden, but one that changes is seen to change."""
    shown: list[str] = []
    for name, text in new.items():
        before = _read(folder / name)
        shown += difflib.unified_diff(
            _hidden(before or "").splitlines(keepends=True),
            _hidden(text).splitlines(keepends=True),
            str(folder / name) if before is not None else "(no such file)",
            str(folder / name),
        )
    return "".join(shown)


def write(new: Mapping[str, str], folder: Path) -> None:
    """Write the files, readable by their folder's group only; what was there at first is kept."""
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    kept = _kept(folder)
    for name in new:
        kept.setdefault(name, _read(folder / name))
    _put(folder / KEPT, json.dumps(kept), 0o600)
    for name, text in new.items():
        _put(folder / name, text, 0o640)


def undo(folder: Path) -> list[str]:
    """Put back what was there, and answer with the names. Raises `NothingToUndo`."""
    kept = _kept(folder)
    if not kept:
        raise NothingToUndo(folder=str(folder))
    for name, text in kept.items():
        if text is None:
            (folder / name).unlink(missing_ok=True)
        else:
            _put(folder / name, text, 0o640)
    (folder / KEPT).unlink()
    return list(kept)


def check(folder: Path) -> tuple[bool, str]:
    """Let FreeRADIUS itself read it (`-XC`): whether it would start, and its last words. Raises `NoFreeRadius`."""
    program = next((found for name in PROGRAMS if (found := _program(name))), None)
    if program is None:
        raise NoFreeRadius()
    done = subprocess.run(
        [program, "-XC", "-d", str(folder)], capture_output=True, text=True, timeout=CHECK_S, check=False
    )
    words = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return done.returncode == 0, _hidden("\n".join(words[-8:]))


def _program(name: str) -> str | None:
    """Where it is; /usr/sbin is in no ordinary user's path."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def _hidden(text: str) -> str:
    text = text.encode(errors="replace").decode()
    return SECRET.sub(lambda found: f"{found[1]}(hidden, {_mark(found[2])})", text)


def _mark(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:4]


def _kept(folder: Path) -> dict[str, str | None]:
    text = _read(folder / KEPT)
    return {} if text is None else dict(json.loads(text))


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return None


def _put(path: Path, text: str, mode: int) -> None:
    """Write a file whole or not at all; as root it belongs to whom the folder belongs to."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
        os.fchmod(file.fileno(), mode)
        if os.geteuid() == 0:
            owner = path.parent.stat()
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
