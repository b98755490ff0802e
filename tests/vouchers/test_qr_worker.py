"""The process that makes QR codes for large batches."""

from __future__ import annotations

import os
import signal

import pytest

from bawaba.vouchers import batch_maker, making
from bawaba.vouchers.models import Batch
from bawaba.vouchers.qr import card_matrices
from bawaba.vouchers.qr_worker import QrWorker
from tests.cast import person

CODES = ["123456789012", "223456789012", "ABCDEFGHJK"]


def test_it_makes_what_we_would_make_ourselves():
    with QrWorker() as worker:
        for _ in range(2):
            assert worker.matrices("http://login.wifi", CODES) == card_matrices("http://login.wifi", CODES)


def test_when_it_is_killed_that_is_said():
    with QrWorker() as worker:
        os.kill(worker._child.pid, signal.SIGKILL)
        worker._child.wait()
        with pytest.raises(BrokenPipeError):
            worker.matrices("http://login.wifi", CODES)


def test_a_large_batch_is_made_whole_even_when_it_dies(rt, cast, monkeypatch):
    class Dying(QrWorker):
        def matrices(self, portal_url, codes):
            os.kill(self._child.pid, signal.SIGKILL)
            self._child.wait()
            return super().matrices(portal_url, codes)

    monkeypatch.setattr(batch_maker, "QrWorker", Dying)
    monkeypatch.setattr(batch_maker, "LARGE", 1000)
    batch = making.order_batch(rt, person(), making.BatchOrder(cast.make_plan().plan_id, 1200))
    rt.parts["batch_maker"].make(batch.id)

    assert cast.row(Batch, batch.id).state == "ready"
    assert making.store(rt).get(batch.id, 1199).size > 20
