"""Who calls from behind proxies, and who only says so."""

from __future__ import annotations

import pytest

from dockrion.auth.addresses import ClientAddresses

TRUSTED = ("10.0.0.0/8", "192.0.2.7", "fd00::/8")


def caller(peer: str | None, *forwarded: str, trusted: tuple[str, ...] = TRUSTED) -> str:
    headers = [(b"host", b"a"), *((b"x-forwarded-for", f.encode("latin-1")) for f in forwarded)]
    return ClientAddresses(trusted).caller(peer, headers)


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.1.2.3", [], "10.1.2.3"),
        ("10.1.2.3", ["198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["1.1.1.1, 198.51.100.1, 10.9.9.9, 192.0.2.7"], "198.51.100.1"),
        ("10.1.2.3", ["1.1.1.1", "198.51.100.1", "10.9.9.9"], "198.51.100.1"),
        ("10.1.2.3", ["10.0.0.1,10.0.0.2"], "10.0.0.1"),
        ("10.1.2.3", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.1.2.3", ["[198.51.100.1]:4711"], "198.51.100.1"),
        ("::ffff:10.1.2.3", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("::ffff:203.0.113.9", [], "203.0.113.9"),
        ("fd00::1", ["2001:db8:1:2:3::4"], "2001:db8:1:2::/64"),
        ("fd00::1", ["[2001:db8:1:2:3::4]:443"], "2001:db8:1:2::/64"),
        ("fd00::1", ["[2001:db8:1:2:3::4]"], "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", [], "2001:db8:1:2::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
    ],
)
def test_the_first_from_the_right_that_is_not_trusted_is_the_caller(
    peer: str, forwarded: list[str], found: str
) -> None:
    assert caller(peer, *forwarded) == found


@pytest.mark.parametrize(
    "hop",
    [
        "",
        "unknown",
        "_hidden",
        "198.51.100",
        "198.51.100.1:x",
        "1.2.3.4 5.6.7.8",
        "\xff",
        "[::1",
        "]",
    ],
)
def test_what_is_no_address_ends_the_list(hop: str) -> None:
    assert caller("10.1.2.3", f"198.51.100.1, {hop}, 10.9.9.9") == "10.9.9.9"
    assert caller("10.1.2.3", hop) == "10.1.2.3"


def test_without_trusted_proxies_the_header_is_nothing() -> None:
    assert caller("127.0.0.1", "198.51.100.1", trusted=()) == "127.0.0.1"


def test_callers_without_an_address_count_as_one() -> None:
    assert caller(None) == caller("", "198.51.100.1") == "local"


def test_a_list_without_end_is_read_only_so_far() -> None:
    long = ",".join(["198.51.100.1", *["10.0.0.1"] * 31, "10.0.0.2"])
    assert caller("10.1.2.3", long) == "10.0.0.1"
