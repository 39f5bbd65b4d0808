"""ECDSA signatures: who makes them, and their two numbers, which libraries give in DER (RFC 6605 §4)."""

import os
import sys
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from pycoredns.dnssec.algorithms import NUMBERS, EcdsaSigner, Signer, new_signer
from pycoredns.dnssec.ecdsa import by_aws_lc, by_openssl, digest_signer


@pytest.mark.parametrize(("algorithm", "size"), [("ECDSAP256SHA256", 32), ("ECDSAP384SHA384", 48)])
@pytest.mark.parametrize(
    "octets",
    [(1, 1), (31, 32), (32, 31), (48, 48), (20, 46)],
    ids=lambda octets: f"{octets[0]}-{octets[1]}",
)
@pytest.mark.parametrize("first_octet", [0x01, 0x7F, 0x80, 0xFF], ids=hex)
def test_numbers_of_any_length_have_that_of_the_curve(
    monkeypatch: pytest.MonkeyPatch, algorithm: str, size: int, octets: tuple[int, int], first_octet: int
) -> None:
    first, second = (bytes((first_octet,)) + bytes(min(length, size) - 1) for length in octets)
    encoded = encode_dss_signature(int.from_bytes(first, "big"), int.from_bytes(second, "big"))
    signer = new_signer(NUMBERS[algorithm])
    assert isinstance(signer, EcdsaSigner)
    monkeypatch.setattr(signer, "_sign_digest", lambda digest: encoded)
    assert signer.sign(b"") == first.rjust(size, b"\0") + second.rjust(size, b"\0")


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()], ids=lambda curve: curve.name)
def test_both_libraries_sign_alike(curve: ec.EllipticCurve) -> None:
    private, digest = ec.generate_private_key(curve), sha256(b"what is signed").digest()
    by_aws = by_aws_lc(private)
    assert by_aws is not None, "awscrt is installed for all tests"
    for sign in (by_aws, by_openssl(private, hashes.SHA256())):
        private.public_key().verify(sign(digest), digest, ec.ECDSA(Prehashed(hashes.SHA256())))


def test_where_there_is_no_wheel_openssl_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "awscrt.crypto", None)
    private, digest = ec.generate_private_key(ec.SECP256R1()), bytes(32)
    signature = digest_signer(private, hashes.SHA256())(digest)
    private.public_key().verify(signature, digest, ec.ECDSA(Prehashed(hashes.SHA256())))


def test_workers_do_not_share_secret_numbers() -> None:
    """Two signatures made with the same number would give the key away; workers are forked when keys have been read."""
    signer = new_signer(NUMBERS["ECDSAP256SHA256"])
    signer.sign(b"the same")
    made = {signer.sign(b"the same")[:32], *(_signed_by_child(signer)[:32] for _ in range(2))}
    assert len(made) == 3


def _signed_by_child(signer: Signer) -> bytes:
    reader, writer = os.pipe()
    if not (child := os.fork()):
        os.write(writer, signer.sign(b"the same"))
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as pipe:
        return pipe.read()
