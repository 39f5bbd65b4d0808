"""How a Corefile's text becomes server blocks."""

from __future__ import annotations

from pathlib import Path

import pytest

from pycoredns.assemble import assemble
from pycoredns.corefile.expand import DEFAULT, Corefile, parse, read
from pycoredns.corefile.model import Directive
from pycoredns.errors import ConfigErrors


def shape(directive: Directive) -> str:
    """A directive on one line; words with white space in quotes."""
    words = " ".join(
        word.text if word.text and not any(map(str.isspace, word.text)) else repr(word.text) for word in directive.words
    )
    if directive.block is None:
        return words
    return f"{words} {{ {'; '.join(map(shape, directive.block))} }}"


def shapes(corefile: Corefile) -> list[str]:
    """Each server block on one line."""
    return [f"{' '.join(map(str, block.keys))}: {' | '.join(map(shape, block.directives))}" for block in corefile.blocks]


def mistakes(text: str, file: str = "Corefile") -> list[str]:
    """What is said about a Corefile."""
    with pytest.raises(ConfigErrors) as caught:
        parse(text, file)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (". {\n whoami\n}", [".: whoami"]),
        (".:1053\n", [".:1053: "]),
        (". {\n}", [".: "]),
        (". { chaos v1\n}", [".: chaos v1"]),
        (". { }", [".: "]),
        ("a. b. {\n log\n}", ["a. b.: log"]),
        ("a.,b. {\n}", ["a.,b.: "]),
        ("a., b.,\n # between\n c. {\n}", ["a. b. c.: "]),
        ("a.\n{\n log\n}", ["a.: log"]),
        ("a.\nlog\nhosts {\n 1.2.3.4 b\n}", ["a.: log | hosts { 1.2.3.4 b }"]),
        ("a.\nlog\n}\nb. {\n}", ["a.: log", "b.: "]),
        ("a. {\n log\n} b. {\n}", ["a.: log", "b.: "]),
        ("a. {\n}\n}", ["a.: ", "}: "]),
        ("foo://a. {\n}", ["foo://a.: "]),
        (". {\n hosts {\n  1.2.3.4 b\n  ttl 5 }\n log\n}", [".: hosts { 1.2.3.4 b; ttl 5 } | log"]),
        (". {\n a {\n  b {\n   c d\n  }\n  e\n }\n}", [".: a { b { c d }; e }"]),
        ('"a." "" {\n}', ["a.: "]),
        ("\ufeff. {\r\n chaos a b\r\n}\r\n", [".: chaos a b"]),
        (". {\n\n\tchaos\t a  \n\n}\n\n", [".: chaos a"]),
        (". {\n a\u00a0b\u2003c\n}", [".: a b c"]),
        (". {\n a\rb \r c\n}", [".: ab c"]),
        ('. "{"# a comment\n a "{"\n  b\n "}"\n c\n"}" d. {\n}', [".: a { b } | c", "d.: "]),
    ],
)
def test_blocks(text: str, expected: list[str]) -> None:
    assert shapes(parse(text)) == expected


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a # b { }", ["a"]),
        ("a#b c", ["a", "c"]),
        ("a#b# c#d", ["a", "c"]),
        ('a "b # c" d', ["a", "b # c", "d"]),
        ('a "b { c }" ""', ["a", "b { c }", ""]),
        ('a "b\\"c" "d\\e" "f\\\\"', ["a", 'b"c', "d\\e", "f\\\\"]),
        ('a"b c"d', ['a"b', 'c"d']),
        ('"a"b"c "d"', ["a", 'b"c', "d"]),
        ('a "b\n c" d', ["a", "b\n c", "d"]),
        ("a {} {b} {{ c }}", ["a", "{}", "{b}", "{{", "c", "}}"]),
        ('a "{ " " }" {$OPENING} {$CLOSING}', ["a", "{ ", " }", "{", "}"]),
    ],
)
def test_words(line: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENING", "{")
    monkeypatch.setenv("CLOSING", "}")
    [directive] = parse(f". {{\n {line}\n}}").blocks[0].directives
    assert [word.text for word in directive.words] == words
    assert directive.block is None


def test_places_are_those_of_the_words() -> None:
    corefile = parse('# c\n. {\n a "b\n c" d {\n  e\n }\n\n f\n}')
    first, second = corefile.blocks[0].directives
    assert [str(word.place) for word in first.words] == ["Corefile:3", "Corefile:3", "Corefile:4"]
    assert (str(first.lines[0].place), str(second.place)) == ("Corefile:5", "Corefile:8")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            ". {\n whoami\n",
            'Corefile:2: "}" is missing behind "whoami"; add a line with "}", which closes the block opened at Corefile:1',
        ),
        (". {\n errors }\n}", 'Corefile:2: unexpected "}" on the line of a directive; put it on a line of its own'),
        (". {\n a {\n } }\n", 'Corefile:3: unexpected "}" on the line of a directive; put it on a line of its own'),
        (". {\n a {\n } b\n}", 'Corefile:3: unexpected "b" behind a closing brace; put it on a line of its own'),
        (". {\n a\n {\n }\n}", 'Corefile:2: the "{" of a stands on another line; put it on the same line'),
        (". {\n {\n }\n}", 'Corefile:2: unexpected "{"; a directive must stand before it, on the same line'),
        ('. {\n a "}" b\n}', 'Corefile:2: unexpected "}" on the line of a directive; put it on a line of its own'),
        ('. {\n a "}"\n', 'Corefile:2: unexpected "}" on the line of a directive; put it on a line of its own'),
        ("a.\nlog }", 'Corefile:2: unexpected "}" behind "log"; there is no opening brace that matches'),
        ("a., {\n}", 'Corefile:1: another address must follow the comma behind "a."; take the comma away'),
        ("a.,", 'Corefile:1: another address must follow the comma behind "a."; take the comma away'),
        ('. {\n chaos "a b\n}\n', 'Corefile:2: the quote that opens here is never closed; end it with "'),
        ("a " + "{ b " * 5000, "Corefile:1: braces are nested too deeply"),
        (
            "(s) {\n log\n",
            'Corefile:2: "}" is missing behind "log"; add a line with "}", which closes the block opened at Corefile:1',
        ),
        ("(s)\n\n. {\n}", 'Corefile:3: snippet "s" has no braces; write it as (s) { ... }'),
        ("(s) {\n}\n(s) {\n}", 'Corefile:3: snippet "s" is declared twice; the other is at Corefile:1'),
        ("(s) {\n import s\n}", 'Corefile:2: import: snippet "s" imports itself'),
        (
            ". {\n import\n}",
            "Corefile:2: import takes one name of a snippet, or one file or glob pattern; write one import for each",
        ),
        (
            ". {\n import a b\n}",
            "Corefile:2: import takes one name of a snippet, or one file or glob pattern; write one import for each",
        ),
        (". {\n import {$NOT_SET}\n}", "Corefile:2: import: the name is empty; is an environment variable not set?"),
        (". {\n import */*.x\n}", 'Corefile:2: import: "*/*.x" has more than one wildcard; use a single * (or ?)'),
    ],
)
def test_mistakes(text: str, expected: str) -> None:
    assert mistakes(text) == [expected]


