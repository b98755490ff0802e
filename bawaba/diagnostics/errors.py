"""What can go wrong when somebody looks into a request."""

from __future__ import annotations

from bawaba.core.errors import NotFound
from bawaba.web.messages import say


class TraceNotFound(NotFound):
    """This request is not kept: too long ago, too many since, or of another installation."""

    code = "trace_not_found"


say(trace_not_found="Nothing is known of this request: it is too long ago, or many came at once and it was left out.")
