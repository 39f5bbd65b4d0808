"""Requests are verified and answers signed here, whatever plugin answers."""

from __future__ import annotations

from dataclasses import field
from time import time
from typing import Annotated

from pycoredns.answer import Answer, Pending, pending
from pycoredns.corefile.kinds import Zone
from pycoredns.corefile.options import Arguments, BadValueError, Option, Repeated, zones_of_block
from pycoredns.errors import DNSError, Dropped, FormatError
from pycoredns.frozen import changeable
from pycoredns.output import logger
from pycoredns.plugin import Plugin
from pycoredns.plugins.tsig.options import NO_OPCODES, NO_TYPES, Opcodes, QueryTypes, Secret, SecretsFile
from pycoredns.plugins.tsig.signed import Signed
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.service import Service
from pycoredns.settings import BlockSettings
from pycoredns.stream import Stream
from pycoredns.tsig import BadTSIGError, Key, Keyring, Verified, find, verify
from pycoredns.wire import names, types

log = logger("pycoredns.tsig")
"""Its lines do not say whose they are, as in CoreDNS."""
_BEFORE_NAME, _BEHIND_NAME = 12, 4
"""Octets of a message that stand before the name of its question, and of the question behind it."""


@changeable
class Tsig(Plugin):
    """Verify requests that are signed with a shared secret, and sign their answers (TSIG, RFC 8945)."""

    zones: Annotated[tuple[Zone, ...], Arguments("zones whose requests are verified", otherwise=zones_of_block)] = ()
    secret: Annotated[tuple[Secret, ...], Repeated("a key and its secret, in base64")] = ()
    secrets: Annotated[tuple[SecretsFile, ...], Repeated("a file of keys, as BIND's named.conf has them")] = ()
    require: Annotated[QueryTypes, Option("types that are refused unless signed")] = NO_TYPES
    require_opcode: Annotated[Opcodes, Option("opcodes that are refused unless signed")] = NO_OPCODES
    keys: dict[bytes, Key] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Puts the keys together."""
        given = [secret.key for secret in self.secret] + [key for file in self.secrets for key in file.keys]
        for key in given:
            if key.name in self.keys:
                raise BadValueError(f'key "{names.to_text(key.name)}" is defined twice')
            self.keys[key.name] = key
        self._keyrings: dict[Service, Keyring] = {}

    def configure(self, settings: BlockSettings) -> None:
        """Other plugins sign with these keys too."""
        settings.keys.update(self.keys)

    def handle(self, request: Request) -> Answer:
        """Refuses what had to be signed, verifies what is, and has its answer signed; the plugins behind see no TSIG record."""
        if not self._covers(request.name):
            return self.next(request)
        if request.origin.header.additionals and not request.depth:
            verified = self._verify(request)
            if verified is not None:
                return self._answer(request, verified)
        if self._lacks(request):
            log.debug("rejecting '%s' request without TSIG", types.type_text(request.qtype))
            return Response(types.REFUSED, flags=0)
        return self.next(request)

    def _covers(self, name: bytes) -> bool:
        """Is the name in one of the zones?"""
        for zone in self.zones:  # noqa: SIM110  any() takes longer, and this is done for each question
            if zone == names.ROOT or names.within(name, zone):
                return True
        return False

    def _verify(self, request: Request) -> Verified | None:
        """The client's signature and what it is worth, None if there is none; raises FormatError where that cannot be told."""
        origin = request.origin
        message = origin.wire
        try:
            signature = find(message, _BEFORE_NAME + len(origin.asked) + _BEHIND_NAME)
            if signature is None:
                return None
            return verify(message, signature, self._keys(request.listener.service), time())
        except BadTSIGError as error:  # anybody can send that, so it is no news
            log.debug("%s: %s", types.type_text(request.qtype), error)
            raise FormatError from None

    def _lacks(self, request: Request) -> bool:
        """Had it to be signed? What the server asks itself is as good as what led to it."""
        if request.depth and request.verified is not None and request.verified.good:
            return False
        return self.require.hold(request.qtype) or self.require_opcode.hold(request.header.opcode)

    def _keys(self, service: Service) -> Keyring:
        """The keys of all blocks that are served there; those of its own block come first."""
        keys = self._keyrings.get(service)
        if keys is None:
            blocks = [block for served in service.zones.values() for block in served]
            merged = {name: key for block in blocks for name, key in block.settings.keys.items()}
            keys = self._keyrings[service] = {**merged, **self.keys}
        return keys

    def _answer(self, request: Request, verified: Verified) -> Answer:
        """The signed answer of the plugins behind, or the reason why there is none."""
        request.signed_with(verified)
        if not verified.good:
            log.debug("TSIG validation failed: %s %s", types.type_text(request.qtype), verified.status.name)
            return Signed(Response(types.NOTAUTH, flags=0), verified)
        try:
            answer = self.next(request.replace())
            if isinstance(answer, Response):
                return Signed(answer, verified)
        except Dropped:
            raise
        except DNSError as error:
            return _failed(error, verified)
        later = Pending()
        pending(answer).when_done(lambda done: _finish(done, later, verified))
        return later


def _finish(done: Pending, later: Pending, verified: Verified) -> None:
    """Signs an answer, or an error, that has come."""
    try:
        answer = done.result()
        later.resolve(_sealed(answer, verified) if isinstance(answer, Stream) else Signed(answer, verified))
    except DNSError as error:
        if isinstance(error, Dropped):
            later.fail(error)
        else:
            later.resolve(_failed(error, verified))
    except Exception as error:  # noqa: BLE001  the query's end: whoever waits gets it
        later.fail(error)


def _sealed(answer: Stream, verified: Verified) -> Response:
    """An answer of many messages, each of which is signed as it leaves (RFC 8945 §5.3.1)."""
    signer = verified.signer()
    return answer.alike(seal=lambda message: signer.sign(message, time()), room=signer.size)


def _failed(error: DNSError, verified: Verified) -> Response:
    """An error, signed too; the plugins before see an answer like any other, as in CoreDNS, so that it is logged here."""
    if str(error):
        log.error("request handler returned an error: %s", error)
    return Signed(Response(error.rcode, flags=0), verified)
