"""A small HTTP/1.1 server for /metrics, /health, /ready: shared by all who name the same address, kept across reloads.

Whatever a client sends or leaves undone costs a bounded amount of memory and time: header size and body, five seconds for a
request, as many for its answer, and a number of connections past which the oldest gives way.
"""

from __future__ import annotations

import asyncio
import posixpath
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import TypeAlias
from urllib.parse import quote, unquote, urlsplit

import h11

from pycoredns.corefile.kinds import ListenAddress
from pycoredns.errors import StartError
from pycoredns.output import logger

TIMEOUT = 5.0
"""Seconds for a request to come, for its answer to be taken, and for the next request; CoreDNS's."""
LINGER = 0.5
"""Seconds in which a client that sent nonsense may read what was wrong with it."""
MOST_CONNECTIONS = 256
MOST_HEADER = 16384
"""Octets of a request line with its headers."""
MOST_BODY = 65536
"""Octets of a body, which nobody reads."""
BACKLOG = 128
PLAIN = ("Content-Type", "text/plain; charset=utf-8")
_REMEDIES = {
    13: "ports below 1024 need root or CAP_NET_BIND_SERVICE",
    98: "another program holds it; stop that, or name another address",
    99: "no interface has this address",
}

log = logger("pycoredns")


@dataclass(frozen=True)
class HTTPRequest:
    """What a client asked for; ``headers`` by lower-case name, the body is not kept."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class HTTPReply:
    """What it gets; ``Content-Length`` and ``Date`` are added, and the body is left out for HEAD."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (PLAIN,)


HTTPHandler: TypeAlias = Callable[[HTTPRequest], HTTPReply | Awaitable[HTTPReply]]
NOT_FOUND = HTTPReply(404, b"404 page not found\n", (PLAIN, ("X-Content-Type-Options", "nosniff")))


class Route:
    """A path of an endpoint and who answers it, until it is closed."""

    def __init__(self, endpoint: Endpoint, path: str, handler: HTTPHandler) -> None:
        """Takes the path from whoever had it, who gets it back if this one is closed first."""
        self._endpoint = endpoint
        self._path = path
        self.handler = handler
        endpoint.routes.setdefault(path, []).append(self)

    async def close(self) -> None:
        """Gives the path up; with the last one its endpoint is closed. May be called again."""
        if self in (others := self._endpoint.routes.get(self._path, [])):
            others.remove(self)
            if not others:
                del self._endpoint.routes[self._path]
            if not self._endpoint.routes:
                await self._endpoint.close()


async def open_route(address: ListenAddress, path: str, handler: HTTPHandler, tls: ssl.SSLContext | None = None) -> Route:
    """Has a path answered at an address, which is opened unless it is open already; raises StartError where it cannot be."""
    endpoint = _endpoints.get(str(address))
    if endpoint is None:
        endpoint = Endpoint(str(address), await _bind(address), tls)
        await endpoint.start()
    return Route(endpoint, path, handler)


async def _bind(address: ListenAddress) -> socket.socket:
    """A listening socket; a name's first IPv4 address is taken, if it has one."""
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(address.host or "::", address.port, type=socket.SOCK_STREAM)
        family, _, _, _, where = min(found, key=lambda each: each[0] != socket.AF_INET)
        return _listen(family, where)
    except socket.gaierror as error:
        raise StartError(f"listen tcp: lookup {address.host}: {(error.strerror or '').lower()}") from error
    except OSError as error:
        if not address.host and error.errno in (97, 99):  # a machine without IPv6
            return await _bind(ListenAddress("0.0.0.0", address.port))  # noqa: S104  the Corefile asks for all addresses
        reason, remedy = (error.strerror or str(error)).lower(), _REMEDIES.get(error.errno or 0, "")
        raise StartError(f"listen tcp {address}: bind: {reason}" + (f"; {remedy}" if remedy else "")) from error


