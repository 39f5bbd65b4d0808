"""Which worker gets a question: that which the name belongs to. The kernel asks a small program, for each datagram.

So each worker has names of its own: what one of them has learned is asked of it again, and nothing is asked of an upstream twice.
By the kernel's own choice, which goes by the client's address and port, each worker would have to learn everything for itself.
The program is classic BPF (linux/filter.h), and is attached to the sockets that share an address (SO_ATTACH_REUSEPORT_CBPF in
socket(7)). It takes some 30 ns. A datagram that is too short for what it reads goes to the first worker. ``owner`` says the
same of a question that came over a connection.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
from contextlib import suppress
from struct import Struct

_ATTACH = 51
"""SO_ATTACH_REUSEPORT_CBPF, which Python does not name."""
_PROGRAM = Struct("@HP")
"""struct sock_fprog: how many instructions there are, and where they are."""
_INSTRUCTION = Struct("=HBBI")
"""struct sock_filter: what to do; how many instructions to skip where a condition holds, or does not; an operand."""

# A is what is reckoned with, X the index; M0 keeps the hash, M1 how many octets of the name have been passed.
_A_IS, _A_IS_OCTET, _A_IS_WORD = 0x00, 0x50, 0x40  # octet and word are those at X and a number
_A_IS_M, _X_IS_M, _M_IS_A, _X_IS_A = 0x60, 0x61, 0x02, 0x07
_PLUS, _TIMES, _MODULO, _OR, _SHIFTED = 0x04, 0x24, 0x94, 0x44, 0x74
_PLUS_X, _XOR_X = 0x0C, 0xAC
_IF_AT_LEAST, _RETURN_A = 0x35, 0x16
_NAME = 12
"""Where the question's name begins, behind the header (RFC 1035 §4.1.1)."""
_LABELS = 5
"""As many of them are looked at: pod.service.namespace.svc.cluster has that many that may differ."""

_LETTERS = 0x20202020
"""Four letters are small ones with these bits set; other octets with them are as good as those without (RFC 4343)."""
_ALL_BITS = 0xFFFFFFFF
_WORD = Struct("!I")

Instruction = tuple[int, int, int, int]


def factor(secret: bytes) -> int:
    """What names are hashed with, so that nobody outside can choose names that all belong to one worker."""
    return int.from_bytes(secret[: _WORD.size], "big") | 1


def steer(sock: socket.socket, copies: int, factor: int) -> None:
    """Has names divided among ``copies`` UDP sockets of one address, of which this is one; the first that was bound is number 0.

    Where the kernel cannot do that it divides by addresses: that is slower for some, but not wrong.
    """
    if sys.platform == "linux":
        code = b"".join(_INSTRUCTION.pack(*each) for each in program(copies, factor))
        held = ctypes.create_string_buffer(code, len(code))
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, _ATTACH, _PROGRAM.pack(len(code) // _INSTRUCTION.size, ctypes.addressof(held)))


def program(copies: int, factor: int) -> list[Instruction]:
    """The number of the socket: a hash of the beginnings and ends of a name's first labels.

    Nothing behind the question counts, where a cookie would make each datagram another one.
    """
    labels: list[Instruction] = []
    for _ in range(_LABELS):
        labels = _label(factor, labels)
    begin = [_do(_A_IS, factor), _do(_M_IS_A), _do(_A_IS), _do(_M_IS_A, 1)]
    return [*begin, *labels, _do(_A_IS_M), _do(_TIMES, factor), _do(_SHIFTED, 16), _do(_MODULO, copies), _do(_RETURN_A)]


def _do(code: int, operand: int = 0) -> Instruction:
    return code, 0, 0, operand


def _label(factor: int, following: list[Instruction]) -> list[Instruction]:
    """Has the first and the last four octets of a label count, its length among the first, and then the ``following``."""
    load_length = [_do(_X_IS_M, 1), _do(_A_IS_OCTET, _NAME)]
    end = [_do(_PLUS_X), _do(_X_IS_A), _do(_A_IS_WORD, _NAME - 3), *_mixed(factor)]
    start = [_do(_X_IS_M, 1), _do(_A_IS_WORD, _NAME), *_mixed(factor)]
    go_on = [*load_length, _do(_PLUS_X), _do(_PLUS, 1), _do(_M_IS_A, 1)]
    rest = [*_where_at_least(3, end), *start, *go_on, *following]
    return [*load_length, *_where_at_least(1, rest)]


def _where_at_least(length: int, code: list[Instruction]) -> list[Instruction]:
    """What is done only if A, the length of a label, is at least so much."""
    return [(_IF_AT_LEAST, 0, len(code), length), *code]


def _mixed(factor: int) -> list[Instruction]:
    """Has A count in M, whether its letters are large or small."""
    both = [_do(_OR, _LETTERS), _do(_X_IS_M), _do(_XOR_X)]
    return [*both, _do(_TIMES, factor), _do(_X_IS_A), _do(_SHIFTED, 15), _do(_XOR_X), _do(_M_IS_A)]


def owner(query: bytes, copies: int, factor: int) -> int:
    """What the kernel's program says of a query, for one that has not come in a datagram."""
    counted, place = factor, _NAME
    try:
        for _ in range(_LABELS):
            length = query[place]
            if not length:
                break
            for start in (place + length - 3, place) if length >= 3 else (place,):
                counted ^= _WORD.unpack_from(query, start)[0] | _LETTERS
                counted = counted * factor & _ALL_BITS
                counted ^= counted >> 15
            place += length + 1
    except (IndexError, struct.error):  # too short for what is read
        return 0
    return ((counted * factor & _ALL_BITS) >> 16) % copies
