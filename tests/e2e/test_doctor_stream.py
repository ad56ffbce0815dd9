"""`dockrion doctor --stream` through real proxies: each fault has its name, and what is sound has none."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpcore2
import pytest
from tests.auth.provider import running_provider
from tests.certificates import issue

from dockrion.doctor.base import Result, Status
from dockrion.doctor.stream import unpaid
from dockrion.doctor.stream.probe import Probe, probe

from .nginx import Nginx
from .server import DOCKRION_RUN, HOST, agent_source, free_port

if TYPE_CHECKING:
    from .conftest import StartServer
    from .server import Server

pytestmark = pytest.mark.nginx

# What a proxy that is set up for agents has.
LARGE_BODIES = "client_max_body_size 10m;"
PACED = b'{"tokens": 8, "seconds": 0.2}'
API_KEY = "key-of-the-test-willow"

Proxy = Callable[..., Nginx]


@pytest.fixture(autouse=True)
def early_answers_are_soon(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a 413 only where one is to come."""
    if "max_body" not in request.node.name:
        monkeypatch.setattr(unpaid, "_EARLY_SECONDS", 0.05)


@pytest.fixture(scope="module", autouse=True)
def certificates_are_read_once() -> Iterator[None]:
    """Each client reads the system's certificates, which takes longer than what is tested here."""
    read = httpcore2.default_ssl_context
    once = cache(lambda _trusted: read())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            httpcore2, "default_ssl_context", lambda **_: once(os.environ.get("SSL_CERT_FILE"))
        )
        yield


@pytest.fixture(scope="session")
def paced(server: StartServer) -> Server:
    return server(agent_source("pacing"))


@pytest.fixture
def proxy(tmp_path: Path, paced: Server) -> Iterator[Proxy]:
    """Start proxies that stand before the paced agent, or another one."""
    running: list[Nginx] = []

    def start(location: str = "", *, http: str = LARGE_BODIES, upstream: str = "") -> Nginx:
        folder = tmp_path / f"proxy-{len(running)}"
        folder.mkdir()
        running.append(Nginx(folder, upstream or paced.url, http=http, location=location))
        return running[-1]

    yield start
    for nginx in running:
        nginx.stop()


async def probed(url: str, payload: bytes | None = None, **options: Any) -> list[Result]:
    """Probe; run the agent only where a payload is given."""
    runs: list[bytes] = []
    asked = Probe(
        url=url, payload=payload, on_run=runs.append, runs_agent=payload is not None, **options
    )
    return await probe(asked)


def at(nginx: Nginx) -> str:
    return f"http://{HOST}:{nginx.port}"


def faults(results: list[Result]) -> dict[str, str]:
    """Return what is wrong, by its check; each has a hint that says what to change."""
    found = {}
    for check, finding in results:
        if finding.status in (Status.WARNING, Status.ERROR):
            assert finding.hint, finding
            found[check] = finding.message
    return found


def hint_of(results: list[Result], check: str) -> str:
    (hint,) = [finding.hint for name, finding in results if name == check]
    return hint or ""


# The four that have to be told apart.


async def test_a_good_proxy_has_no_fault(proxy: Proxy) -> None:
    # As docs/doctor.md sets it up.
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text()
    lines = page.split("```nginx\n")[1].partition("```")[0].splitlines()[1:-1]
    (_, *settings) = lines

    results = await probed(at(proxy("\n".join(settings), http="gzip on; gzip_types *;")), PACED)

    assert faults(results) == {}
    said = {check: finding.message for check, finding in results}
    assert said["buffering"].startswith("each of 10 events came as it was sent")
    assert said["last-event-id"] == "Last-Event-ID arrives at the server"


async def test_a_proxy_that_buffers_is_named(proxy: Proxy) -> None:
    results = await probed(at(proxy("proxy_ignore_headers X-Accel-Buffering;")), PACED)

    assert list(faults(results)) == ["buffering"]
    assert re.fullmatch(
        r"the stream is buffered: all 10 events came together, at the end, up to \d\.\d s late",
        faults(results)["buffering"],
    )
    assert "proxy_buffering off" in hint_of(results, "buffering")


