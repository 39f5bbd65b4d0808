"""The shape of the whole: which way imports go, and what every plugin of this repository is."""

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pycoredns import registry
from pycoredns.order import ORDER
from pycoredns.plugin import Plugin
from pycoredns.registry import EntryPoint

ROOT = Path(__file__).parent.parent
PACKAGE, PLUGINS = ROOT / "pycoredns", ROOT / "plugins"

LAYERS = (
    ("wire",),
    (
        "background",
        "dnssec",
        "durations",
        "errors",
        "frozen",
        "memory",
        "metrics",
        "order",
        "output",
        "peers",
        "ports",
        "query",
        "settings",
        "spelling",
        "tsig",
    ),
    ("bounds", "corefile", "http", "listener", "pauses", "request", "traffic"),
    ("response", "stream"),
    ("meaning",),
    ("answer", "relayed"),
    ("direct",),
    ("plugin",),
    ("chain", "late", "memo", "metadata", "registry", "zone"),
    ("service",),
    ("transport",),
    ("plugins",),
    ("assemble",),
    ("check", "listeners", "server", "sockets", "sources"),
    ("reload", "testing"),
    ("workers",),
    ("etcd_server", "serve"),
    ("commands", "cli", "__main__"),
)
"""The parts of the package, lowest first; a part imports from its own layer and lower ones only."""
LEVELS = {part: level for level, layer in enumerate(LAYERS) for part in layer}
SECTIONS = ["Name", "Description", "Syntax", "Examples"]


def imports_of(path: Path) -> Iterator[str]:
    """What a module imports of ours when it runs, as `pycoredns.part…`; imports for types alone do not count."""
    pending: list[ast.AST] = [ast.parse(path.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom):
            yield from _imported(node, path)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("pycoredns."))
        pending += ast.iter_child_nodes(node)


def _imported(node: ast.ImportFrom, path: Path) -> Iterator[str]:
    """Each name of a `from … import` with its module, relative ones spelled out."""
    package = ("pycoredns", *path.parent.relative_to(PACKAGE).parts) if path.is_relative_to(PACKAGE) else ()
    if path.is_relative_to(PLUGINS):
        package = ("pycoredns", "plugins", *path.parent.relative_to(PLUGINS).parts)
    above = ".".join(package[: len(package) - node.level + 1]) + "." if node.level else ""
    module = f"{above}{node.module or ''}".rstrip(".")
    if module.partition(".")[0] == "pycoredns":
        yield from (f"{module}.{alias.name}" for alias in node.names)


def core_modules() -> list[Path]:
    """All modules but the plugins'."""
    return sorted(path for path in PACKAGE.rglob("*.py") if "plugins" not in path.relative_to(PACKAGE).parts[:1])


def plugin_modules() -> list[Path]:
    """All modules of plugins, without their tests."""
    return sorted(path for path in PLUGINS.glob("*/**/*.py") if "tests" not in path.relative_to(PLUGINS).parts)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", core_modules(), ids=named)
def test_imports_go_down(path: Path) -> None:
    part = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if part == "__init__":
        return
    assert part in LEVELS, f"say in LAYERS where {part} stands"
    imported = {name.split(".")[1] for name in imports_of(path)} & LEVELS.keys()
    assert not {each for each in imported if LEVELS[each] > LEVELS[part]}


def test_each_part_stands_in_the_table() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    table = text.partition("## The parts")[2].partition("\n## ")[0]
    parts = {f"{path.name}{'/' if path.is_dir() else ''}" for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not {f"`{part}`" for part in parts if not part.startswith("__")} - set(re.findall(r"`[^`]+`", table)) - {"`plugins/`"}


@pytest.mark.parametrize("path", plugin_modules(), ids=named)
def test_plugins_import_what_is_below_them_and_of_others_only_public_classes(path: Path) -> None:
    own = path.relative_to(PLUGINS).parts[0]
    for name in imports_of(path):
        parts = name.split(".")
        if parts[1] != "plugins":
            assert LEVELS.get(parts[1], 0) < LEVELS["plugins"], name
        elif parts[2] != own:
            assert len(parts) == 4 and parts[3][0].isupper(), f"{name} is no public class of the plugin {parts[2]}"


def points() -> list[EntryPoint]:
    """The entry points of the plugins of this repository."""
    return [point for _, point in sorted(registry.available().items()) if point.value.startswith("pycoredns.plugins.")]


@pytest.fixture(params=points(), ids=lambda point: point.name)
def point(request: pytest.FixtureRequest) -> EntryPoint:
    found: EntryPoint = request.param
    return found


def test_every_folder_has_an_entry_point() -> None:
    folders = {path.parent.name for path in PLUGINS.glob("*/__init__.py")}
    assert folders == {point.name for point in points()}


def test_a_plugin_says_what_it_does_and_takes(point: EntryPoint) -> None:
    loaded = registry.load(point.name)
    assert loaded.name == point.name
    assert loaded.name in ORDER
    assert issubclass(loaded, Plugin)
    fields = [kind for kind in inspect.get_annotations(loaded).values() if not str(kind).startswith("ClassVar")]
    assert dataclasses.is_dataclass(loaded) or not fields, "its fields are its options"
    assert re.fullmatch(r"[^\n]+\.(\n.*)?", inspect.getdoc(loaded) or "", re.DOTALL), "a docstring begins with a sentence"


def test_a_plugin_has_its_readme_and_tests(point: EntryPoint) -> None:
    folder = PLUGINS / point.name
    readme = (folder / "README.md").read_text()
    assert readme.startswith(f"# {point.name}\n")
    headings = re.findall(r"^## (.*)$", readme, re.MULTILINE)
    assert [heading for heading in headings if heading in SECTIONS] == SECTIONS
    assert re.search(rf"^## Name\n\n\*{point.name}\* - .*\.$", readme, re.MULTILINE)
    assert "```corefile" in readme
    assert list(folder.glob("tests/test_*.py"))


def test_what_stands_before_the_cache_adds_no_task_to_a_hit(point: EntryPoint) -> None:
    if ORDER.index(point.name) < ORDER.index("cache"):
        assert not inspect.iscoroutinefunction(registry.load(point.name).handle)


def test_the_package_is_typed_and_the_plugins_are_in_it() -> None:
    assert (PACKAGE / "py.typed").exists()
    assert (PACKAGE / "plugins").resolve() == PLUGINS
