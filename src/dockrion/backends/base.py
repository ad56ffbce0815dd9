"""What all backends raise."""

from __future__ import annotations

from dockrion.errors import ServiceUnavailableError


class BackendError(ServiceUnavailableError):
    """The backend does not answer, or cannot take what it was given. Whoever was refused may try again."""
