"""Transfers signed with a shared key, and those that only claim to be (RFC 8945 §5.3.1)."""

from __future__ import annotations

import base64

import dns.message
import dns.rrset
import dns.tsigkeyring
import pytest

from pycoredns.errors import StartError
from pycoredns.plugins.secondary.tests.support import Primary, Records, expired, says, secondary, zone
from pycoredns.testing import eventually

pytestmark = pytest.mark.usefixtures("quick")

KEY, SECRET = "key.test.", base64.b64encode(b"a secret of 32 octets, no more...").decode()
KEYRING = dns.tsigkeyring.from_text({KEY: ("hmac-sha256", SECRET)})


def unsigned(query: dns.message.Message, records: Records) -> bytes:
    """A message that answers a signed question without a signature."""
    copy = dns.message.make_query(query.question[0].name, query.question[0].rdtype, id=query.id, flags=0)
    reply = dns.message.make_response(copy)
    for each in records:
        owner, ttl, rtype, *data = each.split()
        reply.answer.append(dns.rrset.from_text(owner, int(ttl), "IN", rtype, " ".join(data)))
    return reply.to_wire(max_size=65535)


def not_at_all(query: dns.message.Message, zone: Records) -> list[Records | bytes]:
    return [unsigned(query, [*zone, zone[0]])]


def not_at_the_end(query: dns.message.Message, zone: Records) -> list[Records | bytes]:
    return [zone[:2], unsigned(query, [*zone[2:], zone[0]])]


def by_another(query: dns.message.Message, zone: Records) -> list[Records | bytes]:
    reply = dns.message.from_wire(unsigned(query, [*zone, zone[0]]), one_rr_per_rrset=True)
    reply.request_mac = query.mac
    reply.use_tsig(dns.tsigkeyring.from_text({KEY: ("hmac-sha256", base64.b64encode(b"another secret").decode())}))
    return [reply.to_wire(max_size=65535)]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, ""),
        (not_at_all, "TSIG: the first message is not signed"),
        (not_at_the_end, "TSIG: the last message is not signed"),
        (by_another, "TSIG: its signature is not good: BADSIG"),
    ],
)
async def test_signed_transfers(answer, said, caplog):
    primary = Primary(zone(1, "one"))
    primary.key = KEYRING
    if answer:
        primary.answer = lambda query: answer(query, primary.zone)
    async with primary.running(), secondary(primary, f"key {KEY}", f"tsig {{\n secret {KEY} {SECRET}\n}}") as server:
        if said:
            await eventually(lambda: said in caplog.text)
            assert await expired(server)
        else:
            await eventually(lambda: says(server, "one"))


async def test_a_key_that_is_not_there():
    with pytest.raises(StartError, match=r"there is no key lost\."):
        async with secondary(Primary([]), "key lost."):
            pass
