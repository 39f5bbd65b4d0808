from pathlib import Path

import pytest

from pycoredns.plugins.etcd.reach import end_of_prefix
from pycoredns.plugins.etcd.settings import Endpoint, Settings, TLSFiles


@pytest.mark.parametrize(
    ("text", "tls", "target", "encrypted"),
    [
        ("http://10.0.0.1:2379", False, "10.0.0.1:2379", False),
        ("http://10.0.0.1:2379", True, "10.0.0.1:2379", False),
        ("https://etcd.example.org:1234", False, "etcd.example.org:1234", True),
        ("https://etcd.example.org/", True, "etcd.example.org:2379", True),
        ("http://user@etcd:2379/path", False, "etcd:2379", False),
        ("http://[2001:db8::1]:2379", False, "[2001:db8::1]:2379", False),
        ("http://[2001:db8::1]", False, "[2001:db8::1]:2379", False),
        ("etcd:2380", False, "etcd:2380", False),
        ("etcd:2380", True, "etcd:2380", True),
        ("etcd", True, "etcd:2379", True),
        ("unix:///run/etcd.sock", False, "unix:/run/etcd.sock", False),
        ("unix://etcd.sock", False, "unix:etcd.sock", False),
        ("unixs:///run/etcd.sock", False, "unix:/run/etcd.sock", True),
    ],
)
def test_endpoints(text: str, tls: bool, target: str, encrypted: bool) -> None:
    assert Endpoint.parse(text, tls=tls) == Endpoint(text, target, encrypted)


@pytest.mark.parametrize(
    ("prefix", "end"),
    [(b"/skydns/", b"/skydns0"), (b"a\xff", b"b"), (b"a\xfe\xff\xff", b"a\xff"), (b"\xff\xff", b"\0"), (b"", b"\0")],
)
def test_end_of_prefix(prefix: bytes, end: bytes) -> None:
    assert end_of_prefix(prefix) == end


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(Settings(username="reader", password="secret"))


def test_stamps_change_with_the_files(tmp_path: Path) -> None:
    """As Kubernetes replaces a Secret: the link to the folder is switched."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ca.pem").touch()
    link = tmp_path / "current"
    link.symlink_to("one")
    files = TLSFiles(authorities=link / "ca.pem")
    before = files.stamps()
    assert files.stamps() == before
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(link)
    assert files.stamps() != before
    link.unlink()
    assert files.stamps() == (None,)
