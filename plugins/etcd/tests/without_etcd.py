"""The plugin with contents put in by hand, and its answers as text."""

import json
import re
from copy import copy
from itertools import count

import dns.message
import dns.rcode

from pycoredns.plugins.etcd import Etcd
from pycoredns.plugins.etcd.gathered import Gathered
from pycoredns.plugins.etcd.source import Source
from pycoredns.response import Response
from pycoredns.testing import Last, request_for
from pycoredns.wire import names

LAB = "/skydns/internal/lab/"
_revisions = count(1)


def put(source, key, value, lease=0):
    """As the mirror does it."""
    octets = value if isinstance(value, bytes) else json.dumps(value).encode()
    source.mirror.copy.held.put(_octets(key), next(_revisions), octets, lease)
    source.tree.put(_octets(key), octets, lease)


def delete(source, key):
    """As the mirror does it."""
    source.mirror.copy.held.delete(_octets(key))
    source.tree.delete(_octets(key))


def _octets(key):
    return key.encode("utf-8", "surrogateescape")


def etcd(content=(), synced=True, zones=("lab.internal",), **options):
    """A plugin for lab.internal with values below /skydns/internal/lab/ (or at whole keys), without an etcd."""
    plugin = Etcd(zones=tuple(map(names.from_text, zones)), **options)
    plugin._follow(Source(plugin._identity))
    for key, value in dict(content).items():
        put(plugin._source, key if key.startswith("/") else LAB + key, value)
    if synced:
        plugin._source.mirror.synced_event.set()
    return plugin


def thorough(plugin):
    """A plugin with the same contents that answers by Inquiries only."""
    other = copy(plugin)
    other._gathered = Gathered()
    other._places, other._note_place, other._matching = {}, lambda *_: False, lambda *_: None
    return other


def message(plugin, name, qtype="A", behind=None):
    """The reply, three times asked: by the way that looks at everything, by that of what is seen first, and by the usual one."""
    replies = []
    for asked in (thorough(plugin), plugin, plugin):
        request = request_for(name, qtype, plugins=[asked, behind or Last(Response(5))], protocol="tcp")
        reply = asked.handle(request).reply(request)
        replies.append(dns.message.from_wire(bytes(2) + reply, one_rr_per_rrset=True))
    first, second, third = (re.sub(r" \d{10} ", " SERIAL ", str(reply)).partition("\n")[2] for reply in replies)
    assert first == second == third
    return replies[0]


def answer(plugin, name, qtype="A", **options):
    """The response code if it is an error, else the answer section as text."""
    reply = message(plugin, name, qtype, **options)
    return texts(reply.answer) if reply.rcode() == dns.rcode.NOERROR else dns.rcode.to_text(reply.rcode())


def texts(section):
    """Records as text without owner, TTL and class."""
    return [rrset.to_text().split(" ", 3)[3] for rrset in section]


HOST = {"host": "10.0.0.1"}
OTHER = {"host": "10.0.0.2"}
A, B = "A 10.0.0.1", "A 10.0.0.2"
