"""What the service tells of proofs."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.restore import Flavor
from rax_scheduled_images_ext.model.server import ServerFacts
from rax_scheduled_images_ext.model.verify import Finding, Level
from rax_scheduled_images_ext.operations.verify import Verified, VerifyPlan
from rax_scheduled_images_ext.service.notify import Notifier
from rax_scheduled_images_ext.service.proofs import ProofLog

PLAN = VerifyPlan(
    ServerImage("i", "snap", "ACTIVE", owner="p"),
    Flavor("1", "small", 512, 1),
    ServerFacts("s", "web"),
)


class Notified(Notifier):
    def notify(self, *failures: Any) -> None:
        self.told = [*getattr(self, "told", []), *failures]


@pytest.mark.parametrize(
    ("done", "level", "told"),
    [
        (Verified(PLAN, Finding.PROVEN, Level.CONSOLE, "web login:"), "INFO", 0),
        (Verified(PLAN, Finding.FAILED, seen="No bootable device."), "ERROR", 1),
        (Verified(PLAN, Finding.UNKNOWN, seen="No valid host"), "WARNING", 0),
    ],
)
def test_only_a_failure_is_told(
    done: Verified, level: str, told: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "scheduled_images_service")
    notified = Notified()
    ProofLog("RegionOne", notified, None, several=False).verified(done)
    (record,) = caplog.records
    assert (record.levelname, record.message) == (level, f"proof {done.finding.value}")
    assert vars(record)["server"] == "s"
    assert "region" not in vars(record)
    failures = getattr(notified, "told", [])
    assert len(failures) == told
    assert all(each["event"] == "proof failed" for each in failures)
    assert all(each["reason"] == done.seen for each in failures)


def test_what_stays_behind_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "scheduled_images_service")
    done = Verified(PLAN, Finding.PROVEN, Level.BOOTED, problem="403", left_id="t")
    ProofLog("RegionOne", Notifier(), None, several=True).verified(done)
    events = [record.message for record in caplog.records]
    assert events == ["proof proven", "proof not written", "test server left"]
    assert {vars(record)["region"] for record in caplog.records} == {"RegionOne"}
