"""`pycoredns zone`: a master file in canonical form, and what others will find fault with."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from pycoredns.wire import names, types
from pycoredns.wire.message import Record


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    parser = subparsers.add_parser("zone", help="print a zone in canonical form, with what is wrong with it")
    parser.add_argument("file", metavar="FILE", type=Path, help="the master file")
    parser.add_argument("origin", metavar="ORIGIN", help="the zone's name")
    parser.add_argument("--check", action="store_true", help="print only what is wrong")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints records, and faults on standard error. 0: there are none; 1: there are, or the file cannot be read."""
    from pycoredns.zone.building import BadZoneError
    from pycoredns.zone.judging import complaints
    from pycoredns.zone.reading import Reading
    from pycoredns.zone.zone import Zone

    found: list[Record] = []
    try:
        origin = names.from_text(arguments.origin).lower()
        Reading(arguments.file, origin).read(
            lambda name, rtype, ttl, rdata: found.append(Record(name, rtype, types.IN, ttl, rdata))
        )
        zone = Zone.of(origin, found)
    except (names.BadNameError, BadZoneError) as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{arguments.file}: cannot be read: {error.strerror}")
    if not arguments.check:
        for line in lines(zone.records()):
            print(line)
    faults = complaints(origin, found)
    for fault in faults:
        print(f"{arguments.file}: {fault}", file=sys.stderr)
    return 1 if faults else 0


def _fail(reason: str) -> int:
    print(reason, file=sys.stderr)
    return 1


def lines(records: Iterable[Record]) -> Iterator[str]:
    """Records as master files have them, SOA first, then in canonical order (RFC 4034 §6), names in full."""
    from pycoredns.zone.denial import canonical
    from pycoredns.zone.texts import owner_text, rdata_text

    soa, *others = records
    for record in (soa, *sorted(others, key=lambda record: (canonical(record.name), record.rtype, record.rdata))):
        rdata = rdata_text(record.rtype, record.rdata)
        yield f"{owner_text(record.name)}\t{record.ttl}\tIN\t{types.type_text(record.rtype)}\t{rdata}"
