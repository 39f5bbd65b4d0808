"""Signatures with shared secrets, beside those of dnspython (RFC 8945)."""

import hmac
import os
import random

import dns.exception
import dns.message
import dns.tsig
import dns.tsigkeyring
import pytest

from pycoredns.tsig import (
    Algorithm,
    BadSecretError,
    BadTSIGError,
    Key,
    Signer,
    Status,
    Verifier,
    find,
    sign,
    verify,
)
from pycoredns.tsig.record import prefixed, timers, unsigned, with_record
from pycoredns.wire import names

COUNT = int(os.environ.get("PYCOREDNS_FUZZ", "20000"))
SECRET = "NoTCJU+DMqFWywaPyxSijrDEA/eC3nK0xi3AMEZuPVk="
KEY = Key.of("key.test", SECRET)
KEYS = {KEY.name: KEY}
NOW = 1_800_000_000
ALGORITHMS = pytest.mark.parametrize("algorithm", Algorithm, ids=lambda algorithm: algorithm.digest)


@pytest.fixture(autouse=True)
def dnspython_s_clock(monkeypatch):
    """dnspython signs and verifies at ``NOW``."""
    monkeypatch.setattr("dns.message.time.time", lambda: NOW)


def asked(algorithm=Algorithm.SHA256, key="key.test", secret=SECRET, fudge=300, edns=True):
    """A signed question of dnspython's."""
    query = dns.message.make_query("www.test", "A", use_edns=edns)
    query.use_tsig(dns.tsigkeyring.from_text({key: secret}), fudge=fudge, algorithm=f"hmac-{algorithm.digest}")
    query.to_wire()
    return query


def answer_to(query):
    """An answer that is not signed yet."""
    plain = dns.message.make_query("www.test", "A", id=query.id, use_edns=True)
    return dns.message.make_response(plain).to_wire()


def status(wire, keys=KEYS, now=NOW):
    return verify(wire, find(wire), keys, now).status


def resigned(wire, size=None, **fields):
    """A question of dnspython's with other fields in its record, and a MAC that fits them, cut to ``size`` octets."""
    signature = find(wire)
    changed = signature._replace(**fields)
    mac = KEY.mac(unsigned(wire, signature) + changed.variables, Algorithm.SHA256)[:size]
    return with_record(unsigned(wire, signature), changed._replace(mac=mac).wire())


# --- questions and answers


@ALGORITHMS
def test_dnspython_s_questions_are_verified_and_our_answers_by_it(algorithm):
    query = asked(algorithm)
    verified = verify(query.to_wire(), find(query.to_wire()), KEYS, NOW)
    assert verified.good
    plain = answer_to(query)
    signed = verified.answer(plain, NOW)
    assert len(signed) - len(plain) == verified.size
    reply = dns.message.from_wire(signed, keyring=query.keyring, request_mac=query.mac)
    assert (reply.had_tsig, reply.tsig_error, len(reply.additional)) == (True, 0, 0)


@ALGORITHMS
def test_our_questions_are_verified_by_dnspython(algorithm):
    plain = dns.message.make_query("www.test", "A").to_wire()
    signed, mac = sign(plain, KEY, NOW, algorithm=algorithm)
    read = dns.message.from_wire(signed, keyring=dns.tsigkeyring.from_text({"key.test": SECRET}))
    assert (read.mac, read.keyalgorithm.to_text()) == (mac, f"hmac-{algorithm.digest}.")


def test_a_message_without_a_signature_has_none():
    assert find(dns.message.make_query("www.test", "A", use_edns=True).to_wire()) is None
    assert find(dns.message.make_query("www.test", "TSIG").to_wire()) is None  # 250 is there, but not as a record


def test_names_of_keys_are_the_same_in_any_case():
    assert status(asked(key="KEY.Test").to_wire()) == Status.GOOD


def test_the_id_may_change_on_the_way():
    wire = b"\0\1" + asked().to_wire()[2:]
    assert status(wire) == Status.GOOD


