"""Types of words on the command line; argparse names them in its errors: `invalid port value: 'x'`."""

MOST_WAITING = 10_000_000
MOST_WORKERS = 256


def port(text: str) -> int:
    """A port to listen on or to ask."""
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ValueError(text)
    return int(text)


def workers(text: str) -> int:
    """A number of processes; ``auto`` is one for each core that may be used."""
    if text == "auto":
        from pycoredns.workers.cores import usable

        return usable()
    if not text.isdecimal() or not 0 < int(text) <= MOST_WORKERS:
        raise ValueError(text)
    return int(text)


def waiting(text: str) -> int:
    """A number of questions."""
    if not text.isdecimal() or not 0 < int(text) <= MOST_WAITING:
        raise ValueError(text)
    return int(text)


def overload(text: str) -> bool:
    """What a question gets that finds no room: silence, or SERVFAIL."""
    if text not in ("servfail", "silence"):
        raise ValueError(text)
    return text == "silence"
