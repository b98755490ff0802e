"""One card as a picture, to send to a guest from a counter without a printer."""

from __future__ import annotations

import subprocess
import sys

import structlog

from bawaba.vouchers.printing import PrintFailed
from bawaba.vouchers.sheets import PrintCard, SheetJob, card_line, job_line

log = structlog.get_logger(__name__)
DEADLINE_S = 30.0


def card_picture(job: SheetJob, card: PrintCard) -> bytes:
    """Return the card as PNG, about 1000 pixels wide; the job's layout is for paper and does not matter.

    A child process sets it as it sets sheets: the typesetter would stay in our memory for good (40 MiB).
    """
    command = [sys.executable, "-m", "bawaba.vouchers.sheets", "--picture"]
    try:
        made = subprocess.run(
            command, input=job_line(job) + card_line(card), capture_output=True, timeout=DEADLINE_S, check=True
        )
    except subprocess.SubprocessError as error:
        said = getattr(error, "stderr", None) or b""
        log.error("a picture could not be set", serial=card.serial, said=said[-2000:].decode(errors="replace"))
        raise PrintFailed from error
    return made.stdout