def test_all_mistakes_are_told_at_once() -> None:
    found = mistakes(". {\n import a b\n x\n {\n }\n}\n. {\n import nope\n}")
    assert [line.partition(": ")[0] for line in found] == ["Corefile:2", "Corefile:3", "Corefile:8"]


@pytest.mark.parametrize(
    ("above", "expected"),
    [
        (". {\n", [".: hosts {  }"]),
        ("a.,\n. {\n", ["a. .: hosts {  }"]),
        ("a. {\n}\n. {\n", ["a.: ", ".: hosts {  }"]),
        ("{\n", [".: whoami | log"]),
    ],
)
def test_the_last_brace_may_be_missing_behind_that_of_a_plugin(above: str, expected: list[str]) -> None:
    corefile = parse(f"{above} hosts {{\n }}\n")
    assert shapes(corefile) == expected
    opened = above.count("\n")
    assert str(corefile.warnings[0]).startswith(f'Corefile:{opened + 2}: "}}" is missing behind "}}"')
    assert str(corefile.warnings[0]).endswith(f"closes the block opened at Corefile:{opened}")


@pytest.mark.parametrize("text", ["", "# nothing\n", "(s) {\n log\n}\n", "{\n}\n"])
def test_without_server_blocks_the_default_is_served(text: str) -> None:
    corefile = parse(text)
    assert shapes(corefile) == shapes(parse(DEFAULT)) == [".: whoami | log"]
    assert "the default is served" in str(corefile.warnings[-1])


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ZONE": "a.", "TWO": "b c", "OUTER": "<{$ZONE}>", "LOOP": "{$LOOP}"}.items():
        monkeypatch.setenv(name, value)
    corefile = parse('{$ZONE}:{%PORT%}53 {\n l{$NOT_SET}og "x {$TWO}" {%TWO%} {$OUTER}\n {$} {$ZONE}\n x{$ZONE {%%} {$A:b}\n}')
    assert shapes(corefile) == ["a.:53: log 'x b c' 'b c' <a.> | {$} a. | x{$ZONE {%%} ''"]
    assert mistakes(". {\n a {$LOOP}\n}") == ["Corefile:2: a reference to an environment variable leads back to itself"]


