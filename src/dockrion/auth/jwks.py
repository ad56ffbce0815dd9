"""The keys that an issuer publishes: cached, renewed, and there through an outage."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from dockrion.auth.endpoint import Endpoint, NoAnswerError
from dockrion.auth.jws import Token
from dockrion.auth.jwt_keys import KeySet, Verdict, keys_from_set
from dockrion.errors import ServiceUnavailableError

logger = logging.getLogger(__name__)

# Not more often, whatever tokens come: a flood of made-up key ids is one request.
RENEWAL_SECONDS: Final = 10.0
# As long as there are no keys at all, nobody gets in; so it is tried sooner.
FIRST_KEYS_SECONDS: Final = 1.0
# From then on the keys are renewed in the background, so that withdrawn ones are found out.
FRESH_SECONDS: Final = 300.0
# Keys that could not be renewed for so long may be withdrawn ones.
USABLE_SECONDS: Final = 24 * 3600.0


class Jwks:
    """The set of one URL. At most one request is on its way; all who need it wait for the same one."""

    def __init__(
        self,
        endpoint: Endpoint,
        algorithms: Sequence[str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoint = endpoint
        self._algorithms = algorithms
        self._clock = clock
        self._keys: KeySet | None = None
        self._renewed_at = self._tried_at = float("-inf")
        self._answered = False
        self._renewal: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._endpoint.start()
        self._begin_renewal()

    async def close(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait({self._renewal})
        await self._endpoint.close()

    async def check(self, token: Token) -> Verdict:
        """Return what the keys say; raise `ServiceUnavailableError` when they are not there to say it."""
        keys = self._usable()
        if keys is None:
            await self._renew()
            keys = self._usable()
            if keys is None:
                raise ServiceUnavailableError("The keys for tokens are not available; try again")
            return keys.check(token)
        if self._clock() - self._renewed_at > FRESH_SECONDS:
            self._begin_renewal()
        verdict = keys.check(token)
        if verdict != "unknown":
            return verdict
        await self._renew()
        if not self._answered:
            # The one who could tell whether there is such a key did not.
            raise ServiceUnavailableError("The keys for tokens could not be renewed; try again")
        return (self._keys or keys).check(token)

    def _usable(self) -> KeySet | None:
        return self._keys if self._clock() - self._renewed_at < USABLE_SECONDS else None

    async def _renew(self) -> None:
        self._begin_renewal()
        if self._renewal is not None and not self._renewal.done():
            # A caller who goes away does not take the request from the others.
            await asyncio.shield(self._renewal)

    def _begin_renewal(self) -> None:
        if self._renewal is not None and not self._renewal.done():
            return
        pause = FIRST_KEYS_SECONDS if self._usable() is None else RENEWAL_SECONDS
        if self._clock() - self._tried_at >= pause:
            self._tried_at = self._clock()
            # This set's own; `close` cancels it.
            self._renewal = asyncio.get_running_loop().create_task(self._fetch())

    async def _fetch(self) -> None:
        try:
            keys = keys_from_set(await self._endpoint.get(), self._algorithms)
            if not len(keys):
                raise NoAnswerError("there is no key in the answer that fits auth.jwt.algorithms")
        except NoAnswerError as exc:
            self._answered = False
            logger.warning("keys for tokens not renewed", extra={"reason": str(exc)})
        except Exception as exc:
            # Whoever waits gets 503, whatever it was that the answer could not be read for.
            self._answered = False
            reason = {"reason": type(exc).__name__}
            logger.exception("keys for tokens not renewed", extra=reason)
        else:
            self._answered = True
            self._keys = keys
            self._renewed_at = self._clock()
            logger.info("keys for tokens renewed", extra={"keys": len(keys)})
