"""Set one report: `python -m bawaba.reports.typesetting OUT`, with its words and figures as JSON on standard input."""

from __future__ import annotations

import sys
from pathlib import Path

import typst

HERE = Path(__file__).parent
FONTS = HERE.parent / "vouchers" / "sheets" / "fonts"


def main() -> None:
    """Read, set, write; anything that goes wrong ends the process with an error."""
    said = sys.stdin.buffer.read().decode()
    typst.compile(
        HERE / "report.typ",
        root=HERE,
        output=Path(sys.argv[1]),
        font_paths=[FONTS],
        ignore_system_fonts=True,
        format="pdf",
        sys_inputs={"report": said},
    )


if __name__ == "__main__":
    main()
