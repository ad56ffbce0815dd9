"""Why a connection failed, in the words of the system, which HTTP clients have far down in their exceptions."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Sequence


def reason_of(exc: BaseException) -> str:
    """Return what the system said, else what the exception says, else its name."""
    for one in _chain(exc):
        if isinstance(one, OSError) and not isinstance(one, ssl.SSLError) and one.errno:
            # asyncio's own text has the address in it; errors of name servers have negative numbers.
            return os.strerror(one.errno) if one.errno > 0 else str(one.strerror)
    return str(exc) or type(exc).__name__


def certificate_error(exc: BaseException) -> str | None:
    """Return what is wrong with the certificate, if that is what failed."""
    for one in _chain(exc):
        if isinstance(one, ssl.SSLCertVerificationError):
            return one.verify_message or str(one)
    return None


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        # Of several addresses of a host, the first that was tried.
        tried: Sequence[BaseException] = getattr(exc, "exceptions", ())
        exc = next(iter(tried), None) or exc.__cause__ or exc.__context__
