"""What is wrong with a Corefile, or surely not meant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pycoredns import registry
from pycoredns.assemble import Assembly, assemble_all
from pycoredns.chain import Block
from pycoredns.corefile.configure import schema_of
from pycoredns.corefile.expand import Corefile, parse_all
from pycoredns.corefile.kinds import Fallthrough
from pycoredns.corefile.model import Place, ServerBlock
from pycoredns.errors import ConfigError, ConfigErrors
from pycoredns.plugin import Plugin, overrides
from pycoredns.wire.names import to_text, within
from pycoredns.zone.holder import HoldsZones

_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - nothing is bound to them here


@dataclass(frozen=True)
class Finding:
    """A mistake (error), or what is legal but surely not meant (warning)."""

    severity: Literal["error", "warning"]
    told: ConfigError

    def __str__(self) -> str:
        """As `Corefile:4: warning: ...`; errors do not say that they are."""
        text = str(self.told)
        place = f"{self.told.place}: "
        return text if self.severity == "error" else f"{place}warning: {text.removeprefix(place)}"

    def fields(self) -> dict[str, str | int]:
        """Its parts, for other programs."""
        told = self.told
        return {
            "file": told.place.file,
            "line": told.place.line,
            "severity": self.severity,
            "cause": told.cause,
            "remedy": told.remedy,
            "plugin": told.plugin,
        }


def check(text: str, file: str) -> list[Finding]:
    """All findings about a Corefile, in the order of their places."""
    corefile, errors = parse_all(text, file)
    doubts = list(corefile.warnings)
    assembly, more = assemble_all(corefile)
    errors += more
    for plugin in (plugin for block in assembly.blocks for plugin in block.plugins if isinstance(plugin, HoldsZones)):
        (errors if plugin.needs_all else doubts).extend(_zone_faults(plugin))
    if not more:
        doubts += _doubts(corefile, assembly)
    findings = [Finding("error", error) for error in ConfigErrors(errors).errors]
    findings += [Finding("warning", doubt) for doubt in ConfigErrors(doubts).errors]
    return sorted(findings, key=lambda finding: (finding.told.place.file, finding.told.place.line))


def _doubts(corefile: Corefile, assembly: Assembly) -> Iterator[ConfigError]:
    """What is legal but surely not meant in a Corefile without mistakes."""
    for written, block in zip(corefile.blocks, assembly.blocks, strict=True):
        yield from _never_reached(written, block)
        served = [
            (address.host, address.port)
            for address, there in assembly.addresses.items()
            if any(each is block for _, each in there)
        ]
        yield from _options_among_words(written)
        for plugin in block.plugins:
            place = _place(written, plugin)
            yield from (ConfigError(place, f"{plugin.name}: {doubt}", plugin=plugin.name) for doubt in plugin.doubts(served))
            yield from _outside(written, block, plugin)
    yield from _shadowed(corefile, assembly)


def _options_among_words(written: ServerBlock) -> Iterator[ConfigError]:
    """Options on a plugin's own line, where they are taken for zones or the like: `hosts /etc/hosts fallthrough`."""
    for directive in written.directives:
        name = directive.name.text
        plugin: type = registry.load(name)
        options = schema_of(plugin).options
        for word in directive.arguments:
            if word.text in options:
                cause = f'{name}: "{word}" is an option, but on this line it is not taken for one'
                yield ConfigError(word.place, cause, "put it between braces, on a line of its own", name)


def _zone_faults(plugin: HoldsZones) -> Iterator[ConfigError]:
    """What is wrong with the zones that a plugin will hold."""
    for fault in plugin.faults():
        file, _, line = fault.place.rpartition(":")
        place = Place(file, int(line)) if line.isdecimal() else Place(fault.place, 1)
        yield ConfigError(place, fault.cause, plugin=plugin.name)


def _never_reached(written: ServerBlock, block: Block) -> Iterator[ConfigError]:
    """Plugins behind one that answers everything."""
    last: Plugin | None = None
    for plugin in block.plugins:
        if not plugin.step or not overrides(plugin, "handle"):
            continue
        if last is not None and plugin.name != last.name:
            cause = f"{plugin.name}: no question ever reaches it, for {last.name} answers all of them first"
            yield ConfigError(_place(written, plugin), cause, _remedy(last), plugin.name)
        elif last is None and all(_answers_all(plugin, zone) for zone in block.zones):
            last = plugin


def _remedy(plugin: Plugin) -> str:
    """How questions get past a plugin."""
    through = any(isinstance(value, Fallthrough) for value in vars(plugin).values())
    return f'let it pass on what it does not know: add "fallthrough" to {plugin.name}' if through else "take one of them away"


def _answers_all(plugin: Plugin, zone: bytes) -> bool:
    """By the plugin's own word, or because it is authoritative for the zone and nothing falls through."""
    if plugin.answers_all(zone):
        return True
    fallthroughs = [value for value in vars(plugin).values() if isinstance(value, Fallthrough)]
    zones = getattr(plugin, "zones", ())
    return bool(fallthroughs) and not any(each.zones for each in fallthroughs) and any(within(zone, own) for own in zones)


def _outside(written: ServerBlock, block: Block, plugin: Plugin) -> Iterator[ConfigError]:
    """Zones of a plugin that the block's zones keep from it."""
    for zone in getattr(plugin, "zones", ()):
        if isinstance(zone, bytes) and not any(within(zone, own) or within(own, zone) for own in block.zones):
            cause = f"{plugin.name}: zone {to_text(zone)} lies outside this server block: no question for it comes here"
            yield ConfigError(_place(written, plugin), cause, "add it to the block's zones", plugin.name)


def _shadowed(corefile: Corefile, assembly: Assembly) -> Iterator[ConfigError]:
    """Blocks of which one serves a zone on all addresses, another on one of them: what is asked there never reaches the first."""
    places = {id(block): written.place for written, block in zip(corefile.blocks, assembly.blocks, strict=True)}
    wide = {
        (address.port, ":" in address.host, zone): block
        for address, served in assembly.addresses.items()
        if address.host in _WILDCARDS
        for zone, block in served
    }
    for address, served in assembly.addresses.items():
        for zone, block in served:
            other = wide.get((address.port, ":" in address.host, zone))
            if other is not None and address.host not in _WILDCARDS:
                cause = f"hides zone {to_text(zone)} of the block at {places[id(other)]} from questions to {address.host}"
                yield ConfigError(places[id(block)], cause, "bind each block to addresses of its own")


def _place(written: ServerBlock, plugin: Plugin) -> Place:
    """Where a plugin stands: its first line in the block."""
    lines = [directive.place for directive in written.directives if directive.name.text == plugin.name]
    return lines[0] if lines else written.place
