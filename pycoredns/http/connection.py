"""One client's connection: HTTP/1.1 by h11, bounded in whatever the client sends or leaves undone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol
from urllib.parse import unquote, urlsplit

import h11

from pycoredns.http.messages import PLAIN, HTTPReply, HTTPRequest
from pycoredns.output import logger

TIMEOUT = 5.0
"""Seconds for a request to come, for its answer to be taken, and for the next request; CoreDNS's."""
LINGER = 0.5
"""Seconds in which a client that sent nonsense may read what was wrong with it."""
MOST_HEADER = 16384
"""Octets of a request line with its headers."""
MOST_BODY = 65536
"""Octets of a body, which nobody reads."""
AT_ONCE = 8
"""Parts of requests that are taken in one turn of the loop. An answered request takes 200 µs, and one read brings 8,000."""
_SLICE = 4096
"""Octets that are looked at together: of a longer header than is allowed no more is read than shows it."""

log = logger("pycoredns")


class Host(Protocol):
    """What a connection belongs to."""

    def admit(self, connection: Connection) -> None:
        """A connection has come."""

    def dismiss(self, connection: Connection) -> None:
        """It is gone."""

    def answer(self, request: HTTPRequest) -> HTTPReply | Awaitable[HTTPReply]:
        """The answer to a request."""


