"""Tickets: once, for a while, on one path, for one identity, and not without end."""

from __future__ import annotations

import pytest

from dockrion.auth.base import TicketRules
from dockrion.auth.tickets import MemoryTickets
from dockrion.errors import OverloadedError, RateLimitError
from dockrion.events.identity import Identity
from tests.auth.clock import Clock

RULES = TicketRules(kind="ticket", seconds=60)
ANN, BOB = Identity("ann", "api_key"), Identity("bob", "api_key")


async def test_a_ticket_is_good_once_for_who_got_it() -> None:
    tickets = MemoryTickets(RULES)
    of_ann, of_bob = await tickets.issue(ANN, "/a"), await tickets.issue(BOB, "/a")
    assert len(of_ann) >= 43
    assert await tickets.redeem(of_bob, "/a") == BOB
    assert await tickets.redeem(of_bob, "/a") is None
    assert await tickets.redeem(of_ann, "/a") == ANN
    assert await tickets.redeem("unknown", "/a") is None
    assert await tickets.redeem("", "/a") is None
    assert await tickets.redeem("\udcff", "/a") is None


async def test_on_another_path_it_is_refused_and_spent() -> None:
    tickets = MemoryTickets(RULES)
    ticket = await tickets.issue(ANN, "/a")
    assert await tickets.redeem(ticket, "/a/") is None
    assert await tickets.redeem(ticket, "/a") is None


async def test_it_lasts_for_its_seconds() -> None:
    clock = Clock(100.0)
    tickets = MemoryTickets(RULES, clock=clock)
    early, late = await tickets.issue(ANN, "/a"), await tickets.issue(ANN, "/a")
    clock.now += 59.9
    assert await tickets.redeem(early, "/a") == ANN
    clock.now += 0.1
    assert await tickets.redeem(late, "/a") is None


async def test_finding_it_leaves_it() -> None:
    tickets = MemoryTickets(RULES)
    ticket = await tickets.issue(ANN, "/a")
    assert await tickets.find(ticket, "/b") is None
    assert await tickets.find(ticket, "/a") == ANN
    assert await tickets.find(ticket, "/a") == ANN
    assert await tickets.find("unknown", "/a") is None


async def test_one_caller_cannot_take_all_and_all_cannot_take_too_many() -> None:
    clock = Clock(100.0)
    rules = TicketRules(kind="ticket", seconds=60, max_of_one=2, max_of_all=3)
    tickets = MemoryTickets(rules, clock=clock)
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


async def test_where_new_ones_replace_old_ones_the_oldest_of_the_caller_goes() -> None:
    rules = TicketRules(kind="pass", seconds=60, replaces=True, max_of_one=2, max_of_all=3)
    tickets = MemoryTickets(rules)
    of_bob = await tickets.issue(BOB, "/a")
    of_ann = [await tickets.issue(ANN, "/a") for _ in range(3)]
    assert [await tickets.find(one, "/a") for one in of_ann] == [None, ANN, ANN]
    assert await tickets.find(of_bob, "/a") == BOB


async def test_where_all_have_too_many_the_oldest_of_all_makes_room() -> None:
    rules = TicketRules(kind="pass", seconds=60, replaces=True, max_of_one=2, max_of_all=3)
    tickets = MemoryTickets(rules)
    others = [Identity(str(number), "api_key") for number in range(4)]
    issued = [await tickets.issue(one, "/a") for one in others]
    assert [await tickets.find(one, "/a") for one in issued] == [None, *others[1:]]
