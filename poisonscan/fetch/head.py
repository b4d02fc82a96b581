"""Response heads that a strict parser refuses and the tools of trainers take, rewritten to read the same.

curl, urllib and browsers step over header lines that are none, take a length that is said twice, and go by
the chunks where a length is given too. A host that sends such a head to everybody would else be lost to us
and not to them. Where the tools differ, urllib is followed, with which img2dataset fetches.
"""

from __future__ import annotations

import re

_END = re.compile(rb"\r?\n\r?\n")
_INTERIM = re.compile(rb"HTTP/\d\.\d 1(?!01)\d\d\b")
_LINE = re.compile(rb"\r?\n(?![ \t])")  # a line that begins with a blank goes on (obs-fold)
_FOLD = re.compile(rb"\r?\n[ \t]+")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_LENGTH = re.compile(rb"\+?([0-9]+)(?:[ \t]*,[ \t]*\+?\1)*")


def has_end(data: bytes | bytearray, n_new: int) -> bool:
    """Whether a head ends within the last `n_new` bytes, which is all that one has to look at."""
    return _END.search(data, max(0, len(data) - n_new - 3)) is not None


def split_head(data: bytes) -> tuple[bytes | None, bytes]:
    """The final head in what came, without its blank line, and what follows it.

    Interim responses before it are left out. While it is not whole, None and what there is of it.
    """
    while (end := _END.search(data)) is not None:
        head, data = data[: end.start()], data[end.end() :]
        if not _INTERIM.match(head):
            return head, data
    return None, data


def repaired(head: bytes) -> bytes:
    """A head that is well-formed and says what the tools read in this one, with its blank line."""
    status, *lines = _LINE.split(head)
    fields = [(name, _FOLD.sub(b" ", value).strip(b" \t\r")) for name, value in map(_field, lines)]
    fields = [(name, value) for name, value in fields if _TOKEN.fullmatch(name)]
    lengths = [value for name, value in fields if name.lower() == b"content-length"]
    codings = b",".join(value for name, value in fields if name.lower() == b"transfer-encoding")
    framing = _framing([coding.strip().lower() for coding in codings.split(b",")], lengths)
    kept = [field for field in fields if field[0].lower() not in {b"content-length", b"transfer-encoding"}]
    return b"\r\n".join([status, *(name + b": " + value for name, value in kept + framing), b"", b""])


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name, value


def _framing(codings: list[bytes], lengths: list[bytes]) -> list[tuple[bytes, bytes]]:
    """The fields that say where the body ends: chunks, else the first length that is one, else none."""
    codings = [coding for coding in codings if coding not in {b"", b"identity"}]
    if codings and codings[-1] == b"chunked":
        return [(b"Transfer-Encoding", b", ".join(codings))]
    length = _LENGTH.fullmatch(lengths[0]) if lengths else None
    return [(b"Content-Length", length[1])] if length else []
