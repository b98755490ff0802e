"""Import python-socketio without the clients that it drags in: 1.5 MiB of memory instead of 20 to 35.

Its package imports its own clients and the drivers of every message broker, and those import requests, aiohttp and
redis where they are installed. The server needs none of them. What the process has imported already stays as it is.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

NOT_NEEDED = ("aio_pika", "aiohttp", "kafka", "kombu", "redis", "requests", "tornado", "valkey", "websocket", "zmq")


def _import_lightly(name: str) -> Any:
    kept_out = [other for other in NOT_NEEDED if other not in sys.modules]
    sys.modules.update(dict.fromkeys(kept_out))  # type: ignore[arg-type] # None: an import of it fails
    try:
        return importlib.import_module(name)
    finally:
        for other in kept_out:
            del sys.modules[other]


socketio: Any = _import_lightly("socketio")
engineio: Any = importlib.import_module("engineio")
flask_socketio: Any = importlib.import_module("flask_socketio")
Refused = socketio.exceptions.ConnectionRefusedError
