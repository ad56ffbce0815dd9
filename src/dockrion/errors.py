"""The one error tree.

    DockrionError
    ├── ValidationError         the Dockfile or a payload is wrong
    │   └── MissingSecretError  required secrets are not set
    ├── AuthError               nobody that is known
    │   └── PermissionDeniedError  somebody who may not
    ├── RateLimitError          too often
    │   └── TooManySubscribersError  too many readers of one run
    ├── NotFoundError, GoneError
    ├── ConflictError           not as things are
    │   └── RunIsOverError      the run that is to be cancelled has ended
    ├── PayloadTooLargeError, UnsupportedMediaTypeError, MethodNotAllowedError
    ├── ServiceUnavailableError not now
    │   ├── OverloadedError
    │   └── ShuttingDownError
    ├── RunTimeoutError         the run took too long
    ├── UnexpectedAnswerError   what answered a client is no dockrion server
    ├── PolicyViolationError    a policy of the Dockfile says no
    │   └── ToolNotAllowedError the rules for tools do
    ├── AdapterError            the agent
    │   ├── AdapterLoadError    it could not be loaded
    │   │   ├── ModuleMissingError, CallableMissingError
    │   │   └── MissingExtraError
    │   ├── InvalidAgentError   what was loaded is no agent
    │   ├── AdapterNotLoadedError
    │   ├── AgentExecutionError it raised
    │   └── InvalidOutputError  what it returned is no output
    └── DeploymentError
        └── BuildConflictError

`RunCancelled` (`events/cancelled.py`) stands outside: it is a `BaseException`, so that `except Exception` in an agent
does not swallow it.
"""

from __future__ import annotations

from typing import Any


class DockrionError(Exception):
    """What dockrion raises on purpose.

    `code` is for programs and never changes; `message` tells a person what was wrong, where, and what to do.
    `details`, where there are some, are JSON data. `status` is the HTTP status that answers it.
    """

    code: str = "INTERNAL_ERROR"
    status: int = 500

    def __init__(self, message: str, *, details: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def to_dict(self) -> dict[str, Any]:
        """Return `{error, code, details}`; `details` only when there are some."""
        data: dict[str, Any] = {"error": self.message, "code": self.code}
        if self.details is not None:
            data["details"] = self.details
        return data


class ValidationError(DockrionError):
    code = "VALIDATION_ERROR"
    status = 400


class MissingSecretError(ValidationError):
    """`missing_secrets` are the names of those that are required and not set."""

    code = "MISSING_SECRET"

    def __init__(self, missing_secrets: list[str]) -> None:
        super().__init__(f"Missing required secrets: {', '.join(missing_secrets)}")
        self.missing_secrets = missing_secrets


class AuthError(DockrionError):
    """`challenge` is what an answer's `WWW-Authenticate` says: how callers may prove who they are."""

    code = "AUTH_ERROR"
    status = 401
    challenge: str = "Bearer"


class PermissionDeniedError(AuthError):
    code = "PERMISSION_DENIED"
    status = 403


class RateLimitError(DockrionError):
    """`retry_after` is the seconds after which it is no longer too often, where that is known."""

    code = "RATE_LIMIT_EXCEEDED"
    status = 429

    def __init__(
        self, message: str, *, details: Any = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message, details=details)
        self.retry_after = retry_after


class TooManySubscribersError(RateLimitError):
    code = "TOO_MANY_SUBSCRIBERS"


class NotFoundError(DockrionError):
    code = "NOT_FOUND"
    status = 404


class MethodNotAllowedError(DockrionError):
    code = "METHOD_NOT_ALLOWED"
    status = 405


class ConflictError(DockrionError):
    code = "CONFLICT"
    status = 409


class RunIsOverError(ConflictError):
    """Of a `DELETE /runs/{run_id}`; the code of its class, with a status of its own."""

    status = 400


class GoneError(DockrionError):
    code = "GONE"
    status = 410


class PayloadTooLargeError(DockrionError):
    code = "PAYLOAD_TOO_LARGE"
    status = 413


class UnsupportedMediaTypeError(DockrionError):
    code = "UNSUPPORTED_MEDIA_TYPE"
    status = 415


class ServiceUnavailableError(DockrionError):
    code = "SERVICE_UNAVAILABLE"
    status = 503


class OverloadedError(ServiceUnavailableError):
    code = "OVERLOADED"


class ShuttingDownError(ServiceUnavailableError):
    code = "SHUTTING_DOWN"


class RunTimeoutError(DockrionError):
    code = "TIMEOUT"
    status = 504


class UnexpectedAnswerError(DockrionError):
    """Of a client: what answered speaks HTTP, and is no dockrion server."""

    code = "UNEXPECTED_ANSWER"


class PolicyViolationError(DockrionError):
    """`rule` names the policy in metrics; `agent`: one that the agent enforces by itself."""

    code = "POLICY_VIOLATION"
    status = 400

    def __init__(self, message: str, *, details: Any = None, rule: str = "agent") -> None:
        super().__init__(message, details=details)
        self.rule = rule


class ToolNotAllowedError(PolicyViolationError):
    """Of a call that has been counted where it was refused."""

    def __init__(self, tool: str) -> None:
        super().__init__(f"The tool {tool!r} is not allowed.", details={"tool": tool})
        self.tool = tool


class AdapterError(DockrionError):
    code = "AGENT_EXECUTION_ERROR"


class AdapterLoadError(AdapterError):
    code = "ADAPTER_LOAD_ERROR"


class ModuleMissingError(AdapterLoadError):
    code = "MODULE_NOT_FOUND"


class CallableMissingError(AdapterLoadError):
    code = "CALLABLE_NOT_FOUND"


class MissingExtraError(AdapterLoadError):
    """A package that an option of the Dockfile needs is not installed; the message has the pip line."""


class InvalidAgentError(AdapterError):
    code = "INVALID_AGENT"


class AdapterNotLoadedError(AdapterError):
    code = "ADAPTER_NOT_LOADED"


class AgentExecutionError(AdapterError):
    code = "AGENT_EXECUTION_ERROR"


class InvalidOutputError(AdapterError):
    code = "INVALID_OUTPUT"


class DeploymentError(DockrionError):
    code = "DEPLOYMENT_ERROR"


class BuildConflictError(DeploymentError):
    """`conflicts` says of each what cannot be met, in a line."""

    code = "BUILD_CONFLICT"

    def __init__(self, message: str, *, conflicts: list[str]) -> None:
        super().__init__(message, details=conflicts)
        self.conflicts = conflicts


def error_for(code: str, message: str, *, details: Any = None) -> DockrionError:
    """Return the error that `code` stands for, as it came from a run or from a server; a code that has no class is kept."""
    cls = _CLASSES.get(code)
    if cls is not None:
        return cls(message, details=details)
    error = DockrionError(message, details=details)
    error.code = code
    return error


def status_for(code: str) -> int:
    """Return the HTTP status that answers `code`."""
    return _CLASSES.get(code, DockrionError).status


_CLASSES: dict[str, type[DockrionError]] = {
    cls.code: cls
    for cls in (
        ValidationError,
        AuthError,
        PermissionDeniedError,
        RateLimitError,
        TooManySubscribersError,
        NotFoundError,
        MethodNotAllowedError,
        ConflictError,
        GoneError,
        PayloadTooLargeError,
        UnsupportedMediaTypeError,
        ServiceUnavailableError,
        OverloadedError,
        ShuttingDownError,
        RunTimeoutError,
        PolicyViolationError,
        AgentExecutionError,
        InvalidOutputError,
    )
}
