"""Creates a site under an idempotency key and is killed before the answer is kept (for test_idempotency)."""

import os
import sys
from pathlib import Path
from random import Random
from typing import NoReturn

from bawaba import wiring
from bawaba.accounts import idempotency
from bawaba.app import create_app
from bawaba.core.clock import ManualClock
from bawaba.core.config import Config

data_dir, url, token, key, body = sys.argv[1:]


def die(*_: object) -> NoReturn:
    """As kill -9 would have it: no clean-up, no answer."""
    os._exit(9)


idempotency._keep = die  # type: ignore[assignment]
rt = wiring.build(Config(data_dir=Path(data_dir), database_url=url), clock=ManualClock(), rng=Random(7))
create_app(rt).test_client().post(
    "/api/sites",
    data=body,
    content_type="application/json",
    headers={"Authorization": f"Bearer {token}", "Idempotency-Key": key},
)
