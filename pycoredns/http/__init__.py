"""A small HTTP/1.1 server for /metrics, /health, /ready: shared by all who name the same address, kept across reloads.

route = await open_route(address, "/health", lambda request: HTTPReply(200, b"OK"))
...
await route.close()
"""

from pycoredns.http.endpoint import Route, open_route
from pycoredns.http.messages import HTTPHandler, HTTPReply, HTTPRequest

__all__ = ["HTTPHandler", "HTTPReply", "HTTPRequest", "Route", "open_route"]
