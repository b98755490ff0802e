"""Whatever a controller answers, the driver raises its five errors and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bawaba.routers.driver import GatewayError
from bawaba.routers.drivers.unifi import access, official
from bawaba.routers.simulators.unifi.settings import Behaviour
from tests.cast import PHONE
from tests.routers.contract import grant
from tests.routers.unifi.far import PHONE_CLIENT, FarEnd

KEY = "a-key-of-our-own"
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=20),
    st.sampled_from([PHONE, "ok", "error", "[bw1|install8|session:1|1|1|1|1|1|1|1|x]", "api.err.LoginRequired"]),
)  # fmt: skip
NAMES = st.sampled_from(
    ["meta", "rc", "msg", "data", "mac", "_id", "user_id", "note", "start", "end", "expired", "rx_bytes", "tx_bytes",
     "assoc_time", "uptime", "is_guest", "authorized", "ip", "id", "macAddress", "access", "type", "totalCount",
     "revokedAuthorization", "usage", "rxBytes", "blocked", "name", "role", "key", "version", "last_seen"],
)  # fmt: skip
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=8))
ROWS = st.lists(st.dictionaries(NAMES, VALUES, max_size=10), max_size=4)
ANSWERS = st.one_of(
    VALUES.map(json.dumps),
    ROWS.map(lambda rows: json.dumps({"meta": {"rc": "ok"}, "data": rows})),
    ROWS.map(lambda rows: json.dumps({"data": rows, "totalCount": len(rows)})),
    st.text(max_size=50),
)
VERBS: dict[str, Any] = {
    "sessions": lambda driver: driver.sessions(),
    "owned": lambda driver: driver.owned(),
    "health": lambda driver: driver.health(),
    "probe": lambda driver: driver.probe(),
    "locate": lambda driver: driver.locate(ip=PHONE_CLIENT.ip),
    "admit": lambda driver: driver.admit(grant(1), PHONE_CLIENT),
    "kick": lambda driver: driver.kick(PHONE_CLIENT),
    "drop": lambda driver: driver.drop(["session:1"]),
    "set_devices": lambda driver: driver.set_devices([PHONE], []),
}
OFTEN = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(params=["classic", "official"])
def far_end(controllers, request):
    quick = Behaviour(classic=request.param == "classic", logins_a_minute=10**6)
    return FarEnd(controllers, api_key=KEY, behaviour=quick, options={"api_key": KEY, "api": request.param})


@OFTEN
@given(answer=ANSWERS, verb=st.sampled_from(sorted(VERBS)), skip=st.integers(0, 3))
def test_only_gateway_errors_are_raised(far_end, monkeypatch, answer, verb, skip):
    monkeypatch.setattr(access, "TRY_AGAIN_S", 0.0)
    monkeypatch.setattr(official, "TRY_AGAIN_S", 0.0)
    far_end.controller.heal()
    far_end.controller.fail("nonsense", "*[a-z]*", skip=skip, times=None, text=answer)
    try:
        far_end.run(VERBS[verb])
    except GatewayError as error:
        assert str(error)  # noqa: PT017


def test_words_that_are_not_known_do_no_harm(controllers):
    far_end = FarEnd(controllers)
    far_end.run(lambda driver: driver.admit(grant(1), PHONE_CLIENT))
    plain = type(far_end.controller.site).station
    strange = {"new_in_11": {"deep": [1]}, "wifi_tx_attempts": 5}
    far_end.controller.site.station = lambda phone: plain(far_end.controller.site, phone) | strange  # type: ignore[method-assign]
    (session,) = far_end.run(lambda driver: driver.sessions())
    assert session.key == "session:1" and session.raw["station"]["new_in_11"] == {"deep": [1]}
