"""Addresses that speak HTTP, and who answers which path there."""

from __future__ import annotations

import asyncio
import errno
import posixpath
import socket
import ssl
from collections.abc import Awaitable
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import quote

from pycoredns import ports
from pycoredns.corefile.kinds import ListenAddress, is_misread
from pycoredns.errors import BIND_REMEDIES, StartError
from pycoredns.http.messages import NOT_FOUND, HTTPHandler, HTTPReply, HTTPRequest
from pycoredns.peers import Role, here

if TYPE_CHECKING:
    from pycoredns.http.connection import Connection

MOST_CONNECTIONS = 256
"""Past this the oldest connection is ended for a new one."""
BACKLOG = 128
IMPORTED_AFTER = 0.5
"""Seconds after the start when h11 is imported, which takes 20 ms, if nobody has connected before."""
_CONNECTION = "pycoredns.http.connection"
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
"""Why all IPv6 addresses cannot be bound on a machine that has none."""


class Route:
    """A path of an endpoint and who answers it, until it is closed."""

    def __init__(self, endpoint: Endpoint | None, path: str, handler: HTTPHandler, tls: ssl.SSLContext | None = None) -> None:
        """Takes the path from whoever had it, who gets it back if this one is closed first; without an endpoint nobody asks."""
        self._endpoint = endpoint
        self._path = path
        self.handler = handler
        self.tls = tls
        if endpoint is not None:
            endpoint.routes.setdefault(path, []).append(self)
            endpoint.generation = here().generation

    async def secure(self, tls: ssl.SSLContext | None) -> None:
        """Has connections that come from now on speak TLS by other settings."""
        self.tls = tls
        if self._endpoint is not None:
            await self._endpoint.renew()

    async def close(self) -> None:
        """Gives the path up; with the last one its endpoint is closed. May be called again."""
        if self._endpoint is not None and self in (others := self._endpoint.routes.get(self._path, [])):
            others.remove(self)
            if not others:
                del self._endpoint.routes[self._path]
            if not self._endpoint.routes:
                await self._endpoint.close()
            elif self.tls is not None:
                await self._endpoint.renew()


async def open_route(address: ListenAddress, path: str, handler: HTTPHandler, tls: ssl.SSLContext | None = None) -> Route:
    """Has a path answered at an address, which is opened unless it is open already; raises StartError where it cannot be.

    All of an address speaks TLS as the newest route wants it that wants any. Of several processes the supervisor alone opens
    addresses; in a worker the path is answered by nobody.
    """
    if here().role is Role.WORKER:
        return Route(None, path, handler)
    endpoint = _endpoints.get(str(address))
    if endpoint is not None and address.port in ports.exchange.from_http and endpoint.is_left_to(address.port):
        raise StartError(f"listen tcp {address}: bind: address already in use; questions are taken there; name another address")
    if endpoint is not None:
        route = Route(endpoint, path, handler, tls)
        if tls is not None:  # it looks at all routes, of which there may be thousands
            await endpoint.renew()
        return route
    endpoint = _endpoints[str(address)] = Endpoint(str(address), await _bind(address), tls)
    if endpoint.is_listening:
        try:
            await endpoint.start()
        except BaseException:  # else the next to ask for the address would be given one that nobody serves
            await endpoint.stop()
            raise
    else:
        ports.exchange.changes.append(endpoint.start)
    return Route(endpoint, path, handler, tls)


async def _bind(address: ListenAddress) -> socket.socket:
    """A listening socket; raises StartError."""
    family, where = await _look_up(address.host or "::", address.port)
    try:
        return _listen_beside(family, where, address.port)
    except OSError as error:
        if not address.host and error.errno in _NO_IPV6:
            return await _bind(ListenAddress("0.0.0.0", address.port))  # noqa: S104  the Corefile asks for all addresses
        reason, remedy = (error.strerror or str(error)).lower(), BIND_REMEDIES.get(error.errno or 0, "")
        raise StartError(f"listen tcp {address}: bind: {reason}" + (f"; {remedy}" if remedy else "")) from error


async def _look_up(host: str, port: int) -> tuple[int, tuple[object, ...]]:
    """Family and place of an address, of a name's first IPv4 address if it has one; raises StartError."""
    reason = "name or service not known"
    if not is_misread(host):
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            family, _, _, _, where = min(found, key=lambda each: each[0] != socket.AF_INET)
            return family, where
        except socket.gaierror as error:
            reason = (error.strerror or reason).lower()
        except UnicodeError:  # the codec refuses empty labels, for example
            pass
    raise StartError(f"listen tcp: lookup {host}: {reason}")


