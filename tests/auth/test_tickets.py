"""Tickets: once, for a while, on one path, for one identity, and not without end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dockrion.auth.base import TicketRules
from dockrion.auth.sqlite_tickets import SqliteTickets
from dockrion.backends.sqlite import Database
from dockrion.errors import OverloadedError, RateLimitError
from dockrion.events.identity import Identity
from tests.auth.clock import Clock
from tests.auth.shared import Shared

RULES = TicketRules(kind="ticket", seconds=60)
ANN, BOB = Identity("ann", "api_key"), Identity("bob", "api_key")


async def test_a_ticket_is_good_once_for_who_got_it(shared: Shared) -> None:
    tickets = shared.tickets(RULES)
    of_ann, of_bob = await tickets.issue(ANN, "/a"), await tickets.issue(BOB, "/a")
    assert len(of_ann) >= 43
    assert await tickets.redeem(of_bob, "/a") == BOB
    assert await tickets.redeem(of_bob, "/a") is None
    assert await tickets.redeem(of_ann, "/a") == ANN
    assert await tickets.redeem("unknown", "/a") is None
    assert await tickets.redeem("", "/a") is None
    assert await tickets.redeem("\udcff", "/a") is None


async def test_on_another_path_it_is_refused_and_spent(shared: Shared) -> None:
    tickets = shared.tickets(RULES)
    ticket = await tickets.issue(ANN, "/a")
    assert await tickets.redeem(ticket, "/a/") is None
    assert await tickets.redeem(ticket, "/a") is None


async def test_it_lasts_for_its_seconds(shared: Shared) -> None:
    clock = Clock(100.0)
    tickets = shared.tickets(RULES, clock)
    early, late = await tickets.issue(ANN, "/a"), await tickets.issue(ANN, "/a")
    clock.now += 59.9
    assert await tickets.redeem(early, "/a") == ANN
    clock.now += 0.1
    assert await tickets.redeem(late, "/a") is None


async def test_finding_it_leaves_it(shared: Shared) -> None:
    tickets = shared.tickets(RULES)
    ticket = await tickets.issue(ANN, "/a")
    assert await tickets.find(ticket, "/b") is None
    assert await tickets.find(ticket, "/a") == ANN
    assert await tickets.find(ticket, "/a") == ANN
    assert await tickets.find("unknown", "/a") is None


async def test_one_caller_cannot_take_all_and_all_cannot_take_too_many(shared: Shared) -> None:
    clock = Clock(100.0)
    rules = TicketRules(kind="ticket", seconds=60, max_of_one=2, max_of_all=3)
    tickets = shared.tickets(rules, clock)
    spent = await tickets.issue(ANN, "/a")
    await tickets.issue(ANN, "/a")
    with pytest.raises(RateLimitError, match="2 tickets"):
        await tickets.issue(ANN, "/a")
    await tickets.issue(BOB, "/a")
    with pytest.raises(OverloadedError):
        await tickets.issue(BOB, "/a")
    assert await tickets.redeem(spent, "/a") == ANN
    await tickets.issue(ANN, "/a")
    clock.now += 60
    for _ in range(2):
        await tickets.issue(ANN, "/a")


async def test_where_new_ones_replace_old_ones_the_oldest_of_the_caller_goes(
    shared: Shared,
) -> None:
    rules = TicketRules(kind="pass", seconds=60, replaces=True, max_of_one=2, max_of_all=3)
    tickets = shared.tickets(rules)
    of_bob = await tickets.issue(BOB, "/a")
    of_ann = [await tickets.issue(ANN, "/a") for _ in range(3)]
    assert [await tickets.find(one, "/a") for one in of_ann] == [None, ANN, ANN]
    assert await tickets.find(of_bob, "/a") == BOB


async def test_where_all_have_too_many_the_oldest_of_all_makes_room(shared: Shared) -> None:
    rules = TicketRules(kind="pass", seconds=60, replaces=True, max_of_one=2, max_of_all=3)
    tickets = shared.tickets(rules)
    others = [Identity(str(number), "api_key") for number in range(4)]
    issued = [await tickets.issue(one, "/a") for one in others]
    assert [await tickets.find(one, "/a") for one in issued] == [None, *others[1:]]


async def test_of_many_that_redeem_one_ticket_at_once_one_does(shared: Shared) -> None:
    tickets = shared.tickets(RULES)
    ticket = await tickets.issue(ANN, "/a")
    found = await asyncio.gather(*(tickets.redeem(ticket, "/a") for _ in range(20)))
    assert found.count(ANN) == 1
    assert found.count(None) == 19


async def test_processes_share_the_tickets_of_a_file_by_their_kind(tmp_path: Path) -> None:
    here, there = Database(tmp_path / "t.db"), Database(tmp_path / "t.db")
    await here.open()
    await there.open()
    all_of_ann = Identity("ann", "jwt", "a@b", "Ann", ("r",), ("p", "q"), ("s",), "t")
    ticket = await SqliteTickets(here, RULES).issue(all_of_ann, "/a")
    passes = SqliteTickets(there, TicketRules(kind="pass", seconds=60))
    assert await passes.find(ticket, "/a") is None
    assert await passes.redeem(ticket, "/a") is None
    assert await SqliteTickets(there, RULES).find(ticket, "/a") == all_of_ann
    assert await SqliteTickets(there, RULES).redeem(ticket, "/a") == all_of_ann
    assert await SqliteTickets(here, RULES).find(ticket, "/a") is None
    await here.close()
    await there.close()


async def test_whoever_reads_the_file_has_no_ticket(tmp_path: Path) -> None:
    database = Database(tmp_path / "t.db")
    await database.open()
    ticket = await SqliteTickets(database, RULES).issue(ANN, "/a")
    await database.close()
    content = (tmp_path / "t.db").read_bytes()
    assert ticket.encode() not in content
    assert b"api_key" in content
