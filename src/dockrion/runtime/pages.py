"""Headers of pages, and of answers that no cache may keep."""

from __future__ import annotations

from typing import Final

NO_STORE: Final = {"cache-control": "no-store"}


def page_headers(policy: str) -> dict[str, str]:
    """Return what a page carries beside its type; `policy` says what it may load, which is nothing else.

    No page of ours is shown in one of somebody else, or tells others where its reader came from.
    """
    return {
        **NO_STORE,
        "content-security-policy": "; ".join(
            (
                "default-src 'none'",
                policy,
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'self'",
            )
        ),
        "x-frame-options": "SAMEORIGIN",
        "referrer-policy": "no-referrer",
    }
