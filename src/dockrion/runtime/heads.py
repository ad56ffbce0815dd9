"""What a request's head may not say although the parser reads it: others on the way could read it another way."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

# A name or an address, and a port (RFC 3986, section 3.2.2); empty where the target has no authority.
_HOST: Final = re.compile(rb"(?:\[[0-9A-Za-z.:%~_-]*\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]*)?")


def complaint_of(headers: Sequence[tuple[bytes, bytes]], version: str) -> str | None:
    """Return what is wrong with a head, or None. Names are in lower case."""
    hosts = codings = 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
            if not _HOST.fullmatch(value):
                return "Host: must be one name or address, and a port."
        elif name == b"transfer-encoding":
            codings += 1
            if value.lower() != b"chunked":
                return "Transfer-Encoding: must be chunked alone."
    if version not in ("1.0", "1.1"):
        return "The request must be one of HTTP/1.1 or HTTP/1.0."
    # RFC 9112, section 3.2: without one, and with two, the answer is 400.
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        return f"Host: must be there once, and is there {hosts} times."
    # RFC 9112, section 6.1: whoever else has read this may have seen another end of it.
    if codings > (version == "1.1"):
        return "Transfer-Encoding: must be there once at most, and not on HTTP/1.0."
    return None
