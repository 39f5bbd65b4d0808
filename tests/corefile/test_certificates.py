"""Files for TLS that a Corefile names."""

import re
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from pycoredns.corefile.certificates import client_context
from pycoredns.corefile.options import BadValueError

CERTIFICATES = Path(__file__).parents[1] / "conformance" / "certs"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A certificate with its key, that key behind a password, an authority, and what is none of these."""
    found = {name: CERTIFICATES / f"{name}.pem" for name in ("ca", "cert", "key")}
    found |= {name: tmp_path / name for name in ("locked", "text", "none")}
    key = serialization.load_pem_private_key(found["key"].read_bytes(), None)
    lock = serialization.BestAvailableEncryption(b"secret")
    found["locked"].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock))
    found["text"].write_text("PEM")
    return found


def test_files_that_suit(files: dict[str, Path]) -> None:
    context = client_context(files["cert"], files["key"], files["ca"])
    assert context.get_ca_certs(binary_form=True) == [ssl.PEM_cert_to_DER_cert(files["ca"].read_text())]
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert client_context(None, None, None).verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("cert", "ca", None), '"{cert}" and "{ca}" are not a certificate and its key'),
        (("ca", "key", None), '"{ca}" and "{key}" are not a certificate and its key'),
        (("key", "cert", None), '"{key}" and "{cert}" are not a certificate and its key'),
        (("cert", "text", None), '"{cert}" and "{text}" are not a certificate and its key'),
        (("cert", "locked", None), '"{cert}" and "{locked}" are not a certificate and its key'),
        (("cert", "none", None), '"{none}" cannot be read (no such file or directory)'),
        ((None, None, "key"), '"{key}" holds no certificate'),
        ((None, None, "text"), '"{text}" holds no certificate'),
        ((None, None, "none"), '"{none}" cannot be read (no such file or directory)'),
    ],
)
def test_files_that_do_not_suit(names: tuple[str | None, ...], said: str, files: dict[str, Path]) -> None:
    with pytest.raises(BadValueError, match=f"^{re.escape(said.format(**files))}$"):
        client_context(*(files[name] if name else None for name in names))
