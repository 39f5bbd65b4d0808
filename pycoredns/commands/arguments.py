"""Types of words on the command line; argparse names them in its errors: `invalid port value: 'x'`."""


def port(text: str) -> int:
    """A port to listen on or to ask."""
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ValueError(text)
    return int(text)
