"""Bad input on the command line, seen from outside: files and words, and the whole answer on standard error."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from .server import DOCKRION_RUN, HOST

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = """
def handle(payload):
    match payload["query"]:
        case "raise":
            raise ValueError("there is no model at /srv/models/private/llama.bin")
        case "exit":
            raise SystemExit(3)
        case "nothing":
            return None
        case "cycle":
            payload["again"] = payload
            return payload
    return {"answer": "fine"}
"""
DOCKFILE = """\
version: "1.0"
agent:
  name: e2e
  handler: service:handle
io_schema:
  input:
    properties: {query: {type: string}}
    required: [query]
expose: {}
"""
# A log line that is readable, and one for machines.
LOGGED = re.compile(r"\d\d:\d\d:\d\d |\{")
FOLDERS = re.compile(r"/(?:etc|home|opt|root|srv|tmp|usr|var)/")
SECONDS = 60

File = str | bytes | None
"""None is a link to itself, which nobody can read."""


class Row(NamedTuple):
    """A command and its answer: the exit code, and all lines of standard error but logged ones and the usage."""

    name: str
    command: tuple[str, ...]
    code: int
    says: tuple[str, ...]
    dockfile: File = DOCKFILE
    files: tuple[tuple[str, File], ...] = ()
    prints: Any = None


def wrong(name: str, dockfile: File, *problems: str, hint: str = "") -> Row:
    """A Dockfile that is not valid."""
    lines = (f"  Dockfile.yaml{problem}" for problem in problems)
    says = ("✗ Dockfile is invalid", *lines, f"Hint: {hint or PLACES}")
    return Row(name, ("validate",), 1, says, dockfile)


def schema(properties: str) -> str:
    return DOCKFILE.replace("{query: {type: string}}", properties)


def once(name: str, payload: str, code: int, *says: str, prints: Any = None) -> Row:
    return Row(name, ("test", "-p", payload), code, says, prints=prints)


def query(text: str) -> str:
    return json.dumps({"query": text})


ON_LOOPBACK = ("run", "--host", HOST)
PLACES = "each line starts with where it is: file, line, column"
TEXT_FILE = "a Dockfile is a text file that you may read, in UTF-8"
ENV_FILES = "Hint: env files are NAME=value lines or flat YAML, in UTF-8: .env beside the Dockfile, and --env-file"
SECRETS = "secrets: {required: [{name: A_KEY}, {name: B_KEY}]}\n"
NO_MAPPING = "a Dockfile has version, agent, io_schema and expose"
QUOTING = """Hint: quote it for the shell: -p '{"query": "hello"}'"""
INPUT = "Hint: io_schema.input in the Dockfile says what a payload must be"
ELOOP = "Too many levels of symbolic links"
IS = "io_schema.input.properties.query"

# fmt: off
DOCKFILES = [
    wrong("nothing", "", ": is empty; " + NO_MAPPING, hint=TEXT_FILE),
    wrong("a list", "- version\n", f":1:1: must be a mapping, got a list; {NO_MAPPING}"),
    wrong("another file", "PASSWORD=hunter2\n", f":1:1: must be a mapping, got one value; {NO_MAPPING}"),
    wrong("keys twice", DOCKFILE + "expose: {}\n", ":10:1: expose: is given twice, first on line 9, column 1"),
    wrong("tabs", DOCKFILE.replace("  name", "\tname"), ":3:1: no valid YAML: a tab cannot indent; use spaces"),
    wrong("not closed", DOCKFILE + "a: [1\n", ":11:1: no valid YAML: expected ',' or ']', but got '<stream end>'"),
    wrong("NUL", DOCKFILE + "a: \0\n", ":10:4: no valid YAML: the character U+0000 is not allowed"),
    wrong("not UTF-8", DOCKFILE.encode() + b"# \xff\n", f" is not UTF-8: byte {len(DOCKFILE) + 2}", hint=TEXT_FILE),
    wrong("variable", DOCKFILE.replace("{}", "{host: \"${NOT_SET}\"}"), ":9:16: expose.host: the variable NOT_SET is not set and has no default"),
    wrong("remote $ref", schema("{query: {$ref: https://a.test/b}}"), f':7:32: {IS}.$ref: must not lead out of this schema, nothing is fetched; put what it names under `$defs`, got "https://a.test/b"'),
    wrong("dangling $ref", schema("{query: {$ref: '#/$defs/a'}}"), f':7:32: {IS}.$ref: leads nowhere in this schema, got "#/$defs/a"'),
    wrong("no schema", schema("{query: {type: strng, pattern: (}}"), f':7:32: {IS}.type: is no valid JSON Schema: must be one of object, string, number, integer, boolean, array, null, or a list of these, got "strng"', f':7:48: {IS}.pattern: is no valid JSON Schema: must be a regular expression, got "("'),
    wrong("several", DOCKFILE.replace("1.0", "2").replace("{}", "{port: 70000}"), ':1:10: version: must be the text "1.0", in quotes, got "2"', ":9:16: expose.port: must be a whole number from 1 to 65535, got 70000"),
    Row("unknown keys", ("validate",), 0, ("Warning: Dockfile.yaml:9:10: expose.streming: did you mean streaming?",), DOCKFILE.replace("{}", "{streming: sse}")),
    Row("missing secrets", ("validate",), 0, ("Warning: Missing required secrets: A_KEY, B_KEY",), DOCKFILE + SECRETS),
]
FILES = [
    Row("no Dockfile", ("run", "gone/Dockfile.yaml"), 1, ("Error: gone/Dockfile.yaml not found", "Hint: go to the agent's folder, or name its Dockfile")),
    Row("unreadable Dockfile", ("validate",), 1, (f"Error: Dockfile.yaml cannot be read: {ELOOP}", "Hint: go to the agent's folder, or name its Dockfile"), None),
    Row("unreadable payload", ("test", "-f", "payload"), 1, (f"Error: payload cannot be read: {ELOOP}", "Hint: -f names a file that holds the payload, and - is standard input"), files=(("payload", None),)),
    Row("no payload file", ("test", "-f", "payload"), 1, ("Error: payload not found", "Hint: -f names a file that holds the payload; -p takes the payload itself")),
    Row("no env file", ("run", "-e", "my.env"), 1, ("Error: my.env not found", ENV_FILES)),
    Row("wrong env file", ("run", "-e", "my.env"), 1, ("Error:", "  my.env:2:1: must be NAME=value", "  my.env:3:1: C: has a quote that is not closed, or text after it", ENV_FILES), files=(("my.env", "A=1\nsecret\nC='x\n"),)),
    Row("secrets that run needs", ON_LOOPBACK, 1, ("Error: Missing required secrets: A_KEY, B_KEY", "Hint: set them in the shell, in .env beside the Dockfile, or with --env-file"), DOCKFILE + SECRETS),
    Row("no handler", ON_LOOPBACK, 1, ("Error: agent.handler: module 'service' has no 'handel'; did you mean 'handle'?", "Hint: check agent.handler and agent.entrypoint; --debug shows the traceback"), DOCKFILE.replace("handle\n", "handel\n")),
    Row("port in use", (*ON_LOOPBACK, "--port", "{taken}"), 1, (f"Error: port {{taken}} on {HOST} is already in use", "Hint: choose another one with --port, or with expose.port in the Dockfile")),
]
WORDS = [
    once("empty -p", "", 1, "Error: the payload is empty; send the agent's input as JSON.", QUOTING),
    once("no JSON", "{query: 1}", 1, "Error: the payload is not JSON: object keys must be strings (byte 1)", QUOTING),
    once("not UTF-8 -p", '{"query": "\udcff"}', 1, "Error: the payload is not UTF-8: byte 11.", QUOTING),
    once("deep -p", "[" * 100_000, 1, "Error: the payload is nested over 128 deep.", QUOTING),
    once("wrong type", '{"query": 5}', 1, 'Error: /query: 5 is not of type "string"', INPUT),
    once("missing field", "{}", 1, 'Error: the payload: "query" is a required property', INPUT),
    once("raises", query("raise"), 1, "Error: ValueError: there is no model at llama.bin", "Hint: the agent itself raised this; --debug shows the traceback"),
    once("exits", query("exit"), 1, "Error: SystemExit: 3", "Hint: the agent itself raised this; --debug shows the traceback"),
    once("returns nothing", query("nothing"), 1, "Error: output: must be an object, the agent gave nothing; return one, yield tokens, or name another `type` in io_schema.output", "Hint: compare what the agent returns with io_schema.output"),
    once("returns a cycle", query("cycle"), 0, prints={"query": "cycle", "again": "<cycle>"}),
    Row("no payload", ("test",), 2, ("Error: Give the payload with either -p/--payload or -f/--payload-file.",)),
    Row("two payloads", ("test", "-p", "{}", "-f", "a"), 2, ("Error: Give the payload with either -p/--payload or -f/--payload-file.",)),
    Row("no such port", ("run", "--port", "99999"), 2, ("Error: Invalid value for '--port': 99999 is not in the range 0<=x<=65535.",)),
    Row("no such command", ("rn",), 2, ("Error: No such command 'rn'. Did you mean 'run'?",)),
]
# fmt: on


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row.name) for row in (*DOCKFILES, *FILES, *WORDS)]
)
def test_bad_input_gets_its_answer(tmp_path: Path, taken: int, row: Row) -> None:
    for name, content in (("service.py", SERVICE), ("Dockfile.yaml", row.dockfile), *row.files):
        write(tmp_path / name, content)
    done = subprocess.run(
        [DOCKRION_RUN[0], *(word.replace("{taken}", str(taken)) for word in row.command)],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    said = [line for line in err.splitlines() if line and not LOGGED.match(line)]
    expected = [line.replace("{taken}", str(taken)) for line in row.says]
    assert without_usage(said, row.code) == expected
    assert done.returncode == row.code
    assert not FOLDERS.search(out + err), err
    assert "Traceback" not in err
    if row.code:
        assert out == ""
    if row.prints is not None:
        assert json.loads(out, parse_constant=pytest.fail) == row.prints


@pytest.fixture(scope="module")
def taken() -> Any:
    with socket.create_server((HOST, 0)) as other:
        yield other.getsockname()[1]


def without_usage(lines: list[str], code: int) -> list[str]:
    if code != 2:
        return lines
    usage, hint, *rest = lines
    assert usage.startswith("Usage: dockrion ")
    assert re.fullmatch(r"Try 'dockrion[ \w]* --help' for help\.", hint)
    return rest


def write(path: Path, content: File) -> None:
    if content is None:
        path.symlink_to(path.name)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
