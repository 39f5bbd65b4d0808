"""The two numbers of an ECDSA signature, which the library gives in DER (RFC 6605 §4)."""

from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from pycoredns.dnssec.algorithms import NUMBERS, EcdsaSigner, new_signer


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
    monkeypatch.setattr(signer, "_private", SimpleNamespace(sign=lambda data, method: encoded))
    assert signer.sign(b"") == first.rjust(size, b"\0") + second.rjust(size, b"\0")