@pytest.mark.parametrize(
    ("wire", "keys", "expected"),
    [
        pytest.param(lambda: asked(key="other").to_wire(), KEYS, Status.BADKEY, id="unknown key"),
        pytest.param(lambda: asked().to_wire(), {}, Status.BADKEY, id="no keys"),
        pytest.param(lambda: asked(secret="AAAA").to_wire(), KEYS, Status.BADSIG, id="wrong secret"),
        pytest.param(lambda: resigned(asked().to_wire(), algorithm=names.from_text("hmac-md5")), KEYS, Status.BADSIG, id="md5"),
        pytest.param(lambda: resigned(asked().to_wire(), time=NOW - 301), KEYS, Status.BADTIME, id="too old"),
        pytest.param(lambda: resigned(asked().to_wire(), time=NOW + 301), KEYS, Status.BADTIME, id="too young"),
        pytest.param(lambda: resigned(asked().to_wire(), time=NOW - 300), KEYS, Status.GOOD, id="just in time"),
        pytest.param(lambda: resigned(asked().to_wire(), time=NOW - 1, fudge=0), KEYS, Status.BADTIME, id="no fudge"),
        pytest.param(lambda: resigned(asked().to_wire(), time=NOW, fudge=0), KEYS, Status.GOOD, id="no fudge needed"),
        pytest.param(lambda: resigned(asked().to_wire(), time=0), KEYS, Status.BADTIME, id="no time"),
        pytest.param(lambda: resigned(asked().to_wire(), time=(1 << 48) - 1), KEYS, Status.BADTIME, id="end of times"),
        pytest.param(lambda: resigned(asked().to_wire(), 16), KEYS, Status.BADTRUNC, id="half of the MAC"),
        pytest.param(lambda: resigned(asked().to_wire(), 31), KEYS, Status.BADTRUNC, id="most of the MAC"),
        pytest.param(lambda: resigned(asked().to_wire(), 16, time=0), KEYS, Status.BADTIME, id="half of the MAC, too old"),
    ],
)
def test_what_a_signature_is_worth(wire, keys, expected):
    assert status(wire(), keys) == expected


@pytest.mark.parametrize("size", [0, 9, 15, 33])
def test_a_mac_of_an_impossible_length_is_malformed(size):
    wire = asked().to_wire()
    signature = find(wire)
    mac = (signature.mac + bytes(16))[:size]
    with pytest.raises(BadTSIGError, match=f"a MAC of {size} octets"):
        status(with_record(unsigned(wire, signature), signature._replace(mac=mac).wire()))


@pytest.mark.parametrize("place", [2, 3, 5, 7, 9, 13, 15, 23, 25], ids=lambda place: f"octet {place}")
def test_any_change_of_the_message_breaks_it(place):
    wire = bytearray(asked().to_wire())
    wire[place] ^= 1
    try:
        assert status(bytes(wire)) == Status.BADSIG
    except BadTSIGError:
        assert place < 12, "only the counts make it unreadable"


# --- answers to signatures that are not good


def test_who_has_another_time_is_told_ours():
    query = asked()
    wire = resigned(query.to_wire(), time=NOW - 4000)
    signed = verify(wire, find(wire), KEYS, NOW).answer(answer_to(query), NOW)
    told = find(signed)
    assert (told.error, told.time, told.other) == (Status.BADTIME, NOW - 4000, NOW.to_bytes(6, "big"))
    octets = prefixed(find(wire).mac) + unsigned(signed, told) + told.variables
    assert told.mac == KEY.mac(octets, Algorithm.SHA256)


@pytest.mark.parametrize(("key", "secret", "error"), [("other", SECRET, Status.BADKEY), ("key.test", "AAAA", Status.BADSIG)])
def test_who_has_not_the_key_gets_no_mac(key, secret, error):
    query = asked(key=key, secret=secret)
    verified = verify(query.to_wire(), find(query.to_wire()), KEYS, NOW)
    plain = answer_to(query)
    signed = verified.answer(plain, NOW)
    assert len(signed) - len(plain) == verified.size
    told = find(signed)
    assert (told.error, told.mac, told.key, told.id) == (error, b"", names.from_text(key), query.id)
    with pytest.raises(dns.tsig.PeerError):
        dns.message.from_wire(signed, keyring=query.keyring, request_mac=query.mac)
    with pytest.raises(BadTSIGError):
        verified.signer()


def test_a_short_mac_is_answered_with_a_whole_one():
    wire = resigned(asked().to_wire(), 16)
    verified = verify(wire, find(wire), KEYS, NOW)
    told = find(verified.answer(answer_to(asked()), NOW))
    assert (told.error, len(told.mac)) == (Status.BADTRUNC, 32)


