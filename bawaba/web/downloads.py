"""A file that was made for one download: the bridge streams it after the thread is free, and it is gone."""

from __future__ import annotations

from pathlib import Path

from flask import Response


def send_once(path: Path, name: str, mimetype: str, *, inline: bool = False) -> Response:
    """Answer with a file. `inline`: a browser shows it, else it is saved under its name."""
    headers = {
        "X-Bawaba-File": str(path),
        "X-Bawaba-File-Once": "1",
        "Content-Disposition": f'{"inline" if inline else "attachment"}; filename="{name}"',
        "Cache-Control": "private, no-store",
    }
    return Response(b"", mimetype=mimetype, headers=headers)
