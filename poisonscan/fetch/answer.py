"""An HTTP/1.1 response as it comes in, without any IO: bytes go in, a head and a body come out."""

from __future__ import annotations

import re

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from multidict import CIMultiDict

from poisonscan.fetch.failures import LostError, NotHttpError
from poisonscan.fetch.head import has_end, repaired, split_head

HEAD_BYTES = 300 << 10
"""Most bytes of headers and trailers together, interim responses included: as many as curl takes."""
HEAD_LINES = 5_000
"""Most of their lines: as many as curl takes. Each costs memory beyond its bytes."""
_SWITCHING_PROTOCOLS = 101
_SUCCESS = 200


class Answer:
    """The answer to one request. llhttp, the parser of Node.js, reads it; its callbacks are `on_...`.

    What browsers, curl and urllib forgive is forgiven, or a host could serve them and be lost to us: odd
    bytes, bare line feeds, spaces after the size of a chunk. A head that llhttp refuses is rewritten (`head`)
    and read once more; its connection is then asked nothing else, so that no doubt about where the answer
    ended can spoil another.

    Args:
        limit: most bytes of body that are kept; with the first byte more the answer has ended.

    Attributes:
        status: HTTP status, 0 before there is one.
        headers: of the final response, all of them once `has_head`.
        has_head: whether status and headers are complete.
        n_bytes: bytes of body that came.
        complete: whether the body is complete.
        error: why it never will be, None while all is well.
        reusable: whether the connection can be asked again, once it is complete.
    """

    __slots__ = (
        "_body",
        "_fed",
        "_head",
        "_head_bytes",
        "_head_lines",
        "_in_last_chunk",
        "_limit",
        "_parser",
        "_refused",
        "_surplus",
        "_tail",
        "complete",
        "error",
        "has_head",
        "headers",
        "n_bytes",
        "reusable",
        "status",
    )

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # Parser and answer refer to each other: were they not parted at the end, the body would stay until
        # Python next searches for cycles.
        self._parser: HttpResponseParser | None = _parser_for(self)
        self._body = bytearray()  # no list: a body may come in chunks of a byte
        self._head = bytearray()  # what came until the head was complete
        self._fed = 0  # bytes of it
        self._head_bytes = self._head_lines = 0  # of names and values, trailers too
        self._tail = b""  # the last bytes that came
        self._in_last_chunk = False  # whether a chunk began and has no byte yet
        self._refused: NotHttpError | None = None  # why the head was not read as it is
        self._surplus = False
        self.status = 0
        self.headers: CIMultiDict[str] = CIMultiDict()
        self.has_head = False
        self.n_bytes = 0
        self.complete = False
        self.error: OSError | None = None
        self.reusable = False

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be read: it is complete, broken or too large."""
        return self.complete or self.error is not None or self.n_bytes > self._limit

    @property
    def body(self) -> bytes:
        """What came of the body, still with its content coding."""
        return bytes(self._body)

    def feed(self, data: bytes) -> None:
        """Take what was read from the connection; nothing but a surplus once the answer has ended."""
        if self._parser is None:
            self.reusable = False
            return
        self._tail = (self._tail + data)[-_LONGEST_LAST_CHUNK:]
        if not self.has_head:
            self._head += data
            self._fed += len(data)
        if self._refused is None or self.has_head:
            self._parse(self._parser, data)
        else:
            self._read_repaired(len(data))
        self._measure_head(self._fed)
        self.reusable = self.reusable and not self._surplus and self._refused is None
        if self.has_head:
            self._head.clear()
        if self.ended:
            self._let_go()

    def feed_eof(self, error: OSError | None) -> None:
        """Take the end of the connection, and why it ended where that was no orderly end."""
        if self.ended:
            return
        if error is not None:
            self.error = error
        elif not self.has_head:
            self.error = self._refused or LostError("the server closed it without an answer")
        elif self._ends_with_the_connection or self._has_last_chunk:
            self.complete = True
        else:
            self.error = LostError("the body is shorter than announced")
        self._let_go()

    def _let_go(self) -> None:
        """Give up what no longer serves, at once: the parser, and a body that will never be whole."""
        self._parser = None
        self._head.clear()
        if not self.complete:
            self._body.clear()

    def take_body(self) -> bytes:
        """The body, which is then kept no longer: a connection at rest holds none."""
        body = bytes(self._body)
        self._body.clear()
        return body

    def _parse(self, parser: HttpResponseParser, data: bytes) -> None:
        try:
            parser.feed_data(data)
        except HttpParserUpgrade:
            self._surplus = True
        except HttpParserError as error:
            self._surplus = True
            if self.complete or self.error is not None:
                return
            refused = NotHttpError(str(error))
            if self.has_head or self._refused is not None or not _STATUS_LINE.match(self._head):
                self.error = refused
                return
            self._refused = refused
            self._read_repaired(len(self._head))

    def _read_repaired(self, n_new: int) -> None:
        """Read the head once more, rewritten, when it is whole; `n_new` bytes came since the last try."""
        if not has_end(self._head, n_new):
            return
        head, rest = split_head(bytes(self._head))
        if head is None:
            self._head[:] = rest
            return
        self.headers.clear()
        self._head_bytes = self._head_lines = 0
        self._surplus = False
        self._parser = _parser_for(self)
        self._parse(self._parser, repaired(head) + rest)

    @property
    def _has_last_chunk(self) -> bool:
        """Whether nothing is missing but the blank line after the last chunk, which urllib does not miss."""
        return self._in_last_chunk and _LAST_CHUNK.search(self._tail) is not None

    @property
    def _ends_with_the_connection(self) -> bool:
        """Whether the body has no other end (RFC 9112, section 6.3)."""
        coding = self.headers.get("Transfer-Encoding", "").rpartition(",")[2].strip().lower()
        return "Content-Length" not in self.headers and coding != "chunked"

    def _measure_head(self, n_bytes: int) -> None:
        if n_bytes > HEAD_BYTES and not self.complete:
            self.error = self.error or NotHttpError(f"more than {HEAD_BYTES:,} bytes of headers")
        if self._head_lines > HEAD_LINES and not self.complete:
            self.error = self.error or NotHttpError(f"more than {HEAD_LINES:,} lines of headers")

    def on_message_begin(self) -> None:
        """A response begins; one after the final response is none that we asked for."""
        self._surplus = self.complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header is complete, or a trailer, which nobody asked for either."""
        self._head_bytes += len(name) + len(value)
        self._head_lines += 1
        self._measure_head(self._head_bytes)
        if not self.has_head and self.error is None:
            # Bytes that are no UTF-8 become surrogates, so that a Location leaves as it came.
            self.headers.add(name.decode("latin-1"), value.strip().decode("utf-8", "surrogateescape"))

    def on_headers_complete(self) -> None:
        """The head is complete, unless it only says that another one comes (RFC 9110, section 15.2)."""
        if self.complete or self._parser is None:
            return
        self.status = self._parser.get_status_code()
        self.has_head = self.status >= _SUCCESS or self.status == _SWITCHING_PROTOCOLS
        if not self.has_head:
            self.headers.clear()

    def on_body(self, data: bytes) -> None:
        """Part of the body; nothing is kept beyond the limit."""
        if self.complete:
            return
        self._in_last_chunk = False
        self.n_bytes += len(data)
        if self.n_bytes <= self._limit:
            self._body += data

    def on_chunk_header(self) -> None:
        """A chunk begins; if no byte of it comes, it may be the last."""
        self._in_last_chunk = True

    def on_message_complete(self) -> None:
        """The response is complete."""
        if self.has_head and not self.complete and self._parser is not None:
            self.complete = self.error is None
            self.reusable = self._parser.should_keep_alive()


_STATUS_LINE = re.compile(rb"HTTP/[0-9][^\n]*\n")
_LAST_CHUNK = re.compile(rb"\n0+[ \t]*(?:;[^\n]*)?\r?\n(?:\r?\n)?\Z")
_LONGEST_LAST_CHUNK = 64


def _parser_for(answer: Answer) -> HttpResponseParser:
    parser = HttpResponseParser(answer)
    parser.set_dangerous_leniencies(
        lenient_headers=True,
        lenient_version=True,
        lenient_optional_cr_before_lf=True,
        lenient_optional_lf_after_cr=True,  # else a bare line feed after the size of a chunk is refused
        lenient_spaces_after_chunk_size=True,
    )
    return parser
