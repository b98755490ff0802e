"""Run the measurements of this folder, or those named, one after the other and each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(names: list[str]) -> int:
    """0 when every measurement came to its end."""
    found = [
        path.stem
        for path in sorted(HERE.glob("*.py"))
        if path.name != "__main__.py" and 'if __name__ == "__main__"' in path.read_text()
    ]
    unknown = [name for name in names if name not in found]
    if unknown:
        print(f"no such measurement: {', '.join(unknown)}; there are {', '.join(found)}", file=sys.stderr)
        return 2
    failed = [name for name in names or found if not _measured(name)]
    if failed:
        print(f"did not come to an end: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _measured(name: str) -> bool:
    print(f"== {name}", flush=True)
    return subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=HERE.parent, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
