"""Every command and every option, used well and badly: what comes of it in a terminal and in a pipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Row:
    """A command line, in the folder of `project.py`, and what comes of it.

    `out` stands on standard output, `said` on standard error; on a terminal both are on the screen. `{url}` is an agent
    that is served, `{folder}` the folder. `typed` is what is typed, or comes through standard input; at the text `stop_at`
    Ctrl-C is pressed. `only` is "terminal" or "pipe", where it is about that one.
    """

    line: str
    code: int = 0
    out: str = ""
    said: str = ""
    typed: str = ""
    stop_at: str = ""
    only: str = ""
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def words(self) -> list[str]:
        """The words of the line, of which those between quotes are one."""
        import shlex

        return shlex.split(self.line)


P: Final = """-p '{"query": "hi"}'"""
NOT_FOUND: Final = "not found\nHint: "
READY: Final = "stop    Ctrl-C"

ROWS: Final = (
    # The command itself
    Row("", out="Usage: dockrion [OPTIONS] [COMMAND]"),
    Row("-h", out="Commands:\n  add "),
    Row("--help", out="Usage: dockrion"),
    Row("--version", out="Dockrion CLI v"),
    Row("--debug version", out="Dockrion CLI v"),
    Row("nonsense", 2, said="No such command 'nonsense'"),
    Row("--nonsense", 2, said="No such option"),
    # init
    Row("init speller -o new/Dockfile.yaml", out="✓ new/Dockfile.yaml\n", said="Next:\n"),
    Row("init speller --output new/Dockfile.yaml", out="✓ new/agent.py\n"),
    Row("init speller -o broken.yaml/x", 1, said="cannot be written: Not a directory"),
    Row("init speller -f", out="✓ Dockfile.yaml\n"),
    Row("init speller --force", out="✓ Dockfile.yaml\n"),
    Row("init speller", said="Overwrite it? [y/N]: ", typed="n\n"),
    Row("init speller", out="✓ Dockfile.yaml\n", said="Overwrite it?", typed="y\n"),
    Row("init speller", 1, said="Error: Dockfile.yaml exists\nHint: ", typed="\x04", only="terminal"),
    Row("init speller", 1, said="Error: Dockfile.yaml exists\nHint: ", only="pipe"),
    Row("init speller", 130, stop_at="[y/N]: ", only="terminal"),
    Row("init -o new/", out="✓ new/agent.py\n", said="[new]:", typed="\n\n\n", only="terminal"),
    Row("init -o new/", 130, stop_at="[new]:", only="terminal"),
    Row("init -o new/", 1, said="there was no answer", typed="\x04", only="terminal"),
    Row("init", 2, said="Missing argument 'NAME'", only="pipe"),
    Row("init Speller -f", 2, said="'Speller': must be lower-case letters"),
    Row("init speller -fF langchain", out="✓ Dockfile.yaml\n"),
    Row("init speller -f -F custom", out="✓ agent.py\n"),
    Row("init speller -f --framework custom", out="✓ agent.py\n"),
    Row("init speller -f --framework flask", 2, said="'flask': must be one of custom"),
    Row("init speller -f -H app.speller:spell", out="✓ app/speller.py\n"),
    Row("init speller -f --handler app.speller:spell", out="✓ app/__init__.py\n"),
    Row("init speller -f -H spell", 2, said="must be module.path:name"),
    Row("init speller -f -a jwt", out="✓ Dockfile.yaml\n"),
    Row("init speller -f --auth api_key", said="cp .env.example .env"),
    Row("init speller -f -a magic", 2, said="'magic' is not one of"),
    Row("init speller -f --cors", out="✓ Dockfile.yaml\n"),
    Row("init speller -f --secrets", said="cp .env.example .env"),
    Row("init speller -f --secret-names A_KEY,B_KEY", said="cp .env.example .env"),
    Row("init speller -f --secret-names a", 2, said="'a': must be upper-case letters"),
    Row("init speller -f -s none", out="✓ Dockfile.yaml\n"),
    Row("init speller -f --streaming sse,websocket", out="✓ Dockfile.yaml\n"),
    Row("init speller -f -s smoke", 2, said="'smoke': must be sse, websocket, none"),
    Row("init speller -f -E chat", out="✓ Dockfile.yaml\n"),
    Row("init speller -f --streaming-events token,step", out="✓ Dockfile.yaml\n"),
    Row("init speller -f -E everything", 2, said="a list may have"),
    Row("init speller -f -A", out="✓ Dockfile.yaml\n"),
    Row("init speller -f --async-runs", out="✓ Dockfile.yaml\n"),
    Row("init speller -f --streaming-backend sqlite", out="✓ Dockfile.yaml\n"),
    Row("init speller -f --streaming-backend tape", 2, said="'tape' is not one of"),
    Row("init speller -f --obs", out="✓ Dockfile.yaml\n"),
    Row("init speller -f --observability", out="✓ Dockfile.yaml\n"),
    Row("init speller -f -m", out="✓ Dockfile.yaml\n"),
    Row("init speller -f --metadata", out="✓ Dockfile.yaml\n"),
    Row("init speller -f --full", out="✓ Dockfile.yaml\n"),
    # add
    Row("add", 2, said="Usage: dockrion add"),
    Row("add -h", out="streaming  "),
    Row("add nonsense", 2, said="No such command 'nonsense'"),
    Row("add streaming", out="✓ streaming is in Dockfile.yaml"),
    Row("add streaming sqlite.yaml", 1, said="has a section `streaming` already\nHint: --force"),
    Row("add streaming sqlite.yaml -f", out="✓ streaming is in sqlite.yaml"),
    Row("add streaming sqlite.yaml --force", out="✓ streaming is in sqlite.yaml"),
    Row("add streaming nowhere.yaml", 1, said=f"nowhere.yaml {NOT_FOUND}"),
    Row("add streaming -E chat -A -b sqlite", out="✓ streaming is in Dockfile.yaml"),
    Row("add streaming --events token --async-runs", out="✓ streaming is in Dockfile.yaml"),
    Row("add streaming --backend sqlite", out="✓ streaming is in Dockfile.yaml"),
    Row("add streaming --heartbeat 5 --max-duration 60", out="✓ streaming is in Dockfile.yaml"),
    Row("add streaming -E nothing", 2, said="a list may have"),
    Row("add streaming -b tape", 2, said="'tape' is not one of"),
    Row("add streaming --heartbeat 0", 2, said="'0': must be a number from 1 to 300"),
    Row("add streaming --max-duration long", 2, said="'long': must be a number from 1 to 86400"),
    Row("add auth", out="✓ auth is in Dockfile.yaml", said="Set DOCKRION_API_KEY"),
    Row("add auth authed.yaml", 1, said="has a section `auth` already\nHint: --force"),
    Row("add auth authed.yaml -f -m jwt", out="✓ auth is in authed.yaml"),
    Row("add auth authed.yaml --force --mode none", out="✓ auth is out of authed.yaml"),
    Row("add auth --env-var A_KEY --header X-Key", said="Set A_KEY"),
    Row("add auth -m magic", 2, said="'magic' is not one of"),
    Row("add auth --env-var 'a key'", 2, said="Invalid value for '--env-var'"),
    Row("add auth --header 'a key'", 2, said="Invalid value for '--header'"),
    Row("add secrets A_KEY,B_KEY", out="✓ B_KEY is in Dockfile.yaml"),
    Row("add secrets secret.yaml SPELLER_KEY", out="✓ SPELLER_KEY was in secret.yaml already"),
    Row("add secrets secret.yaml A_KEY --optional -f", out="✓ A_KEY is in secret.yaml"),
    Row("add secrets secret.yaml A_KEY --force", out="✓ A_KEY is in secret.yaml"),
    Row("add secrets", 2, said="Missing argument"),
    Row("add secrets a", 2, said="Invalid value for NAMES: 'a'"),
    # validate
    Row("validate", out="✓ Dockfile is valid\nAgent: speller\nMode: handler (service:answer)\n"),
    Row("validate words.yaml -v", out="\nstreaming:\n"),
    Row("validate --verbose", out="\nstreaming:\n"),
    Row("validate -q"),
    Row("validate --quiet"),
    Row("validate --json", out='"valid": true'),
    Row("validate broken.yaml", 1, said="✗ Dockfile is invalid\n"),
    Row("validate broken.yaml -q", 1, said="broken.yaml:2:15: agent.name: must be"),
    Row("validate broken.yaml --json", 1, out='"valid": false'),
    Row("validate secret.yaml", said="Warning: Missing required secrets: SPELLER_KEY"),
    Row("validate empty", 1, said=f"Dockfile.yaml {NOT_FOUND}"),
    Row("validate one two", 2, said="unexpected extra argument"),
    # test
    Row(f"test {P}", out='{\n  "answer": "HI"\n}\n'),
    Row("""test --payload '{"query": "hi"}'""", out='"answer": "HI"'),
    Row("test -f payload.json", out='"answer": "FROM A FILE"'),
    Row("test --payload-file payload.json", out='"answer": "FROM A FILE"'),
    Row("test -f -", out='"answer": "TYPED"', typed='{"query": "typed"}\n\x04', only="terminal"),
    Row("test -f -", out='"answer": "PIPED"', typed='{"query": "piped"}', only="pipe"),
    Row(f"test {P} -o out.json"),
    Row(f"test {P} --output out.json"),
    Row(f"test {P} -v", out='"answer": "HI"', said='metadata {"agent":"speller"'),
    Row(f"test {P} --verbose", said='metadata {"agent":"speller"'),
    Row(f"test words.yaml {P} --stream", out='"content": "hi"', said='token {"content":"hi"'),
    Row("test", 2, said="Give the payload with either"),
    Row(f"test {P} -f payload.json", 2, said="Give the payload with either"),
    Row("test -p ''", 1, said="Error: the payload is empty"),
    Row("test -f bad.json", 1, said="Error: the payload is not JSON"),
    Row("test -f nowhere.json", 1, said=f"nowhere.json {NOT_FOUND}"),
    Row("test -p '{}'", 1, said="query"),
    Row(f"test {P} -o empty", 1, said="empty cannot be written: it is a folder\nHint: "),
    Row(f"test nowhere.yaml {P}", 1, said=f"nowhere.yaml {NOT_FOUND}"),
    Row(f"test broken.yaml {P}", 1, said="broken.yaml:2:15: agent.name"),
    Row(f"test gone.yaml {P}", 1, said="Error: "),
    Row(f"test fails.yaml {P}", 1, said="Error: LookupError: no such thing\nHint: "),
    Row(f"test fails.yaml {P} --debug", 1, said="Traceback (most recent call last)"),
    Row(f"test secret.yaml {P}", out='"answer": "HI"', said="Missing required secrets"),
    Row(f"test endless.yaml {P}", 130, stop_at="the agent has begun"),
    # inspect
    Row(f"inspect {P}", out='{\n  "answer": "HI"\n}\n'),
    Row("inspect --payload '{\"query\": \"hi\"}' -r", out="{'answer': 'HI'}\n"),
    Row(f"inspect {P} --raw", out="{'answer': 'HI'}\n"),
    Row("inspect -f payload.json -g", out="io_schema:\n  input:\n    type: object\n"),
    Row("inspect --payload-file payload.json --generate-schema", out="io_schema:\n"),
    Row(f"inspect {P} -o out.json"),
    Row(f"inspect {P} --output out.json"),
    Row(f"inspect {P} -v", said="returned builtins.dict\n"),
    Row(f"inspect {P} --verbose", said='metadata {"agent":"speller"'),
    Row(f"inspect {P} -g -r", 2, said="not both"),
    Row("inspect", 2, said="Give the payload with either"),
    Row("inspect -p '{'", 1, said="Error: the payload is not JSON"),
    Row("inspect -f nowhere.json", 1, said=f"nowhere.json {NOT_FOUND}"),
    Row(f"inspect {P} -o nowhere/x", 1, said="there is no folder nowhere"),
    Row(f"inspect fails.yaml {P}", 1, said="Error: LookupError: no such thing\nHint: "),
    Row(f"inspect endless.yaml {P}", 130, stop_at="the agent has begun"),
    # logs
    Row("logs speller", out="line 20\nline 21\n"),
    Row("logs speller -n 1", out="line 119\n"),
    Row("logs speller --lines 2 -v", out="line 118\nline 119\n", said="read .dockrion_runtime/"),
    Row("logs speller --verbose", out="line 119\n", said="read .dockrion_runtime/"),
    Row("logs speller -f", out="line 119\n", stop_at="line 119"),
    Row("logs speller --follow", out="line 119\n", stop_at="line 119"),
    Row("logs spellar", 1, said="no agent 'spellar' has logged here\nHint: there are: speller"),
    Row("logs speller -n few", 2, said="'few' is not a valid integer range"),
    Row("logs", 2, said="Missing argument 'AGENT'"),
    # run and worker
    Row("run --host 127.0.0.1 --port 0", said="speller is ready after", stop_at=READY),
    Row("run --host 127.0.0.1 --port 0 -v", said=READY, stop_at=READY),
    Row("run secret.yaml --host 127.0.0.1 --port 0 -e vars.env --verbose", said="secret  SPELLER_KEY  vars.env", stop_at=READY),
    Row("run secret.yaml --host 127.0.0.1 --port 0 --env-file vars.env", said=READY, stop_at=READY),
    Row("run sqlite.yaml --host 127.0.0.1 --port 0 -w 2", said=READY, stop_at=READY),
    Row("run sqlite.yaml --host 127.0.0.1 --port 0 --workers 2", said=READY, stop_at=READY),
    Row("run --host 127.0.0.1 --port 0 -r", said=READY, stop_at=READY),
    Row("run --host 127.0.0.1 --port 0 --reload", said=READY, stop_at=READY),
    Row("run --host 127.0.0.1 --port 0 --install", said="uv pip install", stop_at=READY),
    Row("run --host ' '", 2, said="must not be blank"),
    Row("run --port 65536", 2, said="Invalid value for '--port'"),
    Row("run -w none", 2, said="Invalid value for '-w'"),
    Row("run -w 2 --host 127.0.0.1 --port 0", 1, said="Error: "),
    Row("run -r -w 2", 2, said="--reload serves with one process"),
    Row("run empty --install", 1, said=f"Dockfile.yaml {NOT_FOUND}"),
    Row("run -e nowhere.env", 1, said="nowhere.env not found"),
    Row("run secret.yaml --port 0", 1, said="Missing required secrets: SPELLER_KEY\nHint: "),
    Row("run gone.yaml --host 127.0.0.1 --port 0", 1, said="Error: "),
    Row("run --host 127.0.0.1 --port {port}", 1, said="already in use"),
    Row("worker sqlite.yaml", said="Ctrl-C ends it", stop_at="Ctrl-C ends it"),
    Row("worker sqlite.yaml -v", said="Ctrl-C ends it", stop_at="Ctrl-C ends it"),
    Row("worker sqlite.yaml --verbose -e vars.env", said="Ctrl-C ends it", stop_at="Ctrl-C ends it"),
    Row("worker sqlite.yaml --env-file vars.env", said="Ctrl-C ends it", stop_at="Ctrl-C ends it"),
    Row("worker", 1, said="Error: "),
    Row("worker nowhere.yaml", 1, said=f"nowhere.yaml {NOT_FOUND}"),
    Row("worker sqlite.yaml -e nowhere.env", 1, said="nowhere.env not found"),
    # invoke
    Row(f"invoke {{url}} {P}", out='{\n  "answer": "HI"\n}\n'),
    Row("""invoke {url} --payload '{"query": "hi"}' --json""", out='"run_id"'),
    Row("invoke {url} -f payload.json", out='"answer": "FROM A FILE"'),
    Row("invoke {url} --payload-file payload.json", out='"answer": "FROM A FILE"'),
    Row(f"invoke {{url}} {P} -o out.json"),
    Row(f"invoke {{url}} {P} --output out.json"),
    Row(f"invoke {{url}} {P} --stream", out='"answer": "HI"', said="complete"),
    Row(f"invoke {{url}} {P} --api-key k -H 'X-A: b' --timeout 30", out='"answer": "HI"'),
    Row(f"invoke {{url}} {P} --header 'X-A: b'", out='"answer": "HI"'),
    Row("invoke {url} --last-event-id x:0", 1, said="Error: "),
    Row("invoke {url}", 2, said="Give the payload with either"),
    Row("invoke {url} -p '{'", 1, said="Error: the payload is not JSON"),
    Row("invoke {url} -p '{}'", 1, said="Error: "),
    Row("invoke {url} -f nowhere.json", 1, said=f"nowhere.json {NOT_FOUND}"),
    Row(f"invoke {{url}} {P} -o empty", 1, said="empty cannot be written"),
    Row(f"invoke {{url}} {P} -H none", 2, said="must be 'Name: value'"),
    Row(f"invoke {{url}} {P} --timeout 0", 2, said="Invalid value for '--timeout'"),
    Row(f"invoke http://127.0.0.1:1 {P}", 1, said="Error: "),
    Row("invoke", 2, said="Missing argument 'URL'"),
    # build
    Row("build", out="dockrion/speller:dev", said="docker build -t dockrion/speller:dev"),
    Row("build --tag v1 --no-cache --target local", said="--no-cache"),
    Row("build --no-docker", out=".dockrion_runtime"),
    Row("build --no-docker --json", out='"image": "dockrion/speller:dev"'),
    Row("build --no-docker -v", said="file    service.py"),
    Row("build --no-docker --verbose", said="file    service.py"),
    Row("build secret.yaml --no-docker -e vars.env", out=".dockrion_runtime"),
    Row("build secret.yaml --no-docker --env-file vars.env", out=".dockrion_runtime"),
    Row("build secret.yaml --no-docker --allow-missing-secrets", said="SPELLER_KEY"),
    Row("build secret.yaml --no-docker", 1, said="Missing required secrets: SPELLER_KEY\nHint: "),
    Row("build --tag -x", 2, said="Invalid value for '--tag'"),
    Row("build --target moon", 2, said="'moon' is not"),
    Row("build -e nowhere.env", 1, said="nowhere.env not found"),
    Row("build nowhere.yaml", 1, said=f"nowhere.yaml {NOT_FOUND}"),
    # doctor
    Row("doctor", out="Python"),
    Row("doctor --json", out='"'),
    Row("doctor secret.yaml -e vars.env", out="Python"),
    Row("doctor secret.yaml --env-file vars.env --timeout 20", out="Python"),
    Row("doctor nowhere.yaml", out="nowhere.yaml"),
    Row("doctor --stream {url} --no-run", out=""),
    Row("doctor --stream {url} -p '{\"query\": \"hi\"}' --api-key k --origin http://a.example"),
    Row("doctor --stream {url} --payload '{\"query\": \"hi\"}'"),
    Row("doctor --stream {url} -f payload.json"),
    Row("doctor --stream {url} --payload-file payload.json"),
    Row("doctor --no-run", 2, said="--no-run needs --stream URL"),
    Row("doctor -p '{}'", 2, said="needs --stream URL"),
    Row("doctor --stream {url} -p '{'", 1, said="Error: the payload is not JSON"),
    Row("doctor --stream {url} -f nowhere.json", 1, said=f"nowhere.json {NOT_FOUND}"),
    Row("doctor --timeout 0", 2, said="Invalid value for '--timeout'"),
    Row("doctor --api-key k", 2, said="needs --stream URL"),
    Row("doctor --origin k", 2, said="needs --stream URL"),
    Row("doctor --stream {url} -e vars.env", 2, said="--env-file"),
    # the rest
    Row("schema", out='"$schema"'),
    Row("schema -o schema.json"),
    Row("schema --output schema.json"),
    Row("schema -o nowhere/schema.json", 1, said="cannot be written"),
    Row("version", out="\nSDK v"),
    Row("version now", 2, said="unexpected extra argument"),
    Row("completion bash", out="_DOCKRION_COMPLETE=bash_complete"),
    Row("completion fish", out="_DOCKRION_COMPLETE=fish_complete"),
    Row("completion zsh", out="_DOCKRION_COMPLETE=zsh_complete"),
    Row("completion tcsh", 2, said="'tcsh' is not one of"),
)  # fmt: skip

# Options that take any text, so that no value is a bad one.
ANY_VALUE: Final = frozenset(
    {("invoke", "--api-key"), ("invoke", "--last-event-id"), ("doctor", "--stream")}
)