# --- many messages


@ALGORITHMS
def test_a_transfer_is_signed_as_dnspython_and_we_verify_it(algorithm):
    query = asked(algorithm)
    plain = answer_to(query)
    signer = verify(query.to_wire(), find(query.to_wire()), KEYS, NOW).signer()
    verifier, context = Verifier(KEY, query.mac), None
    for _ in range(5):
        signed = signer.sign(plain, NOW)
        assert len(signed) - len(plain) == signer.size
        read = dns.message.from_wire(signed, keyring=query.keyring, request_mac=query.mac, xfr=True, tsig_ctx=context, multi=True)
        context = read.tsig_ctx
        verifier.feed(signed, NOW)
    verifier.finish()


def transfer(query, pattern):
    """Messages of a transfer, signed where the pattern has an ``s``; one signature covers those before it."""
    previous, octets, messages = query.mac, b"", []
    for number, sort in enumerate(pattern):
        plain = answer_to(query)
        octets += plain
        if sort == "s":
            signature = find(query.to_wire())._replace(time=NOW, mac=b"")
            signed = signature.variables if not number else timers(NOW, signature.fudge)
            previous, octets = KEY.mac(prefixed(previous) + octets + signed, Algorithm.SHA256), b""
            plain = with_record(plain, signature._replace(mac=previous).wire())
        messages.append(plain)
    return messages


def verified_all(query, messages, now=NOW, key=KEY):
    verifier = Verifier(key, query.mac)
    for message in messages:
        verifier.feed(message, now)
    verifier.finish()


@pytest.mark.parametrize("pattern", ["s", "ss", "s..s", "s" + 99 * "." + "s"])
def test_not_every_message_need_be_signed(pattern):
    query = asked()
    verified_all(query, transfer(query, pattern))


@pytest.mark.parametrize(
    ("pattern", "told"),
    [(".s", "first"), ("s.", "last"), ("s" + 100 * "." + "s", "99 messages in a row"), ("", "last")],
)
def test_but_the_first_the_last_and_every_hundredth(pattern, told):
    query = asked()
    with pytest.raises(BadTSIGError, match=told):
        verified_all(query, transfer(query, pattern))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda messages: messages[:1] + messages[2:], id="one is missing"),
        pytest.param(lambda messages: [messages[0], messages[2], messages[1], messages[3]], id="two change places"),
        pytest.param(lambda messages: messages[:2] + messages[1:], id="one comes twice"),
        pytest.param(lambda messages: [messages[0], messages[1][:-1] + b"\1", *messages[2:]], id="one is changed"),
    ],
)
def test_a_transfer_that_was_tampered_with_is_found(change):
    query = asked()
    messages = transfer(query, "s.ss")
    with pytest.raises(BadTSIGError):
        verified_all(query, change(messages))


def test_the_answer_to_another_question_is_found():
    messages = transfer(asked(), "s")
    other = dns.message.make_query("other.test", "A")
    other.use_tsig(dns.tsigkeyring.from_text({"key.test": SECRET}))
    other.to_wire()
    with pytest.raises(BadTSIGError, match="BADSIG"):
        verified_all(other, messages)


def test_an_answer_with_another_key_or_at_another_time_or_with_an_error_is_told():
    query = asked()
    messages = transfer(query, "s")
    with pytest.raises(BadTSIGError, match="another key"):
        verified_all(query, messages, key=Key.of("other", SECRET))
    with pytest.raises(BadTSIGError, match="BADTIME"):
        verified_all(query, messages, now=NOW + 1000)
    for error, text in ((17, "BADKEY"), (99, "error 99")):
        told = with_record(answer_to(query), find(query.to_wire())._replace(error=error, mac=b"").wire())
        with pytest.raises(BadTSIGError, match=f"the other side says {text}"):
            verified_all(query, [told])


def test_a_signer_of_our_own_uses_the_key_s_algorithm():
    key = Key.of("key.test", SECRET, Algorithm.SHA512)
    signed = Signer(key, b"").sign(answer_to(asked()), NOW)
    assert find(signed).algorithm == names.from_text("hmac-sha512")


# --- keys


@pytest.mark.parametrize("secret", ["not base64", "QUJ", "ä", "QU JD", ""])
def test_a_secret_is_base64_and_not_empty(secret):
    with pytest.raises(BadSecretError):
        Key.of("key.test", secret)


