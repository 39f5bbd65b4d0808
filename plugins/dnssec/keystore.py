"""All keys of a plugin: which zones they are for, and what they do at some time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pycoredns.corefile.options import BadValueError
from pycoredns.dnssec.keyfiles import read_by_all
from pycoredns.dnssec.keys import BadKeyError, Key
from pycoredns.dnssec.schedule import next_event
from pycoredns.output import logger
from pycoredns.plugins.dnssec.keyring import ZoneKeys, arrange
from pycoredns.plugins.dnssec.options import Found, KeySource, keys_in
from pycoredns.plugins.dnssec.secrets import read_secrets
from pycoredns.wire import names

log = logger("plugin/dnssec")


class KeyStore:
    """Keys from files and secrets, which always sign, and from folders, which sign as their times say."""

    def __init__(self, zones: Sequence[bytes], sources: Iterable[KeySource]) -> None:
        """Raises BadValueError for keys that fit none of the zones, and for zones without a key in the folders."""
        sources = tuple(sources)
        files = [found for source in sources for found in source.keys]
        self._zones = tuple(zones)
        self._bases = [base for base, _ in files]
        self._always = [key for _, key in files]
        self._folders = [folder for source in sources for folder in source.folders]
        self._found = Found()
        self._scheduled: list[tuple[Path, Key]] = []
        self._faults: set[str] = set()
        self.secrets = [secret for source in sources for secret in source.secrets]
        self.read_folders()
        self._check(self._always)
        self._check_folders()

    def read_folders(self) -> None:
        """Reads the folders again; what cannot be read is told once."""
        found, faults = Found(), set[str]()
        for folder in self._folders:
            keys, wrong = keys_in(folder, self._found)
            found |= keys
            faults.update(wrong)
        for fault in sorted(faults - self._faults):
            log.warning("%s", fault)
        self._found, self._faults = found, faults
        self._scheduled = [(base, key) for base, (_, key) in found.items() if key.zone in self._zones]

    def read_secrets(self) -> None:
        """Fetches the keys in secrets, which takes its time; raises BadKeyError."""
        keys = read_secrets(self.secrets)
        try:
            self._check(keys)
        except BadValueError as error:
            raise BadKeyError(str(error)) from None
        self._always += keys

    def _check(self, keys: Iterable[Key]) -> None:
        """A key signs its own zone, and those below that have none of their own."""
        for key in keys:
            if not any(names.within(zone, key.zone) for zone in self._zones):
                zones = ", ".join(map(names.to_text, self._zones))
                cause = f"key {names.to_text(key.zone)} (keyid: {key.tag}) can not sign any of the zones"
                raise BadValueError(cause, f"they are {zones}" if zones else "there are none")

    def _check_folders(self) -> None:
        present = {key.zone for _, key in self._scheduled}
        for zone in self._zones if self._folders and not self._always and not self.secrets else ():
            if zone not in present:
                folders = ", ".join(map(str, self._folders))
                remedy = f"pycoredns dnssec keygen {names.to_text(zone)} --folder {self._folders[0]}"
                raise BadValueError(f"there is no key of {names.to_text(zone)} in {folders}", remedy)

    def rings(self, now: float) -> dict[bytes, ZoneKeys]:
        """What each zone's keys do now, in seconds since 1970; a zone without a key that signs is left out."""
        rings = {}
        for zone in self._zones:
            ring = arrange(zone, self._always, (key for _, key in self._scheduled if key.zone == zone), now)
            if ring.for_data:
                rings[zone] = ring
        return rings

    def next_event(self, now: float) -> float | None:
        """When the keys in the folders do something else; None: as far as is known never."""
        return next_event((key for _, key in self._scheduled), now)

    def doubts(self) -> list[str]:
        """Private keys that are no secret."""
        bases = dict.fromkeys([*self._bases, *(base for base, _ in self._scheduled)])
        return [f"{path} can be read by everyone; chmod 600 it" for base in bases if (path := _open_to_all(base))]


def _open_to_all(base: Path) -> Path | None:
    try:
        return read_by_all(base)
    except BadKeyError:  # it was there when it was read
        return None
