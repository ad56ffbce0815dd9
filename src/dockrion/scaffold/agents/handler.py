"""The agent: an async generator; each string that it yields is a token of the answer.

It runs as it is, without a model or a key. A plain function that returns a dict works, too.
"""

import asyncio
import re
from collections.abc import AsyncIterator


async def handle(payload: dict[str, str]) -> AsyncIterator[str]:
    for word in re.findall(r"\S+\s*", f"You asked: {payload['query']}"):
        yield word
        await asyncio.sleep(0.05)  # your model
