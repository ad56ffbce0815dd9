"""The whole Dockfile, validated: `DockSpec`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic import ValidationError as PydanticValidationError

from dockrion.spec.agent import AgentSpec
from dockrion.spec.auth import AuthSpec
from dockrion.spec.build import BuildSpec, MetadataSpec
from dockrion.spec.chat import chat_problems
from dockrion.spec.doubts import doubts
from dockrion.spec.env import process_environment
from dockrion.spec.expose import ExposeSpec
from dockrion.spec.fields import anything, bad_values, free_mapping, without_unresolved
from dockrion.spec.io_schema import IoSchemaSpec
from dockrion.spec.observability import ObservabilitySpec
from dockrion.spec.policies import PoliciesSpec
from dockrion.spec.problems import Source, add_problems, invalid
from dockrion.spec.secrets import SecretsSpec
from dockrion.spec.section import Section
from dockrion.spec.shape import Loc
from dockrion.spec.streaming import RunsSpec, StreamingSpec
from dockrion.spec.unknown_keys import unknown_keys

Version = Annotated[
    Literal["1.0"],
    anything('the text "1.0", in quotes', lambda v: v == "1.0", {"enum": ["1.0"]}),
]


class DockSpec(Section):
    """One Dockfile. Built from a mapping, too; then relative paths start at the current folder.

    A spec that is not valid raises `dockrion.errors.ValidationError` with all problems, however it is made.
    """

    version: Version = Field(description='Version of this format: "1.0".')
    agent: AgentSpec = Field(description="What serves the requests.")
    io_schema: IoSchemaSpec = Field(description="What goes in and what comes out.")
    expose: ExposeSpec = Field(description="What the server offers, where, within which limits.")
    streaming: StreamingSpec = Field(
        default={}, validate_default=True, description="Events, connections, and where runs live."
    )
    runs: RunsSpec = Field(
        default={}, validate_default=True, description="How async runs are executed."
    )
    auth: AuthSpec | None = Field(default=None, description="Who may call; everybody when absent.")
    policies: PoliciesSpec = Field(
        default={}, validate_default=True, description="Tools, injection, redaction, caps."
    )
    secrets: SecretsSpec = Field(
        default={}, validate_default=True, description="Variables that the agent needs."
    )
    observability: ObservabilitySpec = Field(
        default={}, validate_default=True, description="Logs, metrics, traces."
    )
    build: BuildSpec = Field(
        default={}, validate_default=True, description="What goes into the image."
    )
    metadata: MetadataSpec = Field(
        default={}, validate_default=True, description="Whose agent it is."
    )
    arguments: Annotated[dict[str, Any], free_mapping()] = Field(
        default={},
        description="Your own settings: context.arguments, and keyword arguments of the factory.",
    )

    _source: Source = PrivateAttr()

    @property
    def folder(self) -> Path:
        """The absolute folder that relative paths of the Dockfile start at."""
        return self._source.folder or Path.cwd()

    @property
    def warnings(self) -> list[str]:
        """What is allowed but hardly meant: unknown keys, settings without effect, missing secrets."""
        return list(self._source.warnings)

    @property
    def secret_values(self) -> list[str]:
        """Values of the declared secrets and of all keys, as the Dockfile was loaded: what no caller and no log may see."""
        environ = self.environ
        keys = [] if self.auth is None else self.auth.secret_variables(environ)
        values = [*self._source.secrets, *(environ.get(name, "") for name in keys)]
        return [value for value in values if value]

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment that the Dockfile was loaded in; the process's, for a spec that was built from a mapping."""
        environ = self._source.environ
        return process_environment() if environ is None else environ

    @property
    def variables(self) -> dict[str, bool]:
        """The variables that stand in the file, and whether one is needed: it has no default somewhere."""
        return dict(self._source.variables)

    @property
    def is_open(self) -> bool:
        """Whether everybody may call."""
        return self.auth is None or self.auth.is_open

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        # A spec holds what variables filled in, secrets too, and ends up in logs.
        return [("agent", self.agent.name), ("folder", str(self.folder))]

    def written(self, loc: Loc) -> str | None:
        """Return how a value stands in the file that a variable filled in; None for all others."""
        return self._source.written.get(loc)

    def as_written(self, loc: Loc) -> Any:
        """Return a value as the file has it, None below a section that it has not: what a variable holds is not for others."""
        written = self.written(loc)
        if written is not None:
            return written
        value: Any = self
        for part in loc:
            value = value[part] if isinstance(part, int) else getattr(value, part, None)
        return value

    @field_validator("arguments", mode="after")
    @classmethod
    def _timeout_is_positive(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        seconds = arguments.get("timeout_sec")
        if isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds <= 0:
            raise bad_values([(("timeout_sec",), "must be a number greater than 0", seconds)])
        plain: dict[str, Any] = without_unresolved(arguments)  # agents get it as it is
        return plain

    @model_validator(mode="wrap")
    @classmethod
    def _say_it_in_our_words(
        cls, data: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        if isinstance(data, cls):
            return data
        source = info.context if isinstance(info.context, Source) else Source(folder=Path.cwd())
        for key in unknown_keys(cls, data):
            source.warn(key.loc, key.message, at_key=True)
        try:
            spec = handler(data)
        except PydanticValidationError as exc:
            add_problems(exc, cls, source)
            spec = None
        if spec is not None:
            for loc, problem in chat_problems(spec):
                source.add(loc, problem)
        if spec is None or source.problems:
            raise invalid(source) from None
        spec._source = source
        for loc, doubt in doubts(spec):
            source.warn(loc, doubt)
        return spec