def test_a_key_does_not_show_its_secret():
    assert "secret" not in repr(KEY)


def test_macs_are_compared_in_constant_time(monkeypatch):
    compared = []
    monkeypatch.setattr(
        "pycoredns.tsig.verifying.compare_digest", lambda a, b: compared.append((a, b)) or hmac.compare_digest(a, b)
    )
    assert status(asked().to_wire()) == Status.GOOD
    assert len(compared) == 1


# --- hostile records


def with_raw(rdata, fixed=b"\0\xfa\0\xff\0\0\0\0", owner=KEY.name):
    """A question with a TSIG record of these octets."""
    plain = dns.message.make_query("www.test", "A").to_wire()
    return with_record(plain, owner + fixed + len(rdata).to_bytes(2, "big") + rdata)


GOOD_RDATA = Algorithm.SHA256.wire + timers(NOW, 300) + b"\0\x20" + bytes(32) + bytes(6)


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(lambda: with_raw(b""), id="empty"),
        pytest.param(lambda: with_raw(GOOD_RDATA[:20]), id="no timers"),
        pytest.param(lambda: with_raw(GOOD_RDATA[:-7]), id="MAC cut off"),
        pytest.param(lambda: with_raw(GOOD_RDATA[:-1]), id="no length of other data"),
        pytest.param(lambda: with_raw(GOOD_RDATA + b"x"), id="something behind"),
        pytest.param(lambda: with_raw(GOOD_RDATA[:-2] + b"\0\1"), id="other data cut off"),
        pytest.param(lambda: with_raw(b"\xc0\xff" + GOOD_RDATA), id="a pointer that leads nowhere"),
        pytest.param(lambda: with_raw(GOOD_RDATA, b"\0\xfa\0\1\0\0\0\0"), id="class IN"),
        pytest.param(lambda: with_raw(GOOD_RDATA, b"\0\xfa\0\xff\0\0\0\1"), id="a TTL"),
        pytest.param(lambda: with_raw(GOOD_RDATA)[:-10], id="RDATA cut off"),
        pytest.param(lambda: with_record(with_raw(GOOD_RDATA), b"\0\0\x29\4\xd0\0\0\0\0\0\0"), id="not the last"),
        pytest.param(lambda: with_record(with_raw(GOOD_RDATA), with_raw(GOOD_RDATA)[26:]), id="two of them"),
        pytest.param(lambda: (w := with_raw(GOOD_RDATA))[:6] + b"\0\1\0\0\0\0" + w[12:], id="in the answer section"),
        pytest.param(lambda: with_raw(GOOD_RDATA, owner=b"\xc0\x0e"), id="an owner that is no name"),
    ],
)
def test_a_malformed_record_is_told(wire):
    with pytest.raises(BadTSIGError):
        find(wire())


def mangled(source, rng):
    """A message with some octets changed, taken away or added, mostly in its second half."""
    wire = bytearray(source)
    for _ in range(rng.randint(1, 3)):
        choice, place = rng.random(), rng.randrange(len(wire) // 2 if rng.random() < 0.7 else 0, len(wire) + 1)
        if choice < 0.7 and wire:
            wire[place % len(wire)] = rng.choice((0, 1, 63, 0xC0, 0xFA, 0xFF, rng.randrange(256)))
        elif choice < 0.8:
            del wire[place:]
        else:
            wire[place:place] = rng.randbytes(rng.randint(1, 20))
    return bytes(wire)


def test_hostile_records_raise_nothing_unforeseen_and_prove_nothing():
    rng = random.Random(8945)
    sources = [asked(algorithm, edns=edns).to_wire() for algorithm in Algorithm for edns in (False, True)]
    meant = {(unsigned(wire, find(wire)), find(wire).variables) for wire in sources}
    read = 0
    for number in range(COUNT):
        source = sources[number % len(sources)]
        start = find(source).start
        noise = source[:start] + rng.randbytes(rng.randrange(120))
        wire = noise if number % 5 == 0 else mangled(source, rng)
        try:
            signature = find(wire)
            verified = verify(wire, signature, KEYS, NOW) if signature else None
        except BadTSIGError:
            continue
        if verified is not None:
            read += 1
            verified.answer(source[:start], NOW)
            if verified.good:
                assert (unsigned(wire, signature), signature.variables) in meant
    assert read > COUNT // 10
