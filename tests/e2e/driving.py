"""A page in a real Chromium, driven step by step from a test."""

from __future__ import annotations

import json
import subprocess
from types import TracebackType
from typing import Any, Self

from .browser import CLIENTS, TIMEOUT_SECONDS, chromium


class Browser:
    """One Chromium with one page. `on` is a selector of Playwright, such as `role=button[name="Run"]`.

    A step that cannot be done within 20 seconds fails the test.
    """

    def __enter__(self) -> Self:
        self._node = subprocess.Popen(
            ["node", "driving.mjs"],
            cwd=CLIENTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        self._write({"chromium": chromium()})
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._node.communicate(timeout=TIMEOUT_SECONDS)
        finally:
            self._node.kill()

    def open(self, url: str, **view: Any) -> None:
        """Open a URL in a fresh profile; `width`, `height`, `scheme` (light, dark) and `forced` (colours) say how it is seen."""
        self._do("open", url=url, **view)

    def another(self, url: str) -> None:
        """Open a URL in another tab of the same profile, and go on there."""
        self._do("another", url=url)

    def turn(self, to: int) -> None:
        """Go on in the tab with this number."""
        self._do("turn", to=to)

    def reload(self) -> None:
        self._do("reload")

    def fill(self, on: str, text: str) -> None:
        self._do("fill", on=on, text=text)

    def click(self, on: str) -> None:
        self._do("click", on=on)

    def choose(self, on: str, text: str) -> None:
        self._do("choose", on=on, text=text)

    def check(self, on: str) -> None:
        self._do("check", on=on)

    def press(self, keys: str) -> None:
        self._do("press", keys=keys)

    def wait(self, on: str, state: str = "visible") -> None:
        self._do("wait", on=on, state=state)

    def text(self, on: str) -> str:
        return self._do("text", on=on)

    def value(self, on: str) -> str:
        return self._do("value", on=on)

    def count(self, on: str) -> int:
        return self._do("count", on=on)

    def evaluate(self, code: str) -> Any:
        return self._do("evaluate", code=code)

    def shot(self, path: str) -> None:
        self._do("shot", path=path)

    @property
    def requests(self) -> list[str]:
        """The URLs that the page has asked for."""
        return self._do("seen")["requests"]

    @property
    def problems(self) -> list[str]:
        """What the page has complained of, refused requests among it."""
        return self._do("seen")["problems"]

    def barriers(self) -> list[Any]:
        """Return what axe finds wrong with the page as it is now."""
        said = self._do("axe")
        assert said["passed"] > 10, "axe has looked at nothing"
        return said["found"]

    def _do(self, name: str, **given: Any) -> Any:
        self._write({"do": name, **given})
        assert self._node.stdout is not None
        line = self._node.stdout.readline()
        assert line, "the browser is gone"
        answer = json.loads(line)
        assert "failed" not in answer, f"{name} {given}: {answer['failed']}\n{answer['problems']}"
        return answer["is"]

    def _write(self, line: dict[str, Any]) -> None:
        assert self._node.stdin is not None
        self._node.stdin.write(json.dumps(line) + "\n")
        self._node.stdin.flush()