async def test_a_proxy_that_compresses_is_named(proxy: Proxy) -> None:
    compressing = f"gzip on; gzip_types *; gzip_proxied any; {LARGE_BODIES}"

    results = await probed(at(proxy(http=compressing)), PACED)

    assert list(faults(results)) == ["compression"]
    assert "(gzip)" in faults(results)["compression"]
    assert "gzip_types" in hint_of(results, "compression")


async def test_a_proxy_that_cuts_idle_streams_is_named_with_its_seconds(
    proxy: Proxy, server: StartServer
) -> None:
    silent = server(agent_source("silent"))
    cutting = proxy("proxy_read_timeout 5s;", upstream=silent.url)

    results = await probed(at(cutting), b'{"silent_seconds": 60}')

    assert faults(results) == {"idle": "the stream was cut after 5 s without a byte"}
    assert "streaming.events.heartbeat_interval: 2 in the Dockfile" in hint_of(results, "idle")
    assert "proxy_read_timeout" in hint_of(results, "idle")


# More of them.


async def test_a_proxy_that_buffers_and_cuts_has_both_faults(
    proxy: Proxy, server: StartServer
) -> None:
    silent = server(agent_source("silent"))
    lines = "proxy_read_timeout 2s; proxy_ignore_headers X-Accel-Buffering;"

    results = await probed(at(proxy(lines, upstream=silent.url)), b'{"silent_seconds": 60}')

    assert faults(results)["idle"] == "the stream was cut after 2 s without a byte"
    assert "the server sends `started` at once" in faults(results)["buffering"]


async def test_a_stream_that_is_left_in_silence_says_what_is_known(
    proxy: Proxy, server: StartServer
) -> None:
    silent = server(agent_source("silent"))

    results = await probed(at(proxy(upstream=silent.url)), b'{"silent_seconds": 60}', seconds=2.5)

    assert faults(results) == {}
    said = {check: finding.message for check, finding in results}
    assert re.match(r"it was silent for [12]\.\d s and not cut;", said["idle"])


async def test_heartbeats_that_come_through_are_told(proxy: Proxy, server: StartServer) -> None:
    beating = server(agent_source("silent"), streaming={"events": {"heartbeat_interval": 1}})

    results = await probed(at(proxy(upstream=beating.url)), b'{"silent_seconds": 2.5}')

    assert faults(results) == {}
    said = {check: finding.message for check, finding in results}
    assert re.search(r"and not cut, with \d heartbeats$", said["idle"])


async def test_an_agent_that_is_done_at_once_shows_nothing(paced: Server) -> None:
    results = await probed(paced.url, b'{"tokens": 1, "seconds": 0}')

    (buffering,) = [finding for check, finding in results if check == "buffering"]
    assert buffering.status is Status.INFO
    assert "is not known" in buffering.message


@pytest.mark.parametrize(
    ("line", "check", "said", "hint"),
    [
        ('proxy_set_header Last-Event-ID "";', "last-event-id", "is taken off", "Last-Event-ID"),
        ("if ($request_method = OPTIONS) { return 405; }", "cors", "preflight", "OPTIONS"),
        ("add_header Access-Control-Allow-Origin *;", "cors", "is there twice", "add_header"),
        (
            "proxy_hide_header Access-Control-Allow-Origin;",
            "cors",
            "without Access-Control-Allow-Origin",
            "Access-Control-*",
        ),
        (
            "proxy_hide_header Access-Control-Expose-Headers;",
            "cors",
            "cannot read X-Run-ID",
            "Expose-Headers",
        ),
        (
            "if ($request_method = POST) { return 301 https://other.example$request_uri; }",
            "post",
            "redirected to https://other.example/invoke/stream (301) and becomes a GET",
            "give callers the address",
        ),
        (
            "limit_except GET OPTIONS { deny all; }",
            "post",
            "answers POST /invoke/stream itself",
            "POST",
        ),
        ("client_max_body_size 1m;", "body size", "bodies of 1 MiB are refused", "proxy-body-size"),
    ],
)
async def test_what_a_proxy_does_to_requests_is_found_without_a_run(
    proxy: Proxy, line: str, check: str, said: str, hint: str
) -> None:
    http = "" if "max_body" in line else LARGE_BODIES

    results = await probed(at(proxy(line, http=http)))

    assert list(faults(results)) == [check]
    assert said in faults(results)[check]
    assert hint in hint_of(results, check)