def test_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = tmp_path / "Corefile"
    (tmp_path / "conf").mkdir()
    files = {
        "conf/b.conf": "b. {\n import ../inner\n}",
        "conf/a.conf": "\ufeffa. {\n import shared\n}",
        "conf/.c.conf": "c. {\n}",
        "inner": "log",
        "lines": "1.2.3.4 x\n",
        "empty": "# nothing",
        "Corefile": "(shared) {\n errors {\n  y\n }\n}\nimport conf/*.conf\n"
        ". {\n import empty\n hosts {\n  import lines\n  import {$LINES}\n }\n}",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("LINES", "lines")
    corefile = read(str(main))
    assert shapes(corefile) == ["c.: ", "a.: errors { y }", "b.: log", ".: hosts { 1.2.3.4 x; 1.2.3.4 x }"]
    assert str(corefile.blocks[2].directives[0].place).endswith("conf/../inner:1")
    assert [Path(source).name for source in corefile.sources] == [
        "Corefile", ".c.conf", "a.conf", "b.conf", "inner", "empty", "lines",
    ]  # fmt: skip


def test_a_current_folder_that_was_removed_is_needed_by_relative_names_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lines").write_text("log")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert shapes(parse(f". {{\n import {tmp_path}/lines\n import {tmp_path}/line?\n}}", "stdin")) == [".: log | log"]
    assert shapes(parse(". {\n import *\n}", "stdin")) == [".: "]
    with pytest.raises(ConfigErrors, match=r"stdin:2: import: there is no file .* looked for /.removed folder./lines"):
        parse(". {\n import lines\n}", "stdin")


def test_a_snippet_may_hold_whole_blocks_and_hides_a_file(tmp_path: Path) -> None:
    (tmp_path / "site").write_text("never read")
    text = "(site) {\n a. b. {\n  log\n }\n}\nimport site\n"
    assert shapes(parse(text, str(tmp_path / "Corefile"))) == ["a. b.: log"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import folder", "/folder is a directory; did you mean /"),
        ("import fold*", "/folder is a directory; did you mean /"),
        ("import [f]older", 'Corefile:1: import: "[f]older" holds a [, which is no wildcard here'),
        ("import no\0thing", 'Corefile:1: import: "no\0thing" cannot be read (embedded null byte)'),
        ("import nothing", 'Corefile:1: import: there is no file and no snippet "nothing"; looked for'),
        ("import Corefile", 'Corefile:1: import: "Corefile" imports itself'),
        ("import one", '/two:1: import: "one" imports itself'),
        ("import unclosed", '/unclosed:1: "}" is missing behind "{"'),
    ],
)
def test_imports_that_fail(text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name, content in {"Corefile": text, "one": "import two", "two": "import one", "unclosed": ". {\n"}.items():
        (tmp_path / name).write_text(content)
    [mistake] = mistakes(text, str(tmp_path / "Corefile"))
    assert expected in mistake


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(s) {\n cache 5\n}\n. {\n import s\n import s\n}\n", "Corefile:2: plugin/cache: this plugin can only be used once"),
        ("import snippet\nimport snippet\n. {\n}\n", '/snippet:1: snippet "x" is declared twice'),
        ("import block\nimport block\n", "/block:1: cannot serve dns://a.:53 - it is already defined"),
        ("a. b. a. {\n}\n", "Corefile:1: cannot serve dns://a.:53 - it is already defined"),
    ],
)
def test_a_line_that_is_imported_twice_is_not_named_as_the_other_one(text: str, expected: str, tmp_path: Path) -> None:
    for name, content in {"snippet": "(x) {\n}\n", "block": "a. {\n}\n"}.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(ConfigErrors) as caught:
        assemble(parse(text, str(tmp_path / "Corefile")))
    [mistake] = str(caught.value).splitlines()
    assert expected in mistake
    assert mistake.endswith("; it stands there twice, or its line is imported more than once")


def test_a_pattern_without_match_is_a_warning(tmp_path: Path) -> None:
    corefile = parse(". {\n import *.none\n log\n}", str(tmp_path / "Corefile"))
    assert shapes(corefile) == [".: log"]
    assert str(corefile.warnings[0]).endswith("Corefile:2: No files matching import glob pattern: *.none")


def test_imports_are_bounded() -> None:
    doubling = "".join(f"(s{n}) {{\n import s{n - 1}\n import s{n - 1}\n}}\n" for n in range(1, 30))
    found = mistakes(f"(s0) {{\n log\n}}\n{doubling}. {{\n import s29\n}}")
    assert "too many imports" in found[0]


def test_the_checksum_changes_with_words_only() -> None:
    first, same, other = (parse(text).checksum for text in (". {\n log\n}", ".  {\n  log # c\n}", ". {\n errors\n}"))
    assert first == same != other
    assert len(first) == 128
