"""An agent without a model: it says the query back, word by word."""

import asyncio
import re
from collections.abc import AsyncIterator


async def answer(payload: dict[str, str]) -> AsyncIterator[str]:
    for word in re.findall(r"\S+\s*", f"You said: {payload['query']}"):
        await asyncio.sleep(0.08)  # a model would take about as long
        yield word
