"""Calls between a supervisor and a worker, both ways, over one socket.

A message is a head in JSON and octets that nobody looks into on the way; sockets may be handed over with it (unix(7),
SCM_RIGHTS). Nothing that is executed travels here.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import count
from struct import Struct
from typing import Any, TypeAlias

from pycoredns.errors import ConfigErrors, StartError
from pycoredns.output import logger
from pycoredns.peers import Message, NobodyAnswers

MOST_OPEN = 256
"""Calls whose answers are to come; past this the other process is taken for one that does not answer."""
_READ = 1 << 18
_MOST_DESCRIPTORS = 64
_FRAME = Struct("!IIB")
"""Octets of the head and of the body, and how many sockets come with it."""

log = logger("pycoredns")


class Refused(Exception):
    """The other process cannot do what it was asked; the text says why."""


Handler: TypeAlias = Callable[[Message, list[socket.socket]], Message | Awaitable[Message | None] | None]


class Channel:
    """One end. ``lost`` is called once the other one is gone."""

    def __init__(self, sock: socket.socket, handlers: Mapping[str, Handler], lost: Callable[[], None]) -> None:
        """``sock`` is one of a pair; ``handlers`` answer what is called by their name."""
        self._sock = sock
        self._handlers = handlers
        self._lost = lost
        self._numbers = count()
        self._open: dict[int, asyncio.Future[Message]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._received = bytearray()
        self._handed: deque[socket.socket | None] = deque()
        """Sockets that have come; None stands where others with the same message found no room."""
        self._outgoing: deque[tuple[memoryview, Sequence[socket.socket]]] = deque()

    def start(self) -> None:
        """Takes and makes calls from now on."""
        self._sock.setblocking(False)
        asyncio.get_running_loop().add_reader(self._sock.fileno(), self._read)

    def close(self) -> None:
        """Ends it; those who wait for an answer get NobodyAnswers."""
        if self._sock.fileno() < 0:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._sock.fileno())
        loop.remove_writer(self._sock.fileno())
        self._sock.close()
        _close([*self._handed, *(each for _, sockets in self._outgoing for each in sockets)])
        for waiting in self._open.values():
            if not waiting.done():
                waiting.set_exception(NobodyAnswers("the other process is gone"))

    async def call(
        self,
        name: str,
        message: Message | None = None,
        sockets: Sequence[socket.socket] = (),
        seconds: float | None = None,
        always: bool = False,
    ) -> Message:
        """Has the other process do something; raises Refused, or NobodyAnswers where it is gone or takes too long.

        ``always``: even where many other calls wait for their answers.
        """
        if self._sock.fileno() < 0 or (len(self._open) >= MOST_OPEN and not always):
            raise NobodyAnswers("the other process is gone, or does not answer")
        number = next(self._numbers)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._open[number] = answer
        try:
            self._send({"call": number, "name": name}, message or Message(), sockets)
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError as error:
            raise NobodyAnswers(f"no answer within {seconds:g} s") from error
        finally:
            del self._open[number]

    # --- what is sent

    def _send(self, head: dict[str, Any], message: Message, sockets: Sequence[socket.socket] = ()) -> None:
        if self._sock.fileno() < 0:
            return
        encoded = json.dumps({**head, "value": message.value}).encode()
        frame = b"".join((_FRAME.pack(len(encoded), len(message.body), len(sockets)), encoded, message.body))
        self._outgoing.append((memoryview(frame), [each.dup() for each in sockets]))
        if len(self._outgoing) == 1:
            self._write()

    def _write(self) -> None:
        """Sends what the kernel takes, and the rest when it takes more."""
        loop = asyncio.get_running_loop()
        while self._outgoing:
            frame, sockets = self._outgoing[0]
            try:
                sent = socket.send_fds(self._sock, [frame], [each.fileno() for each in sockets])
            except BlockingIOError:
                loop.add_writer(self._sock.fileno(), self._write)
                return
            except OSError:
                break  # the other process is gone; reading tells
            for each in sockets:
                each.close()
            if sent == len(frame):
                self._outgoing.popleft()
            else:
                self._outgoing[0] = frame[sent:], ()
        loop.remove_writer(self._sock.fileno())

    # --- what is received

    def _read(self) -> None:
        try:
            octets, descriptors, flags, _ = socket.recv_fds(self._sock, _READ, _MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            octets, descriptors, flags = b"", [], 0
        for descriptor in descriptors:
            self._handed.append(sock := socket.socket(fileno=descriptor))
            sock.setblocking(False)  # else its copies would make it block, also for those who share it
        if flags & socket.MSG_CTRUNC:
            self._handed.append(None)
        if not octets:
            self.close()
            self._lost()
            return
        self._received += octets
        while len(self._received) >= _FRAME.size and self._take_frame():
            pass

    def _take_frame(self) -> bool:
        """Takes a message if it is there as a whole."""
        head_size, body_size, handed = _FRAME.unpack_from(self._received)
        start = _FRAME.size + head_size
        if len(self._received) < start + body_size:
            return False
        head = json.loads(self._received[_FRAME.size : start])
        message = Message(head["value"], bytes(self._received[start : start + body_size]))
        del self._received[: start + body_size]
        self._take(head, message, self._take_sockets(handed))
        return True

    def _take_sockets(self, handed: int) -> list[socket.socket] | None:
        """The sockets that came with a message; None if some of them could not be opened."""
        sockets: list[socket.socket] = []
        for _ in range(handed):
            sock = self._handed.popleft()
            if sock is None:
                _close(sockets)
                return None
            sockets.append(sock)
        return sockets

    def _take(self, head: dict[str, Any], message: Message, sockets: list[socket.socket] | None) -> None:
        if sockets is None:
            self._refuse(head["call"], "its sockets cannot be taken: too many open files")
            return
        if "call" in head:
            task = asyncio.get_running_loop().create_task(self._answer(head["call"], head["name"], message, sockets))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
            return
        waiting = self._open.get(head["answer"])
        if waiting is None or waiting.done():
            return
        if head["refused"] is None:
            waiting.set_result(message)
        else:
            waiting.set_exception(NobodyAnswers(head["refused"]) if head["absent"] else Refused(head["refused"]))

    async def _answer(self, number: int, name: str, message: Message, sockets: list[socket.socket]) -> None:
        """Does what the other process wants, and says what came of it."""
        absent = False
        try:
            answer = self._handlers[name](message, sockets)
            result = answer if isinstance(answer, Message | None) else await answer
            self._send({"answer": number, "refused": None, "absent": False}, result or Message())
            return
        except NobodyAnswers as error:
            refused, absent = str(error), True
        except (ConfigErrors, StartError, OSError, Refused) as error:
            refused = str(error)
        except Exception as error:  # a call ends here
            log.error("%s failed in process %d: %r", name, os.getpid(), error, exc_info=error)
            refused = repr(error)
        self._refuse(number, refused, absent)

    def _refuse(self, number: int, reason: str, absent: bool = False) -> None:
        self._send({"answer": number, "refused": reason, "absent": absent}, Message())


def _close(sockets: Iterable[socket.socket | None]) -> None:
    for each in sockets:
        if each is not None:
            each.close()
