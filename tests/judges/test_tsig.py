"""dig and kdig sign questions, and verify what comes back."""

import asyncio
import base64
import re
import time

import pytest

from pycoredns.testing import running
from tests.judges.programs import program

SECRET, OTHER = "NoTCJU+DMqFWywaPyxSijrDEA/eC3nK0xi3AMEZuPVk=", "ZmlndHJlZXNlY3JldGtleWZvcnRzaWd0ZXN0cwAAAAA="
COREFILE = f"""
test:{{port}} {{
    bind 127.0.0.1
    tsig {{
        secret key.test. {SECRET}
        require all
    }}
    hosts {{
        192.0.2.1 www.test
    }}
}}
"""
TOOLS = {"dig": ("+tries=1", "+time=3"), "kdig": ("+retry=0", "+time=3")}
COMPLAINT = re.compile(r"ouldn't verify|not be validated|failed to verify|WARNING: reply verification")


async def says(tool, port, *words):
    """What a program prints, errors too."""
    command = (str(program(tool)), "@127.0.0.1", "-p", str(port), *TOOLS[tool], *words)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    output, _ = await process.communicate()
    return output.decode()


def code(output):
    """The reply's code; kdig shows that of the TSIG record in its place."""
    return re.search(r"status: (\w+)", output)[1]


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("stream", ["+notcp", "+tcp"])
@pytest.mark.parametrize("algorithm", ["hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"])
async def test_signed_answers_are_taken(tool, stream, algorithm):
    async with running(COREFILE) as server:
        output = await says(tool, server.port, "-y", f"{algorithm}:key.test:{SECRET}", stream, "www.test", "A")
    assert code(output) == "NOERROR"
    assert "192.0.2.1" in output
    assert not COMPLAINT.search(output), output


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize(
    ("key", "error"),
    [
        (f"hmac-sha256:other.test:{SECRET}", "BADKEY"),
        (f"hmac-sha256:key.test:{OTHER}", "BADSIG"),
        (f"hmac-md5:key.test:{SECRET}", "BADSIG"),
    ],
)
async def test_they_are_told_what_is_wrong(tool, key, error):
    async with running(COREFILE) as server:
        output = await says(tool, server.port, "-y", key, "www.test", "A")
    assert re.search(rf"ANY\s+TSIG\s.* {error} 0", output), output
    assert "192.0.2.1" not in output


async def test_a_signature_that_was_cut_is_told():
    async with running(COREFILE) as server:
        cut = await says("dig", server.port, "-y", f"hmac-sha256-128:key.test:{SECRET}", "www.test", "A")
        short = await says("dig", server.port, "-y", f"hmac-sha256-80:key.test:{SECRET}", "www.test", "A")
    assert (code(cut), "BADTRUNC" in cut) == ("NOTAUTH", True)
    assert code(short) == "FORMERR"


@pytest.mark.parametrize("tool", TOOLS)
async def test_who_does_not_sign_is_refused(tool):
    async with running(COREFILE) as server:
        assert code(await says(tool, server.port, "www.test", "A")) == "REFUSED"


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("ahead", [-4000, 4000])
async def test_they_are_told_our_time_where_it_is_not_theirs(tool, ahead, monkeypatch):
    monkeypatch.setattr("pycoredns.plugins.tsig.tsig.time", lambda: time.time() + ahead)
    monkeypatch.setattr("pycoredns.plugins.tsig.signed.time", lambda: time.time() + ahead)
    async with running(COREFILE) as server:
        output = await says(tool, server.port, "-y", f"hmac-sha256:key.test:{SECRET}", "www.test", "A")
    signed, ours = re.search(r"ANY\s+TSIG\s+hmac-sha256\. (\d+) 300 32 \S+ \d+ BADTIME 6 (\S+)", output).groups()
    shown = int(ours) if ours.isdigit() else int.from_bytes(base64.b64decode(ours), "big")  # kdig and dig
    assert abs(int(signed) - time.time()) < 60, "this is the client's own time"
    assert abs(shown - time.time() - ahead) < 60
    assert "192.0.2.1" not in output