def _listen_beside(family: int, where: tuple[object, ...], port: int) -> socket.socket:
    """A listening socket; endpoints that end with the server that is replaced may have the port until then.

    Where that server takes questions there, it will listen when they have come to their end.
    """
    try:
        return _listen(family, where)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or port in ports.exchange.kept:
            raise
        from_questions = ports.exchange.take_from_questions(port)
        if not _share(port) and not from_questions:
            raise
    return _listen(family, where, shared=True, listens=not from_questions)


def _share(port: int) -> list[Endpoint]:
    """Has endpoints at a port that end with the server that is replaced share it."""
    others = [each for each in _endpoints.values() if each.is_left_to(port)]
    for each in others:
        each.share_port()
    return others


def _leave(port: int) -> bool:
    """Has them leave it to questions, too, when these are taken there."""
    others = _share(port)
    ports.exchange.changes += [each.stop for each in others]
    return bool(others)


ports.share_http = _leave


def _listen(family: int, where: tuple[object, ...], shared: bool = False, listens: bool = True) -> socket.socket:
    """A socket that takes IPv4 too where it is bound to all IPv6 addresses."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(where)
        if listens:
            sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


class Endpoint:
    """A listening address, the paths that are answered there, and its connections."""

    def __init__(self, address: str, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """``sock`` is bound, and listens unless its port is still taken for questions."""
        self.address = address
        self.routes: dict[str, list[Route]] = {}
        self.generation = 0
        """The newest server that has a route here."""
        self._sock = sock
        self._tls = tls
        self._renewing = asyncio.Lock()
        self._connections: dict[Connection, None] = {}
        self._server: asyncio.Server | None = None
        self._import: asyncio.TimerHandle | None = None

    @property
    def is_listening(self) -> bool:
        """Does its socket listen?"""
        return bool(self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))

    async def start(self) -> None:
        """Takes connections from now on."""
        loop = asyncio.get_running_loop()
        self._server = await self._listen()
        self._import = loop.call_later(IMPORTED_AFTER, lambda: loop.run_in_executor(None, import_module, _CONNECTION))

    async def _listen(self) -> asyncio.Server:
        """Takes connections at a copy of the socket: another one may follow, and those that wait there are not lost."""
        loop = asyncio.get_running_loop()
        return await loop.create_server(self._connection, sock=self._sock.dup(), ssl=self._tls, backlog=BACKLOG)

    async def renew(self) -> None:
        """Speaks TLS as its routes now want it; connections that are open go on as they began."""
        async with self._renewing:
            wanted = [route.tls for routes in self.routes.values() for route in routes if route.tls is not None]
            tls = wanted[-1] if wanted else None
            if self.routes and tls is not self._tls:
                self._tls, before = tls, self._server
                if before is not None:
                    self._server = await self._listen()
                    before.close()

    async def stop(self) -> None:
        """Takes no more connections; those that are open go on."""
        if _endpoints.get(self.address) is self:
            del _endpoints[self.address]
        async with self._renewing:
            if self._server is not None:
                self._server.close()
                self._server = None
            self._sock.close()

    def is_left_to(self, port: int) -> bool:
        """Is it at this port, and has the server that was begun last no use for it?"""
        return bool(self._sock.getsockname()[1] == port and self.generation < here().generation)

    def share_port(self) -> None:
        """Lets the port be bound by others as well."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)

    def _connection(self) -> Connection:
        """What serves a client that has come."""
        connection: Connection = import_module(_CONNECTION).Connection(self)
        return connection

    async def close(self) -> None:
        """Closes the address and its connections; what has been written is still sent."""
        if self._import is not None:
            self._import.cancel()
        await self.stop()
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
            return _redirect(request.method, quote(clean) + (f"?{request.query}" if request.query else ""))
        routes = self.routes.get(clean)
        return routes[-1].handler(request) if routes else NOT_FOUND


_endpoints: dict[str, Endpoint] = {}
"""Those that are open, by address."""


def _redirect(method: str, place: str) -> HTTPReply:
    """To where a path leads; only who would read a page gets one."""
    location = ("Location", place)
    if method not in ("GET", "HEAD"):
        return HTTPReply(307, b"", (location,))
    page = b'<a href="%b">Temporary Redirect</a>.\n\n' % place.encode()
    return HTTPReply(307, page, (location, ("Content-Type", "text/html; charset=utf-8")))


def _clean(path: str) -> str:
    """A path without empty, ``.`` and ``..`` parts; it begins with one slash."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    return clean + "/" if path.endswith("/") and clean != "/" else clean
