"""DNS over HTTPS to one upstream: HTTP/1.1, one question at a time on each connection (RFC 8484)."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from time import monotonic
from typing import ClassVar

import h11

from pycoredns.plugins.forward.datagrams import FULL
from pycoredns.plugins.forward.streams import Connection

PATH = "/dns-query"
_TYPE = "application/dns-message"
_LONGEST = 65535
_SLICE = 4096
"""Octets that are looked at together, so that no header is read that is longer than h11 allows."""
MOST_PARTS = 256
"""Chunks, and answers before the answer, that one may come in: each takes 20 µs, and one octet in each would be 65,535."""
_NO_ID = b"\0\0"  # RFC 8484 §4.1: so that equal questions are equal requests


class HTTPConnection(Connection):
    """A connection that questions go over as requests."""

    most: ClassVar[int] = 1
    queue: ClassVar[int] = FULL
    _body = b""
    _status = 0
    _parts = 0
    _more = False
    """Has more come than is looked at just now?"""

    def _new_id(self) -> bytes:
        return _NO_ID

    def _frame(self, message: bytes) -> bytes:
        """A request; the connection's state begins anew with each."""
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        self._body, self._status, self._parts = b"", 0, 0
        headers = [("Host", self._owner.to), ("Accept", _TYPE)]
        if self._owner.terms.method == "GET":
            query = urlsafe_b64encode(message).rstrip(b"=").decode()
            request, body = h11.Request(method="GET", target=f"{PATH}?dns={query}", headers=headers), b""
        else:
            headers += [("Content-Type", _TYPE), ("Content-Length", str(len(message)))]
            request, body = h11.Request(method="POST", target=PATH, headers=headers), message
        parts = [self._http.send(request), self._http.send(h11.Data(data=body)) if body else b""]
        return b"".join(part or b"" for part in (*parts, self._http.send(h11.EndOfMessage())))

    def _prepare(self) -> None:
        self._http = h11.Connection(h11.CLIENT)

    def data_received(self, data: bytes) -> None:
        """Collects the parts of an answer; one that is too long, no answer, or not asked for, ends the connection."""
        if not self.pending:
            self.close()
            return
        try:
            for start in range(0, len(data) or 1, _SLICE):
                self._more = start + _SLICE < len(data)
                self._http.receive_data(data[start : start + _SLICE])
                self._read_events()
                if not self.pending:
                    return
        except h11.RemoteProtocolError as error:
            self.fail(f"https {self._owner.to}: {error}")

    def eof_received(self) -> None:
        """An answer that does not say how long it is ends with the connection (RFC 9112 §6.3)."""
        if self.pending and self._status:
            self.retired = True
            self.data_received(b"")

    def _read_events(self) -> None:
        while isinstance(event := self._http.next_event(), h11.Event):
            self._parts += 1
            if self._parts > MOST_PARTS:
                raise h11.RemoteProtocolError("the answer comes in too many parts")
            if isinstance(event, h11.Response):
                self._status = event.status_code
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > _LONGEST:
                    raise h11.RemoteProtocolError("the answer is too long")
            elif isinstance(event, h11.EndOfMessage):
                self._finish()
                return
        if event is h11.PAUSED or event is h11.NEED_DATA:
            return
        raise h11.RemoteProtocolError("the connection was closed")

    def _finish(self) -> None:
        """A whole answer is there."""
        if self._status != 200:
            self.fail(f"https {self._owner.to}: status {self._status}")
            return
        if h11.MUST_CLOSE in (self._http.their_state, self._http.our_state) or self._http.trailing_data[0] or self._more:
            self.retired = True
        now = monotonic()
        self._take(_NO_ID + self._body[2:], now)
        self._owner.measures.settle(now)
        if self.pending:
            self.fail(f"https {self._owner.to}: the answer is not one to this question")
        else:
            self._owner.idle(self)
