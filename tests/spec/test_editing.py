"""A Dockfile's text with one section more, another one, or one less: every other character stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockrion.errors import DockrionError, ValidationError
from dockrion.spec.document import read_document
from dockrion.spec.editing import DockfileText, problems_of

AUTH = "auth:\n  mode: api_key # who may call\n"
TEXT = """\
# The agent of the month.
version: '1.0'

agent:   {name: "speller",   handler: 'service:answer'} # in flow style

streaming:
    backend: memory   # four spaces
    # events:
    #   allowed: chat

# What goes in.
io_schema:
  input:
    properties:
    - not, checked, here
  note: |
    # no comment

    the end

expose: {}
secrets:
  required:
  - name: A_KEY # the first
    description: >-
      on more
      than one line

  - {name: B_KEY}
  # the last
# The end.
"""


def edited(text: str) -> DockfileText:
    return DockfileText(text)


def lines_without(text: str, section: str) -> list[str]:
    """Return the lines of a text but for those of one section in block style."""
    kept: list[str] = []
    inside = False
    for line in text.splitlines():
        if line[:1] not in (" ", "#", ""):
            inside = line.startswith(f"{section}:")
        if not inside or not line.startswith((" ", f"{section}:")):
            kept.append(line)
    return kept


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_new_section_stands_at_the_end_and_all_else_stays(newline: str, mark: str) -> None:
    text = mark + TEXT.replace("\n", newline)

    dockfile = edited(text)
    dockfile.put("auth", AUTH)

    assert str(dockfile) == text + newline + AUTH.replace("\n", newline)


def test_what_was_put_in_can_be_taken_out_without_a_trace() -> None:
    dockfile = edited(TEXT)
    dockfile.put("auth", AUTH)
    dockfile.remove("auth")

    assert str(dockfile) == TEXT


def test_a_section_is_replaced_in_its_place_with_the_comments_below_it() -> None:
    dockfile = edited(TEXT)
    dockfile.put("streaming", "streaming:\n  backend: sqlite\n")

    assert "streaming:\n  backend: sqlite\n\n# What goes in.\nio_schema:" in str(dockfile)
    assert lines_without(str(dockfile), "streaming") == lines_without(TEXT, "streaming")
    assert "allowed: chat" not in str(dockfile)


def test_a_section_that_is_taken_out_takes_its_blank_line_along() -> None:
    dockfile = edited(TEXT)
    dockfile.remove("streaming")

    assert "answer'} # in flow style\n\n# What goes in.\nio_schema:" in str(dockfile)
    assert not dockfile.has("streaming")


def test_secrets_join_the_list_in_its_own_style() -> None:
    dockfile = edited(TEXT)
    dockfile.add_secrets("required", ["C_KEY", "D_KEY"])
    dockfile.add_secrets("optional", ["E_KEY"])

    assert (
        "  - {name: B_KEY}\n  - name: C_KEY\n  - name: D_KEY\n  optional:\n    - name: E_KEY\n"
        in str(dockfile)
    )
    assert dockfile.secret_names() == ["A_KEY", "B_KEY", "C_KEY", "D_KEY", "E_KEY"]
    assert lines_without(str(dockfile), "secrets") == lines_without(TEXT, "secrets")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("secrets: {}\n", "secrets: {required: [{name: N}]}\n"),
        ("secrets:\n  required: []\n", "secrets:\n  required: [{name: N}]\n"),
        ("secrets:\n  required: # ours\n", "secrets:\n  required: # ours\n    - name: N\n"),
        ("secrets:\n  required: null\n", "secrets:\n  required: [{name: N}]\n"),
        ("secrets: {required: [{name: A}]}", "secrets: {required: [{name: A}, {name: N}]}"),
        (
            "secrets: {optional: [{name: A}]}\n",
            "secrets: {optional: [{name: A}], required: [{name: N}]}\n",
        ),
        (
            "secrets:\n  required: [\n    {name: A},\n  ]\n",
            "secrets:\n  required: [\n    {name: A},\n    {name: N},\n  ]\n",
        ),
        (
            "secrets:\n  required:\n    -\n      name: A\nz: 1\n",
            "secrets:\n  required:\n    -\n      name: A\n    - name: N\nz: 1\n",
        ),
        (
            "  secrets:\n    required:\n    - name: A",
            "  secrets:\n    required:\n    - name: A\n    - name: N\n",
        ),
        (
            '{"secrets": {"required": [{"name": "A"}]}}',
            '{"secrets": {"required": [{"name": "A"}, {"name": "N"}]}}',
        ),
    ],
)
def test_secrets_join_lists_of_every_style(before: str, after: str) -> None:
    dockfile = edited(before)
    dockfile.add_secrets("required", ["N"])

    assert str(dockfile) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a: 1", "a: 1\n\nauth:\n  mode: none\n"),
        ("a: 1\n\n", "a: 1\n\nauth:\n  mode: none\n"),
        ("  a: 1\n", "  a: 1\n\n  auth:\n    mode: none\n"),
        ("---\na: 1\n...\n", "---\na: 1\n\nauth:\n  mode: none\n...\n"),
        ("a: 1\n# the end", "a: 1\n# the end\n\nauth:\n  mode: none\n"),
        ("auth:\na: 1\n", "auth:\n  mode: none\na: 1\n"),
        ("a: |+\n  text\n\n", "a: |+\n  text\n\nauth:\n  mode: none\n"),
        ("{a: 1}", '{a: 1, "auth": {"mode": "none"}}'),
        ("{}", '{"auth": {"mode": "none"}}'),
        ("{auth: {mode: jwt}, a: 1}", '{auth: {"mode": "none"}, a: 1}'),
    ],
)
def test_a_section_finds_its_place_in_every_style(before: str, after: str) -> None:
    dockfile = edited(before)
    dockfile.put("auth", "auth:\n  mode: none\n")

    assert str(dockfile) == after


def test_json_stays_json_with_its_indent() -> None:
    text = json.dumps({"version": "1.0", "expose": {"port": 80}}, indent=4)

    dockfile = edited(text)
    dockfile.put("auth", AUTH)
    dockfile.put("secrets", "secrets:\n  required:\n    - name: A\n")
    dockfile.add_secrets("required", ["B"])
    dockfile.remove("version")

    assert json.loads(str(dockfile)) == {
        "expose": {"port": 80},
        "auth": {"mode": "api_key"},
        "secrets": {"required": [{"name": "A"}, {"name": "B"}]},
    }
    assert '    "auth": {\n        "mode": "api_key"\n    }' in str(dockfile)


@pytest.mark.parametrize(
    "text",
    [
        "x: &a {required: [{name: A}]}\nsecrets: *a\n",
        "secrets: &a\n  required: [{name: A}]\nx: *a\n",
    ],
)
def test_what_is_written_too_cleverly_is_refused_and_stays(text: str) -> None:
    dockfile = edited(text)

    with pytest.raises(DockrionError, match="cannot be changed without changing more of it"):
        dockfile.add_secrets("required", ["N"])
    assert str(dockfile) == text


@pytest.mark.parametrize("text", ["", "- a\n", "a: [\n"])
def test_what_is_no_mapping_is_invalid(text: str) -> None:
    with pytest.raises(ValidationError, match=r"Dockfile\.yaml: is empty|:1:1|no valid YAML"):
        edited(text)


_values = st.recursive(
    st.one_of(st.integers(), st.booleans(), st.none(), st.text("ab: #'\"é-", max_size=8)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner),
    max_leaves=6,
)


@settings(deadline=None, max_examples=30)
@given(
    data=st.dictionaries(
        st.sampled_from(["version", "agent", "expose", "auth", "x"]), _values, min_size=1
    ),
    indent=st.sampled_from([None, 1, 2, 4]),
)
def test_any_json_gets_its_section_and_loses_nothing(
    data: dict[str, object], indent: int | None
) -> None:
    dockfile = edited(json.dumps(data, indent=indent))
    dockfile.put("auth", AUTH)

    assert json.loads(str(dockfile)) == {**data, "auth": {"mode": "api_key"}}


@settings(deadline=None, max_examples=30)
@given(
    comments=st.lists(st.sampled_from(["", "# c", "  # c", "    # c"]), max_size=4),
    sections=st.permutations(["agent:\n  name: x\n", "expose: {}\n", "auth:\n  mode: jwt\n"]),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_no_line_of_another_section_is_ever_lost(
    comments: list[str], sections: list[str], newline: str
) -> None:
    between = "".join(f"{comment}\n" for comment in comments)
    text = between.join([*sections, ""])

    dockfile = edited(text.replace("\n", newline))
    dockfile.put("auth", AUTH)

    outside = [line for line in lines_without(text, "auth") if line]
    assert [line for line in lines_without(str(dockfile), "auth") if line] == outside
    assert read_document(str(dockfile)).data["auth"] == {"mode": "api_key"}


def test_problems_have_no_places_which_a_change_would_move(tmp_path: Path) -> None:
    path = tmp_path / "Dockfile.yaml"
    text = 'version: "1.0"\nagent: {name: X, handler: a:b}\nio_schema: {}\nexpose: {}\n'

    problems = problems_of(path, text)

    assert len(problems) == 1
    assert problems[0].startswith("agent.name: must be lower-case letters")
    assert problems_of(path, f"# moved\n\n{text}") == problems
