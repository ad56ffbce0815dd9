"""The law of the client: wherever a stream is cut, its events are the same, each once, and the agent runs once."""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dockrion.client import AsyncClient, Client, StreamEvent
from tests.client.recording import (
    BODY,
    EVENTS,
    FRAMES,
    LAST,
    RUN,
    WHOLE,
    Cutting,
    Recording,
    Rewritten,
    Trimmed,
    playing,
)

pytestmark = pytest.mark.usefixtures("at_once")
Seen = tuple[str, str | None, bytes]


@pytest.fixture(scope="module")
def recording() -> Recording:
    return Recording()


@pytest.fixture(scope="module")
def url(recording: Recording) -> Generator[str]:
    with playing(recording) as url:
        yield url


def seen(events: list[StreamEvent]) -> list[Seen]:
    return [(event.type, event.id, event.raw) for event in events]


@pytest.fixture(scope="module")
def whole(recording: Recording, url: str) -> list[Seen]:
    """What an uncut stream gives."""
    recording.play()
    with Client(url) as client, client.stream({}) as events:
        found = list(events)
    assert [event.sequence for event in found] == list(range(len(EVENTS)))
    assert [event.data for event in found] == EVENTS
    return seen(found)


class Cuts(NamedTuple):
    """Where to cut, counted in bytes, and on which network."""

    places: range
    in_memory: bool

    def transport(self, recording: Recording) -> Cutting | None:
        return Cutting(recording) if self.in_memory else None


@pytest.fixture(
    params=[
        pytest.param(Cuts(range(len(BODY) + 1), in_memory=True), id="each byte of the body"),
        # A prime, so that it is another place in each frame.
        pytest.param(Cuts(range(0, len(WHOLE) + 1, 29), in_memory=False), id="sockets"),
        pytest.param(
            Cuts(range(len(WHOLE) + 1), in_memory=False),
            id="each byte on sockets",
            marks=[pytest.mark.nightly, pytest.mark.timeout(600)],
        ),
    ]
)
def cuts(request: pytest.FixtureRequest) -> Cuts:
    return request.param


def test_an_invocation_cut_anywhere(
    cuts: Cuts, recording: Recording, url: str, whole: list[Seen]
) -> None:
    with Client(url, transport=cuts.transport(recording)) as client:
        for cut in cuts.places:
            recording.play([cut])
            with client.stream({}, run_id=RUN) as events:
                assert seen(list(events)) == whole, cut
            assert recording.started == 1, cut
            assert events.last_event_id == f"{RUN}:{LAST}"


async def test_an_invocation_cut_anywhere_async(
    cuts: Cuts, recording: Recording, url: str, whole: list[Seen]
) -> None:
    async with AsyncClient(url, transport=cuts.transport(recording)) as client:
        for cut in cuts.places:
            recording.play([cut])
            async with client.stream({}, run_id=RUN) as events:
                assert seen([event async for event in events]) == whole, cut
            assert recording.started == 1, cut


def test_a_subscription_cut_anywhere(
    cuts: Cuts, recording: Recording, url: str, whole: list[Seen]
) -> None:
    with Client(url, transport=cuts.transport(recording)) as client:
        for cut in cuts.places:
            recording.play([cut])
            with client.runs.events(RUN) as events:
                assert seen(list(events)) == whole, cut


async def test_a_subscription_cut_anywhere_async(
    cuts: Cuts, recording: Recording, url: str, whole: list[Seen]
) -> None:
    async with AsyncClient(url, transport=cuts.transport(recording)) as client:
        for cut in cuts.places:
            recording.play([cut])
            async with client.runs.events(RUN) as events:
                assert seen([event async for event in events]) == whole, cut


@pytest.mark.parametrize("kind", [Rewritten, Trimmed])
async def test_other_streams_cut_at_each_byte(kind: type[Recording]) -> None:
    recording = kind()
    transport = Cutting(recording)
    async with AsyncClient("http://peer", transport=transport) as aio:
        with Client("http://peer", transport=transport) as client:
            recording.play()
            with client.runs.events(RUN) as events:
                whole = seen(list(events))
            assert whole[-1] == ("complete", f"{RUN}:{LAST}", FRAMES[-1].split(b"\n")[1][6:])
            for cut in range(len(b"".join(recording.pieces())) + 1):
                recording.play([cut])
                with client.runs.events(RUN) as events:
                    assert seen(list(events)) == whole, cut
                recording.play([cut])
                async with aio.runs.events(RUN) as others:
                    assert seen([event async for event in others]) == whole, cut
    assert ("gap" in {one[0] for one in whole}) == (kind is Trimmed)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cuts=st.lists(st.integers(0, len(WHOLE)), max_size=8), start=st.integers(-1, LAST))
def test_any_number_of_cuts_from_any_event_on(
    cuts: list[int], start: int, recording: Recording, url: str, whole: list[Seen]
) -> None:
    recording.play(cuts)
    with Client(url, retries=10) as client:
        with client.runs.events(RUN, from_sequence=start + 1) as events:
            assert seen(list(events)) == whole[start + 1 :]
        recording.play(cuts)
        if start >= 0:
            with client.stream(last_event_id=f"{RUN}:{start}") as events:
                assert seen(list(events)) == whole[start + 1 :]
            assert recording.started == 0
