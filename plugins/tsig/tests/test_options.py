"""How tsig is written in a Corefile, and files of keys."""

from base64 import b64decode

import pytest

from pycoredns.assemble import assemble
from pycoredns.corefile.expand import parse
from pycoredns.errors import ConfigErrors
from pycoredns.plugins.tsig.keyfile import BadKeyFileError, read_keys
from pycoredns.tsig import Algorithm
from pycoredns.wire import names, types

SECRET = "NoTCJU+DMqFWywaPyxSijrDEA/eC3nK0xi3AMEZuPVk="
OTHER = "ZmlndHJlZXNlY3JldGtleWZvcnRzaWd0ZXN0cwAAAAA="


def tsig(*lines, zones=""):
    text = "\n".join(lines)
    block = assemble(parse(f"test:1053 {{\ntsig {zones} {{\n{text}\n}}\n}}")).blocks[0]
    return block.plugins[0]


def named(plugin):
    return {names.to_text(name) for name in plugin.keys}


def test_zones_are_those_of_the_block_or_those_given():
    assert tsig().zones == (names.from_text("test"),)
    assert tsig(zones="a.test 10.0.0.0/8").zones == (names.from_text("a.test"), names.from_text("10.in-addr.arpa"))


def test_keys_are_told_to_the_block():
    block = assemble(parse(f"test:1053 {{\ntsig {{\nsecret A.key {SECRET}\nsecret b.key. {SECRET}\n}}\n}}")).blocks[0]
    assert set(block.settings.keys) == {names.from_text("a.key"), names.from_text("b.key")}


def test_what_must_be_signed():
    plugin = tsig("require AXFR IXFR", "require_opcode NOTIFY")
    assert [plugin.require.hold(each) for each in (types.AXFR, types.IXFR, types.A)] == [True, True, False]
    assert [plugin.require_opcode.hold(each) for each in (types.QUERY, types.NOTIFY)] == [False, True]
    assert tsig("require all").require.hold(types.A)
    assert not tsig("require A", "require none").require.hold(types.A)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("secret onlyname", "a name and a secret are needed"),
        ("secret a b c", "a name and a secret are needed"),
        ("secret a..b AAAA", '"a..b" is not a domain name'),
        ("secret a.key no-base64", 'key "a.key": the secret is not base64'),
        ('secret a.key ""', 'key "a.key": the secret is empty'),
        (f"secret a.key {SECRET}\nsecret A.KEY. {OTHER}", 'key "a.key." is defined twice'),
        ("secrets", "FILE is missing"),
        ("secrets /no/such/file", '"/no/such/file" cannot be read: No such file'),
        ("require", "TYPES are missing"),
        ("require a", '"a" is unknown'),
        ("require FOO", '"FOO" is unknown; write all, none, or names in capitals such as AXFR IXFR'),
        ("require_opcode", "OPCODES are missing"),
        ("require_opcode INVALID", '"INVALID" is unknown; write all, none, or names in capitals such as NOTIFY UPDATE'),
        ('secrets ""', "the path is empty"),
        ("blah", 'unknown option "blah"'),
    ],
)
def test_mistakes(line, told):
    with pytest.raises(ConfigErrors) as raised:
        tsig(line)
    assert told in str(raised.value)
    assert "Corefile:3" in str(raised.value) or "defined twice" in told
    assert SECRET not in str(raised.value)


def test_once_in_a_block():
    with pytest.raises(ConfigErrors, match="only be used once"):
        assemble(parse("test:1053 {\ntsig\ntsig\n}"))


def keys_in(tmp_path, text):
    (tmp_path / "keys.conf").write_text(text)
    return {names.to_text(key.name): key for key in read_keys(tmp_path / "keys.conf")}


@pytest.mark.parametrize(
    "text",
    [
        f'key "A.key." {{\n  secret "{SECRET}";\n}};\n',
        f'key "a.key" {{ algorithm hmac-sha256; secret "{SECRET}"; }};',
        f"key a.key {{\n\talgorithm hmac-sha256\n\tsecret {SECRET}\n}}\n",
        f'# made by hand\nkey "a.key" // ours\n{{ /* two\nlines */ secret "{SECRET}"; }};',
        f'key "a.key" {{\n\n\n secret "{SECRET}"; }} ;\n\n',
        f'key "a.key" {{ secret "{OTHER}"; secret "{SECRET}"; }};',
    ],
)
def test_files_of_keys(tmp_path, text):
    (key,) = keys_in(tmp_path, text).values()
    assert (key.name, key.secret, key.algorithm) == (names.from_text("a.key"), b64decode(SECRET), Algorithm.SHA256)


def test_the_algorithm_of_a_key_is_what_we_sign_with(tmp_path):
    text = "".join(
        f'key "{name}" {{ algorithm {name}; secret "{SECRET}"; }};\n' for name in ("hmac-sha512", "HMAC-SHA1", "hmac-md5")
    )
    found = [key.algorithm for key in keys_in(tmp_path, text).values()]
    assert found == [Algorithm.SHA512, Algorithm.SHA1, Algorithm.SHA256]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("key {", "1: the key's name is missing"),
        ('\nfoo "key" {', '2: unexpected "foo"'),
        ('key "foo" {\n schmalgorithm x;', '2: unexpected "schmalgorithm"'),
        ('key "foo" {\n secret\n', "2: the secret is missing"),
        ('key "foo" {\n secret ;\n', "2: the secret is missing"),
        ('key "foo" {\n secret "";\n}', "2: the secret is missing"),
        ('key "foo" {\n};', '1: key "foo" has no secret'),
        ('key "foo"', '1: "{" is missing'),
        ('key "foo" {', '1: key "foo" has no secret'),
        ("key", "1: the file ends within a key"),
        ('key "foo" { secret', "1: the file ends within a key"),
        ('\n\nkey "foo" { secret "no base64"; };', '3: key "foo": the secret is not base64'),
        ('key "a..b" { secret "AAAA"; };', '1: key "a..b": '),
    ],
)
def test_mistakes_in_files_of_keys(tmp_path, text, told):
    with pytest.raises(BadKeyFileError) as raised:
        keys_in(tmp_path, text)
    assert str(raised.value).startswith(told)


def test_octets_that_are_no_text(tmp_path):
    (tmp_path / "keys.conf").write_bytes(b"\xff\xfe")
    with pytest.raises(BadKeyFileError, match="no text"):
        read_keys(tmp_path / "keys.conf")


def test_keys_of_a_file_stand_beside_others(tmp_path):
    (tmp_path / "keys.conf").write_text(f'key "b.key" {{ secret "{OTHER}"; }};')
    assert named(tsig(f"secret a.key {SECRET}", f"secrets {tmp_path}/keys.conf")) == {"a.key.", "b.key."}
    with pytest.raises(ConfigErrors, match="defined twice"):
        tsig(f"secret b.key {SECRET}", f"secrets {tmp_path}/keys.conf")
    (tmp_path / "keys.conf").write_text("nonsense")
    with pytest.raises(ConfigErrors, match=r'keys.conf:1: unexpected "nonsense"'):
        tsig(f"secrets {tmp_path}/keys.conf")


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o644, True)])
def test_a_file_that_everyone_can_read_is_told(tmp_path, caplog, mode, warned):
    file = tmp_path / "keys.conf"
    file.write_text(f'key "b.key" {{ secret "{OTHER}"; }};')
    file.chmod(mode)
    tsig(f"secrets {file}")
    assert ("can be read by everyone" in caplog.text) is warned