async def test_looking_without_a_run_starts_none(
    own_server: StartServer, proxy: Proxy, tmp_path: Path
) -> None:
    source = "def handle(payload):\n    open('ran', 'w').close()\n    return {}\n"
    counting = own_server(source)

    # Also where the header is lost that keeps a POST from being a call.
    stripping = proxy('proxy_set_header Last-Event-ID "";', upstream=counting.url)
    results = await probed(at(stripping))

    assert "last-event-id" in faults(results)
    assert not (counting.folder / "ran").exists()


async def test_headers_of_the_stream_that_are_rewritten_are_named(proxy: Proxy) -> None:
    cached = await probed(at(proxy("proxy_hide_header Cache-Control; expires 1h;")), PACED)
    retyped = await probed(
        at(proxy("proxy_hide_header Content-Type; add_header Content-Type text/plain;")), PACED
    )
    anonymous = await probed(at(proxy("proxy_hide_header X-Run-ID;")), PACED)

    assert "caches may keep a stream" in faults(cached)["headers"]
    assert "text/plain and not as text/event-stream" in faults(retyped)["headers"]
    assert faults(anonymous)["headers"] == "X-Run-ID is taken off"


async def test_credentials_that_get_lost_differ_from_wrong_and_missing_ones(
    proxy: Proxy, server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKRION_API_KEY", API_KEY)
    closed = server(agent_source("pacing"), auth={"mode": "api_key"})
    sound, stripping = (
        proxy(upstream=closed.url),
        proxy('proxy_set_header X-API-Key "";', upstream=closed.url),
    )

    missing = await probed(at(sound), PACED)
    wrong = await probed(at(sound), PACED, key="another")
    lost = await probed(at(stripping), PACED, key=API_KEY)
    right = await probed(at(sound), PACED, key=API_KEY)

    assert "callers have to prove who they are (API key required)" in faults(missing)["auth"]
    assert "--api-key" in hint_of(missing, "auth")
    assert faults(wrong)["auth"] == "the server refuses the key: Invalid API key"
    assert faults(lost)["auth"].startswith("X-API-Key does not arrive at the server")
    assert faults(right) == {}
    assert API_KEY not in repr([missing, wrong, lost, right])


async def test_a_path_prefix_is_cut_off_known_or_neither(
    tmp_path: Path, paced: Server, server: StartServer, proxy: Proxy
) -> None:
    knowing = server(agent_source("pacing"), expose={"root_path": "/agents/one"})
    ports = [free_port() for _ in range(3)]
    passes = [f"{paced.url}/", paced.url, f"{knowing.url}/"]
    servers = [
        f"server {{ listen {HOST}:{port}; {LARGE_BODIES}"
        f" location /agents/one/ {{ proxy_pass {upstream}; }} }}"
        for port, upstream in zip(ports, passes, strict=True)
    ]
    proxy(http=" ".join(servers))

    unknown, whole, known = [
        await probed(f"http://{HOST}:{port}/agents/one/invoke/stream") for port in ports
    ]

    assert "does not know" in faults(unknown)["path"]
    assert hint_of(unknown, "path") == "expose.root_path: /agents/one in the Dockfile"
    assert "knows nothing below /agents/one" in faults(whole)["server"]
    assert faults(known) == {}
    assert "path" in [check for check, _ in known]


async def test_a_redirect_to_another_host_gets_no_key(proxy: Proxy) -> None:
    with running_provider() as other:
        moving = proxy(f"return 302 {other.url.replace(HOST, 'localhost')}/health;")

        results = await probed(at(moving), PACED, key=API_KEY)

        assert "clients repeat a POST there as a GET" in faults(results)["redirect"]
        assert not other.asked


async def test_what_is_no_dockrion_server_is_told(proxy: Proxy) -> None:
    page = await probed(at(proxy("default_type text/html; return 200 '<h1>hello</h1>';")), PACED)
    nothing = await probed(at(proxy(upstream=f"http://{HOST}:{free_port()}")), PACED)
    locked = await probed(
        at(proxy('add_header WWW-Authenticate "Basic realm=x" always; return 401;')), PACED
    )
    login = await probed(at(proxy("return 302 /login;")), PACED)
    closed = await probed(f"http://{HOST}:{free_port()}", PACED)

    assert "is no dockrion server: /health answers 200, text/html" in faults(page)["server"]
    assert "reaches no server behind it (502" in faults(nothing)["server"]
    assert "asks for credentials of its own (Basic)" in faults(locked)["server"]
    assert "/health is redirected to" in faults(login)["server"]
    assert faults(closed)["server"].endswith("cannot be reached: Connection refused")


async def test_tls_is_told_by_its_fault_and_http_2_by_its_offer(
    tmp_path: Path, paced: Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = issue(tmp_path, HOST)
    port = free_port()
    proxy(
        http=f"server {{ listen {HOST}:{port} ssl http2; {LARGE_BODIES}"
        f" ssl_certificate {certificate.chain}; ssl_certificate_key {certificate.key};"
        f" location / {{ proxy_pass {paced.url}; }} }}"
    )

    untrusted = await probed(f"https://{HOST}:{port}")
    plain = await probed(f"https://{HOST}:{paced.port}")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.authority))
    trusted = await probed(f"https://{HOST}:{port}", PACED)

    assert "is not trusted" in faults(untrusted)["TLS"]
    assert "no TLS with" in faults(plain)["TLS"]
    assert faults(trusted) == {}
    assert {check: finding.status for check, finding in trusted}["http"] is Status.OK


