"""What a record keeps of the end of its run."""

from __future__ import annotations

import pytest

from dockrion.events.identity import ANONYMOUS
from dockrion.events.model import Cancelled, Complete, Failed
from dockrion.runs.ending import CALLER_LEFT
from dockrion.runs.settling import ended_as, ending_of
from dockrion.runs.store.base import RunRecord

ENDINGS = [
    Complete({"a": [1, None]}, 0.0, {"truncated": True}),
    Complete(None, 0.0, {}),
    Failed("It went wrong.", "AGENT_EXECUTION_ERROR", {"at": 1}),
    Failed("It took too long.", "TIMEOUT"),
    Cancelled("No need."),
    CALLER_LEFT,
]


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_end_of_a_run_can_be_told_from_its_record(
    ending: Complete | Failed | Cancelled,
) -> None:
    status, result = ended_as(ending, {"run_id": "r"})
    reason = None
    if isinstance(ending, Cancelled) and ending is not CALLER_LEFT:
        reason = ending.reason
    record = RunRecord(
        run_id="r",
        owner=ANONYMOUS,
        status=status,
        fingerprint="",
        created_at=0.0,
        result=result,
        cancel_reason=reason,
    )
    assert ending_of(record) == ending
