"""The OpenAPI document of an app: built by hand, so that it says what the server does.

A framework's generator would see neither the agent's schemas as they are (`default: null` gets lost, references to
`#/$defs` break), nor the codes of the errors, nor the events of a stream.
"""

from __future__ import annotations

from dockrion.runtime.openapi.document import OPEN, Security, document, joined
from dockrion.runtime.openapi.security import security_of

__all__ = ["OPEN", "Security", "document", "joined", "security_of"]