def _listen(family: int, where: tuple[object, ...]) -> socket.socket:
    """A socket that takes IPv4 too where it is bound to all IPv6 addresses."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(where)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


class Endpoint:
    """A listening address, the paths that are answered there, and its connections."""

    def __init__(self, address: str, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """``sock`` listens already."""
        self.address = address
        self.routes: dict[str, list[Route]] = {}
        self._sock = sock
        self._tls = tls
        self._connections: dict[Connection, None] = {}

    async def start(self) -> None:
        """Takes connections from now on."""
        _endpoints[self.address] = self
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), sock=self._sock, ssl=self._tls, backlog=BACKLOG)

    async def close(self) -> None:
        """Closes the address and its connections; what has been written is still sent."""
        _endpoints.pop(self.address, None)
        self._server.close()
        for connection in list(self._connections):
            connection.close()
        await asyncio.sleep(0)

    def admit(self, connection: Connection) -> None:
        """Takes a new connection, if need be in the place of the oldest."""
        if len(self._connections) >= MOST_CONNECTIONS:
            next(iter(self._connections)).abort()
        self._connections[connection] = None

    def dismiss(self, connection: Connection) -> None:
        """Forgets a connection that is gone."""
        self._connections.pop(connection, None)

    def answer(self, request: HTTPRequest) -> HTTPReply | Awaitable[HTTPReply]:
        """What the newest handler of the path says; other spellings of a path lead to it, as Go's server has it."""
        clean = _clean(request.path)
        if clean != request.path:
            place = quote(clean) + (f"?{request.query}" if request.query else "")
            return HTTPReply(307, b'<a href="%b">Temporary Redirect</a>.\n\n' % place.encode(), (("Location", place),))
        routes = self.routes.get(clean)
        return routes[-1].handler(request) if routes else NOT_FOUND


_endpoints: dict[str, Endpoint] = {}
"""Those that are open, by address."""


def _clean(path: str) -> str:
    """A path without empty, ``.`` and ``..`` parts; it begins with one slash."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    return clean + "/" if path.endswith("/") and clean != "/" else clean


class Connection(asyncio.Protocol):
    """A client's connection: one request after the other."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Begins with the first request."""
        self._endpoint = endpoint
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEADER)
        self._request: h11.Request | None = None
        self._body = 0
        self._task: asyncio.Task[None] | None = None
        self._stuck = False
        self._done = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # a stream's transport is one
        self._endpoint.admit(self)
        self._wait(TIMEOUT)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone; nobody waits for its answer."""
        self._endpoint.dismiss(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _wait(self, seconds: float) -> None:
        """Ends the connection unless something happens within so many seconds."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.abort)

    def abort(self) -> None:
        """Ends the connection now."""
        self._endpoint.dismiss(self)
        self._transport.abort()

    def close(self) -> None:
        """Ends the connection once what has been written is sent."""
        self._endpoint.dismiss(self)
        self._transport.close()

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
            self._http.receive_data(data)
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
        try:
            while self._task is None and not self._stuck and not self._done:
                event = self._http.next_event()
                if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                    break
                self._take(event)
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint)

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

    def _answer(self, event: h11.Request) -> None:
        """Has a whole request answered, now or later."""
        try:
            target = urlsplit(event.target.decode("ascii", "replace"))
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
            request = HTTPRequest(event.method.decode("ascii"), unquote(target.path), target.query, headers)
        except ValueError:
            self._refuse(HTTPStatus.BAD_REQUEST)
            return
        try:
            reply = self._endpoint.answer(request)
        except Exception as error:  # noqa: BLE001  a request ends here
            self._fail(request, error)
            return
        if isinstance(reply, HTTPReply):
            self._send(reply)
        else:
            self._transport.pause_reading()
            self._timer = self._timer.cancel() if self._timer else None
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
        log.error("%s %s failed: %r", request.method, request.path, error, exc_info=error)
        self._send(HTTPReply(500, b"500 Internal Server Error\n"))

    def _send(self, reply: HTTPReply) -> None:
        """Sends an answer and is ready for the next request, unless this was the last."""
        length = ("Content-Length", str(len(reply.body)))
        self._write(h11.Response(status_code=reply.status, headers=[*reply.headers, _date(), length]))
        if reply.body and self._request is not None and self._request.method != b"HEAD":
            self._write(h11.Data(data=reply.body))
        self._write(h11.EndOfMessage())
        if self._http.our_state is h11.MUST_CLOSE:
            self.close()
            self._done = True
        elif self._http.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
            self._http.start_next_cycle()
            self._wait(TIMEOUT)

    def _refuse(self, status: int) -> None:
        """Says what was wrong, in short, and hears no more."""
        self._done = True
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            text = f"{status} {HTTPStatus(status).phrase}".encode()
            headers = [PLAIN, ("Connection", "close"), ("Content-Length", str(len(text)))]
            self._write(h11.Response(status_code=status, headers=headers))
            self._write(h11.Data(data=text))
        if self._transport.can_write_eof():
            # closed at once, what the client has sent and nobody has read would make the kernel take the answer back
            self._transport.write_eof()
            self._wait(LINGER)
        else:
            self.close()

    def _write(self, event: h11.InformationalResponse | h11.Response | h11.Data | h11.EndOfMessage) -> None:
        self._transport.write(self._http.send(event) or b"")


def _date() -> tuple[str, str]:
    return "Date", formatdate(usegmt=True)
