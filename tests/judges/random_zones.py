"""Zones at random, with all that makes look-ups hard, and questions that go where it hurts. The same seed gives the same."""

from dataclasses import dataclass, field
from random import Random

WORDS = (
    "a",
    "b",
    "c",
    "mail",
    "WWW",
    "Ns",
    "deep",
    "_sip",
    "_tcp",
    "x-1",
    "0",
    "long" * 15,
    r"do\.t",
    r"sp\ ace",
    r"\200\255",
    r"\001",
)
TYPES = ("A", "AAAA", "TXT", "MX", "SRV", "PTR", "CAA")
ASKED = ("A", "A", "A", "AAAA", "TXT", "MX", "SRV", "NS", "CNAME", "SOA", "DS", "DNAME", "PTR", "CAA", "HTTPS")


@dataclass
class RandomZone:
    """A master file, and the names that are worth asking for."""

    origin: str
    lines: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    longest: int = 255
    """Octets of the longest name."""
    closed: list[str] = field(default_factory=list)
    """Names below which, or beside whose record, nothing may stand."""

    @property
    def text(self) -> str:
        """The file."""
        return "\n".join(self.lines) + "\n"


def random_zone(seed: int, size: int = 60, longest: int = 255) -> RandomZone:
    """A zone of about ``size`` names, none of which has more than ``longest`` octets."""
    random = Random(seed)
    zone = RandomZone(f"z{seed}.test.", longest=longest)
    zone.lines += [
        f"$ORIGIN {zone.origin}",
        "$TTL 300",
        "@ IN SOA ns host 1 3600 600 86400 60",
        "@ NS ns",
        "@ NS ns.other.example.",
        "ns A 192.0.2.1",
        "ns AAAA 2001:db8::1",
    ]
    zone.taken |= {"@", "ns"}
    zone.names += ["ns", "@"]
    for _ in range(size):
        _add(zone, random)
    return zone


def _add(zone: RandomZone, random: Random) -> None:
    name = _owner(zone, random)
    if name is None:
        return
    kind = random.random()
    zone.taken.add(name.lower())
    zone.names.append(name)
    if kind < 0.12 and not name.startswith(("*", "xxx")):
        _add_cut(zone, random, name)
    elif kind < 0.18 and not name.startswith(("*", "xxx")) and not _has_below(zone, name):
        zone.closed.append(name.lower())
        zone.lines.append(f"{name} DNAME {_target(zone, random)}")
    elif kind < 0.35:
        zone.lines.append(f"{name} {random.choice(('', '60 '))}CNAME {_target(zone, random)}")
    else:
        for rtype in random.sample(TYPES, random.randint(1, 3)):
            _add_set(zone, random, name, rtype)


def _owner(zone: RandomZone, random: Random) -> str | None:
    """A new name, often below another, sometimes a wildcard, sometimes as long as may be."""
    labels = [random.choice(WORDS) for _ in range(random.choice((1, 1, 1, 2, 3)))]
    if random.random() < 0.15:
        labels[0] = "*"
    if random.random() < 0.5:
        parent = random.choice(zone.names)
        labels += [] if parent == "@" else _labels(parent)
    if random.random() < 0.03:
        labels = ["x" * 63, "y" * 63, "z" * 63, "w" * (zone.longest - 3 * 64 - len(zone.origin) - 2)]
    name = ".".join(labels)
    length = sum(_length(label) + 1 for label in labels) + len(zone.origin) + 1
    if length > zone.longest or name.lower() in zone.taken or "*" in labels[1:]:
        return None
    inside = any(name.lower().endswith(f".{closed}") for closed in zone.closed)
    return None if inside else name


def _labels(name: str) -> list[str]:
    parts: list[str] = []
    for part in name.split("."):
        if parts and parts[-1].endswith("\\"):
            parts[-1] += "." + part
        else:
            parts.append(part)
    return parts


def _length(label: str) -> int:
    """Octets of a label whose escapes are all \\DDD or one character."""
    length = place = 0
    while place < len(label):
        place += 1 if label[place] != "\\" else 4 if label[place + 1].isdigit() else 2
        length += 1
    return length


def _has_below(zone: RandomZone, name: str) -> bool:
    return any(other.endswith(f".{name.lower()}") for other in zone.taken)


def _add_cut(zone: RandomZone, random: Random, name: str) -> None:
    """A delegation, with glue or without, signed or not; names below it may come later, as mistakes do."""
    if any(f".{name.lower()}".endswith(f".{closed}") for closed in zone.closed):
        return
    zone.lines.append(f"{name} NS ns1.{name}")
    zone.lines.append(f"ns1.{name} A 192.0.2.53")
    zone.taken.add(f"ns1.{name}".lower())
    zone.names.append(f"ns1.{name}")
    if random.random() < 0.5:
        zone.lines.append(f"{name} NS ns")
    if random.random() < 0.3:
        zone.lines.append(f"ns1.{name} AAAA 2001:db8::53")
    if random.random() < 0.4:
        zone.lines.append(f"{name} DS 4711 13 2 {'ab' * 32}")
    zone.closed.append(name.lower())


def _add_set(zone: RandomZone, random: Random, name: str, rtype: str) -> None:
    ttl = random.choice(("", "", "60 ", "7200 "))
    for number in range(random.choice((1, 1, 1, 2, 5))):
        data = {
            "A": f"192.0.2.{random.randrange(10, 50) * 5 + number}",
            "AAAA": f"2001:db8::{random.randrange(1, 1000)}:{number}",
            "TXT": rf'"text {number} with \"quotes\" \\ and \200" "" {random.randrange(1000)}',
            "MX": f"{number} {_target(zone, random)}",
            "SRV": f"{number} 1 {random.randrange(65536)} {_target(zone, random)}",
            "PTR": f"{_target(zone, random)}",
            "CAA": f'0 issue "ca{random.randrange(1000)}-{number}.example"',
        }[rtype]
        owner = name.lower() if rtype == "SRV" else name  # CoreDNS lowers all but these, and then does not find them
        zone.lines.append(f"{owner} {ttl}{rtype} {data}")


def _target(zone: RandomZone, random: Random) -> str:
    """Some name: there, missing, below something, outside."""
    chance = random.random()
    if chance < 0.6:
        return random.choice(zone.names)
    if chance < 0.75:
        found = f"{random.choice(WORDS)}.{random.choice(zone.names)}".removesuffix(".@")
        return found if len(found) < 180 else "ns"
    return random.choice(WORDS) if chance < 0.9 else "www.Outside.example."


def questions(zone: RandomZone, seed: int, count: int) -> list[tuple[str, str]]:
    """Names (absolute) and types to ask for."""
    random, found = Random(seed), []
    while len(found) < count:
        labels = _labels(random.choice(zone.names))
        chance = random.random()
        if chance < 0.25:
            labels = [random.choice((*WORDS, "*")), *labels]
        elif chance < 0.35:
            labels = [random.choice(WORDS), random.choice(WORDS), *labels]
        elif chance < 0.55 and len(labels) > 1:
            labels = labels[1:]
        elif chance < 0.65:
            labels = [random.choice(WORDS), *labels[1:]]
        labels = [label for label in labels if label != "@"]
        if sum(_length(label) + 1 for label in labels) + len(zone.origin) + 1 <= 255:
            name = ".".join([*labels, zone.origin])
            found.append((_mixed(name, random), random.choice(ASKED)))
    return found


def _mixed(name: str, random: Random) -> str:
    return random.choice((name, name, name.upper(), name.swapcase()))
