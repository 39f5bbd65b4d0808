"""From a Corefile to blocks and the addresses they are served on; nothing is opened yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field
from pathlib import Path
from typing import NamedTuple

from pycoredns import registry
from pycoredns.chain import Block
from pycoredns.corefile.configure import configure
from pycoredns.corefile.expand import Corefile
from pycoredns.corefile.keys import split_key
from pycoredns.corefile.model import Directive, ServerBlock, Token
from pycoredns.corefile.options import Context
from pycoredns.errors import ConfigError, ConfigErrors, PluginError
from pycoredns.frozen import changeable, frozen
from pycoredns.order import ORDER
from pycoredns.plugin import Plugin
from pycoredns.settings import BlockSettings, ServerSettings
from pycoredns.transport.addresses import join
from pycoredns.wire.names import to_text

DEFAULT_PORT = 53


class Address(NamedTuple):
    """Where questions are taken; an empty host stands for all addresses."""

    host: str
    port: int
    scheme: str = "dns"

    def __str__(self) -> str:
        """As CoreDNS names a server in metrics: ``dns://127.0.0.1:53``."""
        return f"{self.scheme}://{join(self.host, self.port)}"


@frozen
class Key:
    """One zone of a server block, and where it was written."""

    scheme: str
    zone: bytes
    port: int
    token: Token


@changeable
class Assembly:
    """Blocks in the Corefile's order, and which zones of them are served on which address."""

    settings: ServerSettings
    corefile: Corefile
    blocks: list[Block] = field(default_factory=list)
    addresses: dict[Address, list[tuple[bytes, Block]]] = field(default_factory=dict)
    keys: dict[int, list[Key]] = field(default_factory=dict)
    """The keys of each block, by its place in ``blocks``."""


def assemble(corefile: Corefile, port: int = DEFAULT_PORT) -> Assembly:
    """Makes the plugins of all blocks; ``port`` is that of keys without one. Raises ConfigErrors with all mistakes."""
    assembly, errors = assemble_all(corefile, port)
    if errors:
        raise ConfigErrors(errors)
    return assembly


def assemble_all(corefile: Corefile, port: int = DEFAULT_PORT) -> tuple[Assembly, list[ConfigError]]:
    """The blocks with those plugins that could be made, and all mistakes; with any, none of it must be run."""
    assembly = Assembly(ServerSettings(corefile=corefile.file), corefile)
    errors: list[ConfigError] = []
    sound: list[int] = []
    for number, server_block in enumerate(corefile.blocks):
        before = len(errors)
        assembly.keys[number] = keys = _read_keys(server_block.keys, port, errors)
        assembly.blocks.append(_make_block(server_block, keys, assembly.settings, corefile.file, errors))
        if len(errors) == before:
            sound.append(number)
    for server_block in corefile.left_out:
        _known(_by_name(server_block), errors)
    _place(assembly, sound, errors)
    for block in assembly.blocks:
        block.siblings = assembly.blocks
    return assembly, errors


def _read_keys(tokens: Sequence[Token], port: int, errors: list[ConfigError]) -> list[Key]:
    """The zones of a block with their ports."""
    keys = []
    for token in tokens:
        try:
            key = split_key(token.text)
        except ValueError as error:
            errors.append(ConfigError(token.place, str(error), "write a zone as example.org, example.org:1053 or 10.0.0.0/24"))
            continue
        if key.scheme != "dns":
            errors.append(ConfigError(token.place, f"{key.scheme}:// is not served by this version", "serve it as dns://"))
            continue
        keys += [Key(key.scheme, zone, port if key.port is None else key.port, token) for zone in key.zones]
    return keys


def _make_block(
    server_block: ServerBlock, keys: list[Key], server: ServerSettings, file: str, errors: list[ConfigError]
) -> Block:
    """A block with its plugins in the chain's order."""
    directives = _by_name(server_block)
    settings = BlockSettings(server=server)
    zones = tuple(dict.fromkeys(key.zone for key in keys))
    context = Context(zones, Path(), file, scheme=keys[0].scheme if keys else "dns", names=frozenset(directives), errors=errors)
    plugins: list[Plugin] = []
    for name in _known(directives, errors):
        made = configure(registry.load(name), directives[name], context)
        for plugin in made:
            plugin.configure(settings)
        context.root = Path(settings.root)
        plugins += made
    return Block(zones, plugins, settings)


def _by_name(server_block: ServerBlock) -> dict[str, list[Directive]]:
    """The lines of a block that are for the same plugin."""
    directives: dict[str, list[Directive]] = {}
    for directive in server_block.directives:
        directives.setdefault(directive.name.text, []).append(directive)
    return directives


def _known(directives: dict[str, list[Directive]], errors: list[ConfigError]) -> list[str]:
    """The directives there are plugins for, in the chain's order; the others are mistakes."""
    known = []
    for name, lines in directives.items():
        if name in registry.available():
            known.append(name)
        else:
            errors += [ConfigError(line.place, f'unknown directive "{name}"', _remedy(name)) for line in lines]
    return registry.placed(name for name in known if _has_place(name, directives[name][0], errors))


def _remedy(name: str) -> str:
    """What to do about a directive there is no plugin for."""
    if name in ORDER:
        return "this plugin of CoreDNS is not part of this version"
    from difflib import get_close_matches  # late: only a mistake needs it

    close = get_close_matches(name.lower(), registry.available(), 1)
    return f'did you mean "{close[0]}"?' if close else "pycoredns plugins lists those there are"


def _has_place(name: str, directive: Directive, errors: list[ConfigError]) -> bool:
    """Can it be loaded, and does it say where it stands?"""
    try:
        if registry.load(name).before:
            registry.placed([name])
    except PluginError as error:
        errors.append(ConfigError(directive.place, str(error)))
        return False
    return True


def _place(assembly: Assembly, sound: Sequence[int], errors: list[ConfigError]) -> None:
    """Which zones of the blocks without mistakes are served where: the same twice on one address, or beside all, is a mistake.

    Of others it is not known where they would be served, nor whether to all clients.
    """
    taken: dict[tuple[bytes, int], list[tuple[Address, Key]]] = {}
    for number in sound:
        block = assembly.blocks[number]
        for key in assembly.keys[number]:
            others = taken.setdefault((key.zone, key.port), [])
            for address in _addresses(key, block.settings.listen):
                clash = _clash(key, address, others)
                if clash is None:
                    others.append((address, key))
                    assembly.addresses.setdefault(address, []).append((key.zone, block))
                else:
                    errors.append(clash)


def _clash(key: Key, address: Address, others: list[tuple[Address, Key]]) -> ConfigError | None:
    """What is wrong with serving a zone on an address beside those where it is served already."""
    for other, first in others:
        if other == address:
            cause = f"cannot serve {_shown(key, address)} - it is already defined"
        elif not other.host or not address.host:
            cause = f"cannot serve {_shown(key, address)} - zone overlap listener capacity with {_shown(first, other)}"
        else:
            continue
        return ConfigError(key.token.place, cause, first.token.place.told_at(key.token.place))
    return None


def _addresses(key: Key, hosts: Iterable[str]) -> list[Address]:
    return [Address(host, key.port, key.scheme) for host in list(hosts) or [""]]


def _shown(key: Key, address: Address) -> str:
    return f"{key.scheme}://{to_text(key.zone)}:{key.port}" + (f" on {address.host}" if address.host else "")
