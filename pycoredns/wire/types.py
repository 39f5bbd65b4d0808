"""Numbers of the protocol and their mnemonics (IANA DNS parameters)."""

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, DNAME, OPT = 1, 2, 5, 6, 12, 15, 16, 28, 33, 39, 41
DS, RRSIG, NSEC, DNSKEY, NSEC3, TSIG, IXFR, AXFR, ANY = 43, 46, 47, 48, 50, 250, 251, 252, 255
TRANSFERS = frozenset({AXFR, IXFR})
NSEC3PARAM, CDS, CDNSKEY, SVCB, HTTPS = 51, 59, 60, 64, 65
IN, CH = 1, 3
QUERY, NOTIFY = 0, 4

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, YXDOMAIN, NOTAUTH, BADVERS = 0, 1, 2, 3, 4, 5, 6, 9, 16

TYPES = {
    1: "A", 2: "NS", 3: "MD", 4: "MF", 5: "CNAME", 6: "SOA", 7: "MB", 8: "MG", 9: "MR", 10: "NULL", 12: "PTR", 13: "HINFO",
    14: "MINFO", 15: "MX", 16: "TXT", 17: "RP", 18: "AFSDB", 19: "X25", 20: "ISDN", 21: "RT", 23: "NSAP-PTR", 24: "SIG",
    25: "KEY", 26: "PX", 27: "GPOS", 28: "AAAA", 29: "LOC", 30: "NXT", 31: "EID", 32: "NIMLOC", 33: "SRV", 34: "ATMA",
    35: "NAPTR", 36: "KX", 37: "CERT", 39: "DNAME", 41: "OPT", 42: "APL", 43: "DS", 44: "SSHFP", 45: "IPSECKEY",
    46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 49: "DHCID", 50: "NSEC3", 51: "NSEC3PARAM", 52: "TLSA", 53: "SMIMEA", 55: "HIP",
    56: "NINFO", 57: "RKEY", 58: "TALINK", 59: "CDS", 60: "CDNSKEY", 61: "OPENPGPKEY", 62: "CSYNC", 63: "ZONEMD",
    64: "SVCB", 65: "HTTPS", 99: "SPF", 100: "UINFO", 101: "UID", 102: "GID", 103: "UNSPEC", 104: "NID", 105: "L32",
    106: "L64", 107: "LP", 108: "EUI48", 109: "EUI64", 128: "NXNAME", 249: "TKEY", 250: "TSIG", 251: "IXFR", 252: "AXFR",
    253: "MAILB", 254: "MAILA", 255: "ANY", 256: "URI", 257: "CAA", 258: "AVC", 260: "AMTRELAY", 261: "RESINFO",
    32768: "TA", 32769: "DLV",
}  # fmt: skip
CLASSES = {1: "IN", 2: "CS", 3: "CH", 4: "HS", 254: "NONE"}
RCODES = {
    0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 6: "YXDOMAIN", 7: "YXRRSET",
    8: "NXRRSET", 9: "NOTAUTH", 10: "NOTZONE", 11: "DSOTYPENI", 16: "BADVERS", 17: "BADKEY", 18: "BADTIME", 19: "BADMODE",
    20: "BADNAME", 21: "BADALG", 22: "BADTRUNC", 23: "BADCOOKIE",
}  # fmt: skip

TYPE_NUMBERS = {name: number for number, name in TYPES.items()}
CLASS_NUMBERS = {"ANY": 255} | {name: number for number, name in CLASSES.items()}


_NO_TYPES = {0: "None", 65535: "Reserved"}


def type_text(number: int) -> str:
    """The mnemonic of a record type, or TYPE123 (RFC 3597 §5)."""
    return TYPES.get(number) or f"TYPE{number}"


def asked_type_text(number: int) -> str:
    """The type of a question as CoreDNS's lines have it: there are names for the two that are none."""
    return _NO_TYPES.get(number) or type_text(number)


def class_text(number: int) -> str:
    """The mnemonic of a class, or CLASS123 (RFC 3597 §5), as also for ANY, which is a type's mnemonic too."""
    return CLASSES.get(number) or f"CLASS{number}"


def rcode_text(number: int) -> str:
    """The mnemonic of a response code, or RCODE123."""
    return RCODES.get(number) or f"RCODE{number}"
