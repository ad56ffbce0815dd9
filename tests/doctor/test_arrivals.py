"""What the times of a stream say: recordings in, findings out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockrion.doctor.base import Finding, Status
from dockrion.doctor.stream.arrivals import HELD_SECONDS, Arrival, Recording, diagnose

from .conftest import problems

HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-run-id": "r",
    "x-request-id": "q",
}
# The clock of a server is not that of its callers.
SKEW = 1_700_000_000.0


def recording(
    *events: tuple[str, float, float], ended_at: float | None = None, **fields: Any
) -> Recording:
    """`events` are a name, when it came, and when it was sent by the server's clock."""
    arrivals = [Arrival(name, at, SKEW + sent) for name, at, sent in events]
    pieces = [arrival.at for arrival in arrivals]
    whole: dict[str, Any] = {
        "headers": HEADERS,
        "head_at": 0.01,
        "pieces": pieces,
        "events": arrivals,
        "end": "ended",
        "ended_at": (pieces or [0.0])[-1] if ended_at is None else ended_at,
        **fields,
    }
    return Recording(**whole)


def found(one: Recording, check: str) -> Finding:
    (finding,) = [finding for name, finding in diagnose(one) if name == check]
    return finding


PACED = [("started", 0.02, 0.0), ("token", 1.02, 1.0), ("complete", 2.02, 2.0)]


def test_a_sound_stream_has_no_problem() -> None:
    findings = [finding for _, finding in diagnose(recording(*PACED))]

    assert not problems(findings)


def test_events_that_come_together_at_the_end_are_held_back() -> None:
    late = [(name, 2.02, sent) for name, _, sent in PACED]

    assert (
        "all 3 events came together, at the end, up to 2.0 s late"
        in found(recording(*late), "buffering").message
    )


def test_events_that_come_in_blocks_are_held_back() -> None:
    events = [("token", float(number // 4 + 1), number / 4) for number in range(12)]

    assert (
        "12 events came in 3 blocks, up to 0.8 s late"
        in found(recording(*events), "buffering").message
    )


@given(
    sent=st.lists(st.floats(0, 60), min_size=2, max_size=20).map(sorted),
    way=st.floats(0, 5),
    jitter=st.floats(0, HELD_SECONDS / 2),
)
def test_neither_pace_nor_distance_nor_jitter_is_taken_for_buffering(
    sent: list[float], way: float, jitter: float
) -> None:
    events = [
        ("token", moment + way + (jitter if number % 2 else 0), moment)
        for number, moment in enumerate(sent)
    ]

    assert found(recording(*events), "buffering").status in (Status.OK, Status.INFO)


def test_a_content_length_is_a_stream_that_somebody_has_waited_for() -> None:
    one = recording(*PACED, headers={**HEADERS, "content-length": "312"})

    assert "Content-Length" in found(one, "buffering").message


def test_nothing_at_all_is_buffered_since_the_server_says_something_at_once() -> None:
    one = recording(end="left", ended_at=60.0)

    assert "in 60 s nothing came" in found(one, "buffering").message


@pytest.mark.parametrize(("silence", "interval"), [(60.2, 30), (5.04, 2), (1.1, 1)])
def test_a_cut_in_silence_is_told_with_an_interval_that_would_have_kept_it(
    silence: float, interval: int
) -> None:
    one = recording(("started", 0.02, 0.0), end="cut", ended_at=0.02 + silence)
    cut = found(one, "idle")

    assert cut.message == f"the stream was cut after {silence:.0f} s without a byte"
    assert f"heartbeat_interval: {interval} in the Dockfile" in (cut.hint or "")


def test_an_end_without_a_terminal_event_is_a_cut_too() -> None:
    # What HTTP/1.0 looks like, where the end of the connection is the end of the body.
    one = recording(("started", 0.02, 0.0), end="ended", ended_at=30.02)

    assert found(one, "idle").message == "the stream was cut after 30 s without a byte"


def test_a_cut_among_events_is_a_limit_on_the_whole_answer() -> None:
    events = [("token", number / 2, number / 2) for number in range(60)]
    one = recording(*events, end="cut", ended_at=30.0)

    assert "cut after 30.0 s, in the middle of its events" in found(one, "idle").message


def test_a_stream_that_nobody_can_read_is_compressed_and_the_rest_is_not_known() -> None:
    one = recording(
        headers={**HEADERS, "content-encoding": "br"}, is_readable=False, pieces=[0.1], ended_at=3.0
    )

    assert found(one, "compression").status is Status.ERROR
    assert found(one, "buffering").status is Status.SKIPPED


def test_compression_alone_is_a_warning_and_with_delays_an_error() -> None:
    zipped = {**HEADERS, "content-encoding": "gzip"}
    late = [(name, 2.02, sent) for name, _, sent in PACED]

    assert found(recording(*PACED, headers=zipped), "compression").status is Status.WARNING
    assert found(recording(*late, headers=zipped), "compression").status is Status.ERROR


def test_an_agent_that_fails_is_no_fault_of_the_way() -> None:
    one = recording(
        ("started", 0.02, 0.0), ("error", 0.5, 0.48), failure="AGENT_EXECUTION_ERROR: LookupError"
    )

    assert "LookupError" in found(one, "agent").message
    assert [check for check, finding in diagnose(one) if finding.status is Status.ERROR] == []
