"""Real servers on loopback: a name server, an RDAP server and a WHOIS server that do as they are told."""

from __future__ import annotations

import json
import socketserver
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from dnslib import QTYPE, RCODE, RR, DNSRecord
from dnslib.server import BaseResolver, DNSHandler, DNSLogger, DNSServer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping

ADDRESS = "93.184.215.14"
SERVFAIL, REFUSED, SILENT = "SERVFAIL", "REFUSED", "SILENT"


class _Silence(Exception):  # noqa: N818 - no error: the server is told to say nothing
    """Raised to send no answer."""


class _Zones(BaseResolver):  # type: ignore[misc]  # dnslib has no types
    """Answers from lines of zone files by name; a name without lines does not exist."""

    def __init__(self, zones: Mapping[str, str]) -> None:
        self.zones = dict(zones)
        self.asked: Counter[tuple[str, str]] = Counter()

    def resolve(self, request: DNSRecord, handler: DNSHandler) -> DNSRecord:
        del handler
        name, kind = str(request.q.qname).rstrip(".").lower(), QTYPE[request.q.qtype]
        self.asked[name, kind] += 1
        reply = request.reply()
        lines = self.zones.get(name)
        if lines == SILENT or (lines or "").startswith(f"{SILENT} {kind}"):
            raise _Silence
        if lines is None:
            reply.header.rcode = RCODE.NXDOMAIN
        elif lines in {SERVFAIL, REFUSED}:
            reply.header.rcode = getattr(RCODE, lines)
        elif lines.startswith(f"{SERVFAIL} A\n") and kind in {"A", "AAAA"}:
            reply.header.rcode = RCODE.SERVFAIL
        else:
            records = RR.fromZone(lines.removeprefix(f"{SERVFAIL} A\n"), origin=name, ttl=60)
            for record in records:
                if QTYPE[record.rtype] in {kind, "CNAME"}:
                    reply.add_answer(record)
        return reply


class _Handler(DNSHandler):  # type: ignore[misc]  # dnslib has no types
    def handle(self) -> None:
        try:
            super().handle()
        except _Silence:
            return


@contextmanager
def name_server(zones: Mapping[str, str]) -> Iterator[tuple[str, Counter[tuple[str, str]]]]:
    """A name server over UDP; its HOST:PORT and what it was asked."""
    resolver = _Zones(zones)
    server = DNSServer(
        resolver, address="127.0.0.1", port=0, logger=DNSLogger("-request,-reply"), handler=_Handler
    )
    server.start_thread()
    try:
        yield f"127.0.0.1:{server.server.server_address[1]}", resolver.asked
    finally:
        server.server.shutdown()
        server.server.server_close()
        server.thread.join()


def zone(address: str = ADDRESS, operator: str = "host.test") -> str:
    """The zone of an ordinary domain."""
    return (
        f"@ IN A {address}\n@ IN AAAA 2606:2800:21f:cb07::14\n"
        f"@ IN NS ns1.{operator}.\n@ IN NS NS2.{operator}.\n"
        f"@ IN MX 10 mail.{operator}.\n@ IN SOA ns1.{operator}. post.{operator}. ( 1 7200 3600 86400 300 )\n"
    )


class RdapServer(ThreadingHTTPServer):
    """Answers GET /domain/NAME; `script` holds the replies to a name in turn, the last one for good."""

    daemon_threads = True

    def __init__(self, script: Mapping[str, list[tuple[int, dict[str, str], Any]]]) -> None:
        super().__init__(("127.0.0.1", 0), _RdapHandler)
        self.script = {name: list(replies) for name, replies in script.items()}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/rdap"


class _RdapHandler(BaseHTTPRequestHandler):
    server: RdapServer

    def do_GET(self) -> None:
        name = self.path.removeprefix("/rdap/domain/")
        self.server.asked.append(name)
        self.server.headers.append(dict(self.headers))
        replies = self.server.script.get(name, [(404, {}, {"errorCode": 404})])
        status, headers, body = replies.pop(0) if len(replies) > 1 else replies[0]
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for key, value in ({"Content-Type": "application/rdap+json"} | headers).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@contextmanager
def rdap_server(script: Mapping[str, list[tuple[int, dict[str, str], Any]]]) -> Iterator[RdapServer]:
    """An RDAP server."""
    server = RdapServer(script)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[str]:
    """A server that handles connections one thread each; its HOST:PORT."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def whois_server(texts: Mapping[str, str]) -> Iterator[str]:
    """A WHOIS server (RFC 3912); its HOST:PORT. Other names get `No match`."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            name = self.rfile.readline().decode("ascii").strip()
            self.wfile.write(texts.get(name, f"No match for {name.upper()}\r\n").encode())

    with _serving(Handler) as address:
        yield address


@contextmanager
def tls_server(context: ssl.SSLContext) -> Iterator[str]:
    """A server that shakes hands and says nothing; its HOST:PORT."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError), context.wrap_socket(self.request, server_side=True) as connection:
                connection.recv(1)

    with _serving(Handler) as address:
        yield address


def rdap_domain(
    name: str,
    registered: str = "2003-04-05T06:07:08Z",
    *,
    expires: str = "2099-04-05T06:07:08Z",
    registrar: str = "Good Names, Inc.",
    statuses: tuple[str, ...] = ("active",),
    nameservers: tuple[str, ...] = ("ns1.host.test", "NS2.host.test."),
) -> dict[str, Any]:
    """A domain object in the form of RFC 9083 section 5.3."""
    return {
        "rdapConformance": ["rdap_level_0"],
        "objectClassName": "domain",
        "handle": "1-TEST",
        "ldhName": name.upper(),
        "status": list(statuses),
        "events": [
            {"eventAction": "registration", "eventDate": registered},
            {"eventAction": "expiration", "eventDate": expires},
            {"eventAction": "last changed", "eventDate": "2024-01-01T00:00:00Z"},
            {"eventAction": "last update of RDAP database", "eventDate": "2026-01-01T00:00:00Z"},
        ],
        "entities": [
            {
                "objectClassName": "entity",
                "handle": "292",
                "roles": ["registrar"],
                "publicIds": [{"type": "IANA Registrar ID", "identifier": "292"}],
                "vcardArray": ["vcard", [["version", {}, "text", "4.0"], ["fn", {}, "text", registrar]]],
                "entities": [{"objectClassName": "entity", "roles": ["abuse"]}],
            }
        ],
        "nameservers": [{"objectClassName": "nameserver", "ldhName": host} for host in nameservers],
        "secureDNS": {"delegationSigned": False},
    }
