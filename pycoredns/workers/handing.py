"""Connections go to the worker that the name in their first question belongs to, as datagrams do.

So a question that is asked again by TCP, because its answer was cut, reaches the worker that has the answer. There is a way
to each worker, by which the others hand connections over (unix(7), SCM_RIGHTS) with what has been read from them.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Callable
from functools import partial
from struct import Struct

from pycoredns.peers import here
from pycoredns.sockets import Key
from pycoredns.transport.descriptor import HandOver
from pycoredns.transport.steering import factor, owner
from pycoredns.transport.tcp import TCPListener
from pycoredns.workers.plan import read, written

_MOST_HANDED = 1 << 16
"""Octets that are handed over with a connection; of one with more in hand the questions are answered where it is."""
_AT_ONCE = 64
_HEAD = Struct("!H")
"""Octets of the listener's key, which stands before what has been read."""


class Ways:
    """To each worker. They stay with the supervisor, and with them the connections that wait in them."""

    def __init__(self, size: int) -> None:
        """For so many workers; where the kernel does not divide datagrams by names there are no ways."""
        count = size if sys.platform == "linux" else 0
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(count)]
        self.ends = [end for end, _ in pairs]
        """Where a worker finds what is handed to it."""
        self.starts = [start for _, start in pairs]
        for sock in (*self.ends, *self.starts):
            sock.setblocking(False)

    def of_worker(self, number: int) -> list[socket.socket]:
        """What a worker needs."""
        return [*self.ends[number : number + 1], *self.starts]

    def close(self) -> None:
        """Closes them; connections that wait in them end."""
        for sock in (*self.ends, *self.starts):
            sock.close()


class Handing:
    """What a worker hands over to others, and what others hand over to it."""

    def __init__(self, number: int, ways: Ways, find: Callable[[Key], TCPListener | None]) -> None:
        """``number`` is the worker's; ``find`` gives the listener that it has for a key at present."""
        self._number = number
        self._ways = ways
        self._find = find
        self._factor = factor(here().secret)
        self._open: dict[int, socket.socket] = {}
        """Where it looks for connections, by the number of the worker that they are for."""

    # --- to others

    def for_listener(self, key: Key) -> HandOver | None:
        """What hands over the connections that come to a listener with this key."""
        if not self._ways.starts:
            return None
        head = json.dumps(written(key)).encode()
        return partial(self.hand_over, _HEAD.pack(len(head)) + head)

    def hand_over(self, head: bytes, message: bytes, descriptor: int) -> bool:
        """Gives a connection, from which this has been read, to the worker that it belongs to, if that is another one.

        Where there is no room on the way to it the connection stays.
        """
        number = owner(message[2:], len(self._ways.starts), self._factor)
        if number == self._number or len(message) > _MOST_HANDED:
            return False
        try:
            socket.send_fds(self._ways.starts[number], [head, message], [descriptor])
        except OSError:
            return False
        return True

    # --- from others

    def begin(self) -> None:
        """Takes from now on what is handed over."""
        for end in self._ways.ends[self._number : self._number + 1]:
            self.take_for(self._number, end)

    def take_for(self, number: int, end: socket.socket) -> None:
        """Takes what is for a worker, as that one is gone: its end is read, and closed when it is not any more."""
        self.leave_to(number)
        self._open[number] = end
        asyncio.get_running_loop().add_reader(end.fileno(), self._take, end)

    def leave_to(self, number: int) -> None:
        """Leaves what is for a worker to that one, again."""
        end = self._open.pop(number, None)
        if end is not None:
            asyncio.get_running_loop().remove_reader(end.fileno())
            end.close()

    def end(self) -> None:
        """Takes no more."""
        for number in tuple(self._open):
            self.leave_to(number)

    def _take(self, end: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                octets, descriptors, _, _ = socket.recv_fds(end, _HEAD.size + 512 + _MOST_HANDED, 1, socket.MSG_CMSG_CLOEXEC)
            except OSError:
                return
            for descriptor in descriptors:  # none where no more may be open
                self._receive(octets, socket.socket(fileno=descriptor))

    def _receive(self, octets: bytes, sock: socket.socket) -> None:
        (size,) = _HEAD.unpack_from(octets)
        start = _HEAD.size + size
        listener = self._find(read(json.loads(octets[_HEAD.size : start])))
        if listener is None:  # a reload has just taken the address away
            sock.close()
            return
        listener.take(sock, octets[start:])
