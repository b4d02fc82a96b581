"""The vocabulary through which the stages meet.

A manifest yields `ImageRef`s, a fetch ends in a `FetchResult`, decoding in a `Fingerprint` or a
`DecodeFailure`, comparing two fingerprints in a `Comparison`. All are values: frozen, comparable,
picklable, and ignorant of files, sockets and clocks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

SCHEMA_VERSION = 1
"""Version of the snapshot and run folders; raised whenever an older reader would misread a column."""


class Group(StrEnum):
    """The four groups of verdicts. Only `CLEAN` means that a row was seen and found unharmed."""

    CLEAN = "clean"
    SUSPICIOUS = "suspicious"
    LOST = "lost"
    UNKNOWN = "unknown"


class Verdict(StrEnum):
    """What is said of one row. A closed set; `group` sorts it."""

    IDENTICAL = "identical"
    SAME_PIXELS = "same_pixels"
    REENCODED = "reencoded"
    CROPPED = "cropped"

    EDITED = "edited"
    BLENDED = "blended"
    REPLACED = "replaced"
    PLACEHOLDER = "placeholder"
    TONED = "toned"
    CHANGED = "changed"

    GONE = "gone"
    NOT_IMAGE = "not_image"
    BLOCKED = "blocked"
    UNREACHABLE = "unreachable"
    UNDECODABLE = "undecodable"
    REFUSED = "refused"

    NO_BASELINE = "no_baseline"

    @property
    def group(self) -> Group:
        """The group this verdict belongs to."""
        return _GROUPS[self]


def group_of(name: str) -> Group | None:
    """The group of the verdict of that name; None for a name that is no verdict."""
    return Verdict(name).group if name in _NAMES else None


_NAMES = frozenset(verdict.value for verdict in Verdict)
_GROUPS: dict[Verdict, Group] = {
    Verdict.IDENTICAL: Group.CLEAN,
    Verdict.SAME_PIXELS: Group.CLEAN,
    Verdict.REENCODED: Group.CLEAN,
    Verdict.CROPPED: Group.CLEAN,
    Verdict.EDITED: Group.SUSPICIOUS,
    Verdict.BLENDED: Group.SUSPICIOUS,
    Verdict.REPLACED: Group.SUSPICIOUS,
    Verdict.PLACEHOLDER: Group.SUSPICIOUS,
    Verdict.TONED: Group.SUSPICIOUS,
    Verdict.CHANGED: Group.SUSPICIOUS,
    Verdict.GONE: Group.LOST,
    Verdict.NOT_IMAGE: Group.LOST,
    Verdict.BLOCKED: Group.LOST,
    Verdict.UNREACHABLE: Group.LOST,
    Verdict.UNDECODABLE: Group.LOST,
    Verdict.REFUSED: Group.LOST,
    Verdict.NO_BASELINE: Group.UNKNOWN,
}


class Algorithm(StrEnum):
    """Hash algorithms a publisher may have used. The value is the column suffix (`published_md5`)."""

    SHA256 = "sha256"
    SHA512 = "sha512"
    MD5 = "md5"
    PHASH = "phash"

    @property
    def hex_digits(self) -> int:
        """Length of one value in hexadecimal digits."""
        return {"sha256": 64, "sha512": 128, "md5": 32, "phash": 16}[self.value]


@dataclass(frozen=True, slots=True)
class Published:
    """Hashes a publisher printed beside a URL: lower-case hexadecimal, or None where the cell was empty."""

    sha256: str | None = None
    sha512: str | None = None
    md5: str | None = None
    phash: str | None = None

    def __bool__(self) -> bool:
        """Whether any hash is known."""
        return any((self.sha256, self.sha512, self.md5, self.phash))


@dataclass(frozen=True, slots=True)
class ImageRef:
    """One row of a manifest.

    Attributes:
        row: position in the manifest, counted from 0 over all its files; the row's identity.
        key: the name users know the row by: DataComp's uid, img2dataset's key, a relative path, or
            the row number. Not necessarily unique.
        url: as written in the manifest, also when malformed.
        caption: text beside the URL, or None.
        published: hashes the publisher gave.
    """

    row: int
    key: str
    url: str
    caption: str | None = None
    published: Published = field(default_factory=Published)


class Outcome(StrEnum):
    """How a fetch ended: a closed set of error classes. Only `FETCHED` carries a body."""

    FETCHED = "fetched"
    # refused by us, before or while asking
    MALFORMED_URL = "malformed_url"
    BAD_SCHEME = "bad_scheme"
    PRIVATE_ADDRESS = "private_address"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    TOO_LARGE = "too_large"
    # the owner says no
    ROBOTS_TAG = "robots_tag"
    HTTP_BLOCKED = "http_blocked"
    # the owner says it is gone
    HTTP_GONE = "http_gone"
    # no usable answer
    HTTP_ERROR = "http_error"
    DNS_NOT_FOUND = "dns_not_found"
    DNS_FAILURE = "dns_failure"
    CONNECT_FAILED = "connect_failed"
    TLS_FAILED = "tls_failed"
    CONNECTION_LOST = "connection_lost"
    PROTOCOL_ERROR = "protocol_error"
    TIMEOUT = "timeout"

    @property
    def lost(self) -> Verdict | None:
        """The verdict for a row whose fetch ended so; None when there is a body to look at."""
        return _LOST[self]


_LOST: dict[Outcome, Verdict | None] = {
    Outcome.FETCHED: None,
    Outcome.MALFORMED_URL: Verdict.REFUSED,
    Outcome.BAD_SCHEME: Verdict.REFUSED,
    Outcome.PRIVATE_ADDRESS: Verdict.REFUSED,
    Outcome.TOO_MANY_REDIRECTS: Verdict.REFUSED,
    Outcome.TOO_LARGE: Verdict.REFUSED,
    Outcome.ROBOTS_TAG: Verdict.BLOCKED,
    Outcome.HTTP_BLOCKED: Verdict.BLOCKED,
    Outcome.HTTP_GONE: Verdict.GONE,
    Outcome.HTTP_ERROR: Verdict.UNREACHABLE,
    Outcome.DNS_NOT_FOUND: Verdict.UNREACHABLE,
    Outcome.DNS_FAILURE: Verdict.UNREACHABLE,
    Outcome.CONNECT_FAILED: Verdict.UNREACHABLE,
    Outcome.TLS_FAILED: Verdict.UNREACHABLE,
    Outcome.CONNECTION_LOST: Verdict.UNREACHABLE,
    Outcome.PROTOCOL_ERROR: Verdict.UNREACHABLE,
    Outcome.TIMEOUT: Verdict.UNREACHABLE,
}


@dataclass(frozen=True, slots=True)
class FetchResult:
    """Everything known about one attempt to fetch one URL, also when it failed.

    Attributes:
        url: the URL asked for.
        outcome: how it ended.
        reason: the outcome in words, for a person ("HTTP 404", "certificate has expired").
        fetched_at: UTC, when the last attempt ended.
        body: the bytes served; None unless `outcome` is FETCHED.
        status: HTTP status of the last response, None when there was none.
        final_url: URL of the last response after redirects, None when there was no response.
        redirects: URLs passed through before `final_url`, oldest first.
        address: IP address the last response came from.
        content_type, etag, last_modified, server: response headers as sent, cut to 1,024 characters.
        n_bytes: body bytes received, also when the body was then discarded.
        first_byte_s: seconds from the start of the last attempt to its response headers.
        total_s: seconds over all attempts and pauses.
        attempts: how many requests were begun, redirects not counted.
    """

    url: str
    outcome: Outcome
    reason: str
    fetched_at: datetime
    body: bytes | None = field(default=None, repr=False)
    status: int | None = None
    final_url: str | None = None
    redirects: tuple[str, ...] = ()
    address: str | None = None
    content_type: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    server: str | None = None
    n_bytes: int = 0
    first_byte_s: float | None = None
    total_s: float = 0.0
    attempts: int = 0


LUMA_SIDE = 32
"""Cells a side of the luma grid."""
CHROMA_SIDE = 16
"""Cells a side of each of the two chroma grids."""
TEXTURE_SIDE = 16
"""Cells a side of the texture grid."""
FINE_SIDE = 16
"""Cells a side of the grid of energy above the working scale."""


class Rendering(StrEnum):
    """How a loader may show a file that loaders do not agree on: a closed set."""

    MAIN = "main"
    """Transparency over white, 16 bits shifted to 8, the first page or default image: what every file has."""
    ALPHA_DROPPED = "alpha_dropped"
    """The colours beneath the transparency."""
    ON_ONE_COLOUR = "on_one_colour"
    """The same where what is hidden has one colour or none of its own; the rest shows over white or black."""
    OVER_BLACK = "over_black"
    """Transparency over black."""
    OVER_WHITE = "over_white"
    """Transparency over white, of a file whose transparency most loaders do not see."""
    CLIPPED = "clipped"
    """Values above 255 cut off."""
    RANGED = "ranged"
    """The lowest value as black, the highest as white."""
    FIRST_FRAME = "first_frame"
    """The first frame of an animation that leaves its default image out."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What is remembered of one picture: enough to tell later what happened to it, in about 1.9 KB.

    Attributes:
        sha256: digest of the bytes, hex.
        essence: "<scheme>:<sha256 hex>" of the coded picture without metadata (see
            `fingerprint.essence`); files of equal essence show the same picture in every loader.
        phash: 64-bit DCT perceptual hash, 16 hex digits, of the picture as stored (EXIF orientation not
            applied, as publishers compute it): what `imagehash.phash` prints where a published pHash asks
            for it, else of the luma grid, which is the same but for a few bits.
        width, height: in pixels, EXIF orientation applied.
        format: Pillow's name of the format, "JPEG", "PNG", ...
        luma: LUMA_SIDE x LUMA_SIDE bytes, row-major, area means of luma, 0..255.
        chroma: 2 x CHROMA_SIDE x CHROMA_SIDE bytes: Cb then Cr, 128 is neutral.
        texture: TEXTURE_SIDE x TEXTURE_SIDE bytes: twice the rms deviation of pixels from the mean of their
            luma cell.
        decoder: name and version of what decoded the picture.
        sha512, md5: digests of the bytes, only when a published hash asks for them.
        renderings: the grids of the other renderings, as `fingerprint.variants` packs them; empty where all
            loaders show what the grids above hold, None where that was not looked at (older snapshots).
        fine: FINE_SIDE x FINE_SIDE bytes: twice the rms deviation of luma within working pixels. None where
            the picture was decoded at less than its full size, and in older snapshots.
        colours: that the file uses, up to 256 and not of grey alone. None where there are more, and in older
            snapshots.
        quantum: a JPEG's quantiser of the mean of a block of luma, in eighths of a grey level. None of other
            formats, and in older snapshots.
    """

    sha256: str
    essence: str
    phash: str
    width: int
    height: int
    format: str
    luma: bytes = field(repr=False)
    chroma: bytes = field(repr=False)
    texture: bytes = field(repr=False)
    decoder: str
    sha512: str | None = None
    md5: str | None = None
    renderings: bytes | None = field(default=None, repr=False)
    fine: bytes | None = field(default=None, repr=False)
    colours: int | None = None
    quantum: int | None = None


@dataclass(frozen=True, slots=True)
class DecodeFailure:
    """Bytes that gave no picture.

    Attributes:
        verdict: NOT_IMAGE (no known picture format) or UNDECODABLE (one, but broken, too large, or
            deadly to the decoder).
        reason: in words.
    """

    verdict: Verdict
    reason: str


class Box(NamedTuple):
    """A rectangle in fractions of the picture's width and height, 0..1, y downwards."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What comparing a picture with its baseline says.

    Attributes:
        verdict: one of the clean or suspicious verdicts, or NO_BASELINE.
        reason: in words, for a person.
        score: 0 (surely innocent) to 1 (surely not the picture of the baseline).
        boxes: where the change is, strongest first; empty when it is everywhere or nowhere.
        phash_distance: differing bits of 64, None when either side has no pHash.
        window: the part of the old picture that the new one shows, when `cropped`.
        mirrored: whether the new picture is the old one mirrored left to right.
        interpolated: whether cells of one picture lay across those of the other, so that a look at the new
            picture itself may say more.
        tone_strength: how far colours and contrast are from the old ones, 0..1, where more was done to them
            than rounding explains; None where nothing was toned, or nothing is known of it.
        tone_hue: the direction in which colours moved, degrees from Cb towards Cr in 0..360; None where they
            moved in none.
        rendering: the one that the verdict is about.
        weak_baseline: whether all that speaks for it is a digest that can be forged (md5).
        turn: the EXIF orientation, 1 to 8, that takes the old picture to the new one; 1 is upright.
    """

    verdict: Verdict
    reason: str
    score: float
    boxes: tuple[Box, ...] = ()
    phash_distance: int | None = None
    window: Box | None = None
    mirrored: bool = False
    interpolated: bool = False
    tone_strength: float | None = None
    tone_hue: float | None = None
    rendering: Rendering = Rendering.MAIN
    weak_baseline: bool = False
    turn: int = 1


class Sight(StrEnum):
    """What two answers for one URL, to us and to somebody else, say: a closed set."""

    SAME = "same"
    """Both sides are served the same picture, in whatever encoding."""
    CLOAKED = "cloaked"
    """Each side is served a picture of its own, again and again; or we are turned away, and a changed one is
    served there."""
    UNSTABLE = "unstable"
    """One side was served different things in a row, so that the difference says nothing."""
    ONE_SIDED = "one_sided"
    """Only one side was served a picture."""
    LOST = "lost"
    """Neither side was."""


class Kind(StrEnum):
    """What a finding is about: a closed set, explained in the documents."""

    RECURRING_PATCH = "recurring_patch"
    LATTICE_TRIGGER = "lattice_trigger"
    OVERLAY = "overlay"
    DUPLICATE_TARGET = "duplicate_target"
    PLACEHOLDER = "placeholder"
    CAPTION_MISMATCH = "caption_mismatch"
    LABEL_MISMATCH = "label_mismatch"
    OUTLIER = "outlier"
    INCOHERENT_CLUSTER = "incoherent_cluster"
    FOOTPRINT = "footprint"
    CLOAKING = "cloaking"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found in a dataset or a run, with its members listed beside it.

    Attributes:
        finding_id: unique within its run.
        kind: what it is about.
        score: higher is more certain.
        n_members: rows it names.
        summary: the evidence in words.
    """

    finding_id: str
    kind: Kind
    score: float
    n_members: int
    summary: str
