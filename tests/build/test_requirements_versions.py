"""Whether versions can meet, against the answer that a search through many versions gives."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from dockrion.build.requirement_conflicts import can_be_met

# One more than those that specifiers name, of either number.
VERSIONS = [
    Version(f"{major}.{minor}{more}")
    for major, minor, more in product(
        range(5), range(5), ("", ".0.1", ".5", "rc1", ".post1", ".dev1", ".9.9")
    )
]
numbers = st.tuples(st.integers(0, 3), st.integers(0, 3)).map(lambda pair: f"{pair[0]}.{pair[1]}")
specifiers = st.one_of(
    st.tuples(st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "~="]), numbers).map("".join),
    st.tuples(st.sampled_from(["==", "!="]), numbers).map(lambda pair: f"{''.join(pair)}.*"),
)


@given(st.lists(specifiers, max_size=4))
def test_can_be_met_says_what_a_search_finds(texts: list[str]) -> None:
    together = SpecifierSet(",".join(texts))
    found = any(together.contains(version, prereleases=True) for version in VERSIONS)
    assert can_be_met([SpecifierSet(text) for text in texts]) is found


@pytest.mark.parametrize(
    ("texts", "met"),
    [
        ([], True),
        ([">1", "<1.0.1"], True),
        ([">2,<2.1", "!=2.0.*"], False),
        (["==1.0+cpu", ">=1"], True),
        (["==1.0+cpu", "==1.0+gpu"], False),
        (["==1.0+cpu", "==1.0"], True),
        (["===abc"], True),
        (["===abc", ">=1"], False),
        (["===1.0", ">=1"], True),
        ([">=2!1", "<2"], False),
        ([">=1!1", "<2!0"], True),
        ([">1.0rc1", "<1.0"], False),
        ([">1.0rc1", "<=1.0"], True),
        (["~=2.2.post3", "<2.3"], True),
        (["~=0.0", "!=0.0.*"], True),
        (["~=1.4.2", "!=1.4.2", "!=1.4.3"], True),
        (["==2024.*", ">=2024.10"], True),
        (["<0"], False),
        ([">=0", "<=0"], True),
    ],
)
def test_odd_versions(texts: list[str], met: bool) -> None:
    assert can_be_met([SpecifierSet(text) for text in texts]) is met
