"""Lists of sessions."""

from __future__ import annotations

import pytest

from bawaba.core.runtime import Runtime
from bawaba.sessions import queries, service
from bawaba.sessions.redeem import redeem
from bawaba.web.paging import PageRequest
from bawaba.wiring import start_background
from tests.cast import Cast, person, phones


@pytest.mark.parametrize("active", [True, False, None])
def test_every_session_is_on_one_page_and_on_one_only(rt: Runtime, cast: Cast, active: bool | None):
    start_background(rt)
    ids = [redeem(rt, cast.make_voucher().code, cast.guest(phone)).session_id for phone in phones(7)]
    for session_id in ids[::2]:
        service.terminate(rt, person("admin"), session_id)
    wanted = {True: ids[1::2], False: ids[::2], None: ids}[active]

    seen: list[int] = []
    while len(seen) <= len(ids):
        page = PageRequest(2, seen[-1] if seen else None)
        rows = rt.read(queries.list_sessions, person("admin"), page, active=active)
        seen += [session.id for session, _serial in rows[:2]]
        if len(rows) <= 2:
            break

    assert seen == sorted(wanted, reverse=True)