async def test_a_server_that_dies_is_not_taken_for_a_proxy_that_cuts(
    own_server: StartServer, proxy: Proxy
) -> None:
    source = (
        "import os\n"
        "async def handle(payload):\n"
        "    yield 'last words'\n"
        "    import asyncio\n"
        "    await asyncio.sleep(0.3)\n"
        "    os._exit(1)\n"
    )
    dying = own_server(source)

    results = await probed(at(proxy(upstream=dying.url)), b"{}")

    assert "the server does not answer any more" in faults(results)["idle"]


async def test_a_payload_that_does_not_fit_is_told_and_a_fitting_one_is_made(
    server: StartServer, proxy: Proxy
) -> None:
    schema = {"properties": {"name": {"type": "string"}}, "required": ["name"]}
    greeting = server(agent_source("pacing"), handler="greet", io_schema={"input": schema})
    sent: list[bytes] = []

    refused = await probed(greeting.url, b"{}")
    made = await probe(Probe(url=greeting.url, on_run=sent.append))

    assert "the server refuses the payload" in faults(refused)["payload"]
    assert faults(made) == {}
    assert json.loads(sent[0]).keys() == {"name"}


def test_the_command_says_before_it_runs_the_agent_and_prints_data_alone(proxy: Proxy) -> None:
    buffering = proxy("proxy_ignore_headers X-Accel-Buffering;")

    done = subprocess.run(
        [DOCKRION_RUN[0], "doctor", "--stream", at(buffering), "-p", PACED, "--json"],
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0
    assert done.stderr.startswith(b"This runs the agent once, with ")
    findings = json.loads(done.stdout)["findings"]
    assert [one["check"] for one in findings if one["status"] == "error"] == ["buffering"]