class Connection(asyncio.Protocol):
    """A client's connection: one request after the other."""

    def __init__(self, host: Host) -> None:
        """Begins with the first request."""
        self._host = host
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEADER)
        self._request: h11.Request | None = None
        self._body = 0
        self._unread = b""
        self._turn: asyncio.Handle | None = None
        """When the rest of what has come is taken; nothing more is read before."""
        self._task: asyncio.Task[None] | None = None
        self._stuck = False
        self._done = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # a stream's transport is one
        self._host.admit(self)
        self._wait(TIMEOUT)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone; nobody waits for its answer."""
        self._host.dismiss(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        if self._turn is not None:
            self._turn.cancel()

    def _wait(self, seconds: float) -> None:
        """Ends the connection unless something happens within so many seconds."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.abort)

    def abort(self) -> None:
        """Ends the connection now."""
        self._host.dismiss(self)
        self._transport.abort()

    def close(self) -> None:
        """Ends the connection once what has been written is sent."""
        self._host.dismiss(self)
        self._transport.close()

    def _finish(self) -> None:
        self._done = True
        self.close()

    def pause_writing(self) -> None:
        """The client does not take its answers: it may not ask either."""
        self._stuck = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It does again."""
        self._stuck = False
        self._read_on()

    def data_received(self, data: bytes) -> None:
        """Takes what has come, and answers whole requests."""
        if not self._done:
            self._unread += data
            self._proceed()

    def eof_received(self) -> bool:
        """The client sends no more; an answer that it waits for is still sent."""
        if self._done or self._task is None:
            return False
        self._http.receive_data(b"")
        return True

    def _read_on(self) -> None:
        """Reads again, and answers what had been read already."""
        if self._task is None and not self._stuck and not self._transport.is_closing():
            self._transport.resume_reading()
            self._proceed()

    def _proceed(self) -> None:
        """Takes some of what has come, and the rest in further turns of the loop."""
        if self._turn is None:
            try:
                more = self._take_some()
            except h11.RemoteProtocolError as error:
                self._refuse(error.error_status_hint)
                return
            if more:
                self._transport.pause_reading()
                self._turn = asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._turn = None
        self._read_on()

    def _take_some(self) -> bool:
        """Takes parts of requests; is there perhaps more that can be taken?"""
        for _ in range(AT_ONCE):
            if self._task is not None or self._stuck or self._done:
                return False
            event = self._http.next_event()
            if event is h11.NEED_DATA and self._unread:
                self._http.receive_data(self._unread[:_SLICE])
                self._unread = self._unread[_SLICE:]
            elif event in (h11.NEED_DATA, h11.PAUSED):
                return False
            else:
                self._take(event)
        return True

    def _take(self, event: object) -> None:
        """A part of a request."""
        if isinstance(event, h11.Request):
            self._request, self._body = event, 0
            if event.method == b"CONNECT":
                self._refuse(HTTPStatus.METHOD_NOT_ALLOWED)
            elif self._http.they_are_waiting_for_100_continue:
                self._write(h11.InformationalResponse(status_code=100, headers=[]))
        elif isinstance(event, h11.Data):
            self._body += len(event.data)
            if self._body > MOST_BODY:
                self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        elif isinstance(event, h11.EndOfMessage) and self._request is not None:
            self._answer(self._request)
        else:
            self._finish()

    def _answer(self, event: h11.Request) -> None:
        """Has a whole request answered, now or later."""
        try:
            request = _read(event)
        except ValueError:
            self._refuse(HTTPStatus.BAD_REQUEST)
            return
        try:
            reply = self._host.answer(request)
            if isinstance(reply, HTTPReply):
                self._send(reply)
                return
        except Exception as error:  # noqa: BLE001  a request ends here
            self._fail(request, error)
            return
        self._transport.pause_reading()
        if self._timer is not None:
            self._timer.cancel()
        self._task = asyncio.get_running_loop().create_task(self._send_later(request, reply))

    async def _send_later(self, request: HTTPRequest, reply: Awaitable[HTTPReply]) -> None:
        """Sends an answer when it comes."""
        try:
            self._send(await reply)
        except Exception as error:  # noqa: BLE001  a request ends here
            self._fail(request, error)
        self._task = None
        self._read_on()

    def _fail(self, request: HTTPRequest, error: Exception) -> None:
        """Tells that there is no answer; where it has begun, that it will not be whole."""
        log.error("%s %s failed: %r", request.method, request.path, error, exc_info=error)
        if self._http.our_state is h11.SEND_RESPONSE:
            self._send(HTTPReply(500, b"500 Internal Server Error\n"))
        else:
            self.abort()

    def _send(self, reply: HTTPReply) -> None:
        """Sends an answer and is ready for the next request, unless this was the last."""
        length = ("Content-Length", str(len(reply.body)))
        headers = [*reply.headers, _date(), length]
        self._write(h11.Response(status_code=reply.status, headers=headers, reason=_phrase(reply.status)))
        if reply.body and self._request is not None and self._request.method != b"HEAD":
            self._write(h11.Data(data=reply.body))
        self._write(h11.EndOfMessage())
        self._wait(TIMEOUT)
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self._finish()

    def _refuse(self, status: int) -> None:
        """Says what was wrong, in short, and hears no more."""
        self._done = True
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            text = b"%d %b" % (status, _phrase(status))
            headers = [PLAIN, ("Connection", "close"), ("Content-Length", str(len(text)))]
            self._write(h11.Response(status_code=status, headers=headers, reason=_phrase(status)))
            self._write(h11.Data(data=text))
        if self._transport.can_write_eof():
            # closed at once, what the client has sent and nobody has read would make the kernel take the answer back
            self._transport.write_eof()
            self._wait(LINGER)
        else:
            self._finish()

    def _write(self, event: h11.InformationalResponse | h11.Response | h11.Data | h11.EndOfMessage) -> None:
        self._transport.write(self._http.send(event) or b"")


def _phrase(status: int) -> bytes:
    """What stands behind the number of a status: there are probes that look for "200 OK"."""
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:  # a number of a plugin's own
        return b""


def _date() -> tuple[str, str]:
    return "Date", formatdate(usegmt=True)


def _read(event: h11.Request) -> HTTPRequest:
    """The request in our terms; raises ValueError for a target that is none."""
    target = event.target.decode("ascii")
    if target.startswith("/"):
        path, _, query = target.partition("?")
    else:
        _, _, path, query, _ = urlsplit(target)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
    return HTTPRequest(event.method.decode("ascii"), unquote(path), query, headers)
