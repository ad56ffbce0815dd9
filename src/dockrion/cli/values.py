"""Options whose values end up in a Dockfile: the field itself says what it takes, so nothing is said twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem


class FieldValue(click.ParamType[Any, Any]):
    """A value for the field at `loc`; `offers` are what a shell completes."""

    def __init__(
        self,
        *loc: str | int,
        name: str = "text",
        read: Callable[[str], Any] = str,
        offers: Sequence[str] = (),
    ) -> None:
        self.name = name
        self._loc = loc
        self._read = read
        self._offers = offers

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        # Only who gives such a value pays for the models.
        from dockrion.spec.values import complaint_about

        found = self._read(value) if isinstance(value, str) else value
        complaint = complaint_about(self._loc, found)
        if complaint is not None:
            self.fail(f"{value!r}: {complaint}.", param, ctx)
        return found

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        return [CompletionItem(offer) for offer in self._offers if offer.startswith(incomplete)]


class FieldValues(click.ParamType[Any, Any]):
    """Values with commas between them, each once; each is one for the field at `loc`."""

    name = "names"

    def __init__(self, *loc: str | int, example: str, offers: Sequence[str] = ()) -> None:
        self._loc = loc
        self._example = example
        self._offers = offers

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if not isinstance(value, str):
            return value
        from dockrion.spec.values import complaint_about

        names = dict.fromkeys(name.strip() for name in value.split(",") if name.strip())
        if not names:
            self.fail(
                f"no name is given; write them with commas between them: {self._example}.",
                param,
                ctx,
            )
        for name in names:
            complaint = complaint_about(self._loc, name)
            if complaint is not None:
                self.fail(f"{name!r}: {complaint}.", param, ctx)
        return tuple(names)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Complete the last name, with those before it."""
        before, comma, last = incomplete.rpartition(",")
        return [
            CompletionItem(f"{before}{comma}{offer}")
            for offer in self._offers
            if offer.startswith(last)
        ]


def secret_names() -> FieldValues:
    return FieldValues("secrets", "required", 0, "name", example="A_KEY,B_KEY")


def as_number(text: str) -> Any:
    """Read a number as YAML does; what is none stays text, which the field refuses."""
    from dockrion.spec.document import core_scalar

    return core_scalar(text.strip())


def as_words(text: str) -> str | tuple[str, ...]:
    """Read one word, or some with commas between them."""
    words = tuple(word.strip() for word in text.split(","))
    return words if "," in text else text.strip()


def as_events(text: str) -> str | tuple[str, ...]:
    """Read a preset, or event types; one type alone is a list, too."""
    from dockrion.spec.streaming import PRESETS

    words = as_words(text)
    return (words,) if isinstance(words, str) and words not in PRESETS else words
