"""Row ids in addresses: a number that no database can hold is a page that is not there."""

from __future__ import annotations

from typing import Any

from werkzeug.routing import IntegerConverter

ROW_ID_MOST = 2**63 - 1


class RowId(IntegerConverter):
    """`<int:…>` up to what a 64-bit column holds."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"max": ROW_ID_MOST, **kwargs})
