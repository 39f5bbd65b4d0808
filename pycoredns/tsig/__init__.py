"""Messages signed with a shared secret (TSIG, RFC 8945): what is shared by those who verify, answer, ask and transfer."""

from pycoredns.tsig.keys import Algorithm, BadSecretError, Key, Keyring
from pycoredns.tsig.record import BadTSIGError, Signature, find
from pycoredns.tsig.signing import Signer, sign
from pycoredns.tsig.verifying import Status, Verified, Verifier, verify

__all__ = [
    "Algorithm",
    "BadSecretError",
    "BadTSIGError",
    "Key",
    "Keyring",
    "Signature",
    "Signer",
    "Status",
    "Verified",
    "Verifier",
    "find",
    "sign",
    "verify",
]
