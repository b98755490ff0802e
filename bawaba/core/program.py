"""How a person types the command `bawaba` on this machine."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def typed() -> str:
    """`bawaba` where it is on the PATH, else the whole path of the running one, ready for a shell."""
    started = Path(sys.argv[0])
    if shutil.which("bawaba") is not None or started.name != "bawaba":
        return "bawaba"
    return shlex.quote(str(started.absolute()))
