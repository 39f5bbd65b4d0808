"""An etcd v3 client: one endpoint at a time, in order, with its own errors.

Importing this module imports gRPC (100 ms, 14 MiB): do so only when etcd is really used, and not before a fork.

    async with Client(Settings(("http://127.0.0.1:2379",))) as client:
        answer = await client.range(b"/skydns/org/example/a")
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar, Self

import grpc.aio
from aetcd import rpc

from pycoredns.plugins.etcd.channel import open_channel, translated
from pycoredns.plugins.etcd.errors import NoUsers, Unauthenticated
from pycoredns.plugins.etcd.messages import AuthenticateAnswer, LeaseTimeToLiveAnswer, RangeAnswer
from pycoredns.plugins.etcd.settings import Endpoint, Settings
from pycoredns.plugins.etcd.watch import Watch, open_watch

Metadata = tuple[tuple[str, str], ...]
Stub = Callable[[grpc.aio.Channel], Any]


class Client:
    """Requests to the endpoint it is at; ``rotate`` goes on to the next one."""

    answer_within: ClassVar[float] = 3.0
    """Seconds for a request."""
    listing_within: ClassVar[float] = 10.0
    """Seconds for a page of a listing."""

    def __init__(self, settings: Settings) -> None:
        """Connects with the first request only."""
        self.settings = settings
        self.endpoints = settings.parsed()
        self.endpoint: Endpoint = self.endpoints[0]
        self._channel: grpc.aio.Channel | None = None
        self._stamps = self._current_stamps()
        self._token = ""
        self._logged_in = not settings.named
        self._logging_in = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Nothing to wait for: the first request connects."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes the connection."""
        await self.close()

    async def close(self) -> None:
        """Ends the connection and all that runs on it; the next request makes a new one, with the TLS files as they are then."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def rotate(self) -> None:
        """Leaves this endpoint for the next one."""
        await self.close()
        following = self.endpoints.index(self.endpoint) + 1
        self.endpoint = self.endpoints[following % len(self.endpoints)]

    @property
    def channel(self) -> grpc.aio.Channel:
        """The channel to the current endpoint."""
        if self._channel is None:
            self._stamps = self._current_stamps()
            self._channel = open_channel(self.endpoint, self.settings.tls)
        return self._channel

    async def range(
        self, key: bytes, end: bytes = b"", *, revision: int = 0, limit: int = 0, keys_only: bool = False, since: int = 0
    ) -> RangeAnswer:
        """The keys from ``key`` to just before ``end`` (``key`` alone if empty), linearizable, as of ``revision`` (0: now).

        With ``since``, only those written at that revision or later; they are still counted all.
        """
        request = rpc.RangeRequest(
            key=key, range_end=end, revision=revision, limit=limit, keys_only=keys_only, min_mod_revision=since
        )
        answer: RangeAnswer = await self._ask(
            rpc.KVStub, "Range", request, self.listing_within if limit > 1 else self.answer_within
        )
        return answer

    async def lease_remaining(self, lease: int) -> int | None:
        """The seconds ``lease`` has left, None if it is no more."""
        request = rpc.LeaseTimeToLiveRequest(ID=lease)
        answer: LeaseTimeToLiveAnswer = await self._ask(rpc.LeaseStub, "LeaseTimeToLive", request)
        return answer.TTL if answer.TTL >= 0 else None

    async def watch(self, key: bytes, end: bytes, revision: int) -> Watch:
        """A stream of what happens to the keys from ``key`` to just before ``end``, beginning with ``revision``."""
        await self._log_in()
        with translated(self.endpoint):
            # Without hasleader a member that lost its quorum would stay silent.
            call = rpc.WatchStub(self.channel).Watch(metadata=(*self._metadata(), ("hasleader", "true")))
        return await open_watch(call, self.endpoint, key, end, revision)

    def forget_token(self) -> None:
        """Logs in anew at the next request."""
        self._token = ""
        self._logged_in = not self.settings.named

    def has_new_files(self) -> bool:
        """Have the TLS files changed since the connection was made? Each change is told once."""
        stamps = self._current_stamps()
        changed = stamps != self._stamps
        self._stamps = stamps
        return changed

    async def try_connecting(self, key: bytes) -> None:
        """Reads ``key`` by a connection of its own, with the TLS files as they are now; raises EtcdError if that fails."""
        probe = Client(self.settings)
        probe.endpoint = self.endpoint
        async with probe:
            await probe.range(key, keys_only=True)

    def _current_stamps(self) -> tuple[tuple[int, int] | None, ...]:
        return self.settings.tls.stamps() if self.settings.tls else ()

    def _metadata(self) -> Metadata:
        return (("token", self._token),) if self._token else ()

    async def _ask(self, stub: Stub, method: str, request: object, within: float | None = None) -> Any:
        """Sends a request as the user there is, and once more with a new token where the present one will not do."""
        await self._log_in()
        used = self._token
        try:
            return await self._send(stub, method, request, within)
        except Unauthenticated:
            if not self.settings.named:
                raise
        if self._token == used:  # else somebody else has a new one already
            self.forget_token()
        await self._log_in()
        return await self._send(stub, method, request, within)

    async def _send(self, stub: Stub, method: str, request: object, within: float | None = None) -> Any:
        with translated(self.endpoint):
            call = getattr(stub(self.channel), method)
            return await call(request, timeout=within or self.answer_within, metadata=self._metadata())

    async def _log_in(self) -> None:
        """Gets a token, unless there is one or none is needed."""
        if self._logged_in:
            return
        async with self._logging_in:
            if not self._logged_in:
                self._token = await self._authenticate()
                self._logged_in = True

    async def _authenticate(self) -> str:
        request = rpc.AuthenticateRequest(name=self.settings.username, password=self.settings.password)
        try:
            answer: AuthenticateAnswer = await self._send(rpc.AuthStub, "Authenticate", request)
        except NoUsers:
            return ""
        return answer.token
