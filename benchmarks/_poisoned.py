"""Poisoned sets of the real photos, with features: what the benchmarks of hunting look at, kept between runs.

Every set holds each kind of hard negative at 2% of its rows. Pictures and features of what was changed are
kept in the cache folder by seed, attack and number of rows, under a digest of the code that made them.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import io
import os
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from _common import CACHE, shared_data
from PIL import Image

from poisonscan.hunt.model import Corpus
from poisonscan.redteam import attacks, negatives, pictures, poison, steps, triggers
from poisonscan.redteam.poison import Sample, untouched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from poisonscan.hunt.model import Bytes, Floats
    from poisonscan.redteam.attacks import Attack
    from poisonscan.redteam.poison import Row

RATES = (0.005, 0.002)
LEAST_ROWS = 8
NEGATIVE_RATE = 0.02
DOMAINS = 90
UNSEEN = ("captions",)
"""Attacks that nothing here can see: they need an encoder that reads text."""
_ENCODER_BATCH = 32
_MEAN, _STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True)
class Base:
    """The innocent set.

    Attributes:
        samples: the photos.
        pictures: as they are in every set, shape (n, 224, 224, 3).
        vectors: their features, shape (n, d), not normalised.
    """

    samples: list[Sample]
    pictures: Bytes
    vectors: Floats


@dataclass(frozen=True)
class Case:
    """A set to look at.

    Attributes:
        attacks: by name; none: only hard negatives.
        rate: of stamped rows, a share; at least 8 rows are stamped.
        seed: of all chance.
    """

    attacks: tuple[str, ...]
    rate: float
    seed: int


@dataclass(frozen=True)
class Changes:
    """What is not as in the base set. Entry i of everything is the same row.

    Attributes:
        rows: position in the base set.
        pictures: shape (n, 224, 224, 3).
        vectors: their features, shape (n, d), not normalised.
        labels: as claimed.
        captions: as claimed.
        domains: as claimed.
        roles: name of the attack or of the innocent mark.
        kinds: what findings about a poisoned row should be; empty for innocent rows.
    """

    rows: NDArray[np.int64]
    pictures: Bytes
    vectors: Floats
    labels: NDArray[np.str_]
    captions: NDArray[np.str_]
    domains: NDArray[np.str_]
    roles: NDArray[np.str_]
    kinds: NDArray[np.str_]


@dataclass(frozen=True)
class PoisonedSet:
    """The base set with its changes."""

    base: Base
    changes: Changes

    def rows_of(self, role: str) -> set[int]:
        """Poisoned rows of an attack, or those that show its target ("... target")."""
        changes = self.changes
        return set(changes.rows[(changes.roles == role) & (changes.kinds != "")].tolist())

    def poison(self) -> set[int]:
        """Every poisoned row."""
        return set(self.changes.rows[self.changes.kinds != ""].tolist())

    def vectors(self) -> Floats:
        """Features of all rows, shape (n, d), not normalised."""
        vectors = self.base.vectors.copy()
        vectors[self.changes.rows] = self.changes.vectors
        return vectors

    def labels(self) -> list[str]:
        """Labels of all rows, as claimed."""
        return self._claimed("label", self.changes.labels)

    def corpus(self) -> Corpus:
        """The set as detectors see it."""
        return Corpus(
            keys=[sample.key for sample in self.base.samples],
            vectors=normalised(self.vectors()),
            captions=self._claimed("caption", self.changes.captions),
            labels=self.labels(),
            domains=self._claimed("domain", self.changes.domains),
            pixels=_Changed(self.base.pictures, self.changes.pictures, places(self.changes.rows)),
        )

    def _claimed(self, name: str, changed: NDArray[np.str_]) -> list[str]:
        said = [str(getattr(sample, name)) for sample in self.base.samples]
        for row, words in zip(self.changes.rows, changed, strict=True):
            said[row] = str(words)
        return said


@dataclass(frozen=True)
class _Changed:
    base: Bytes
    changed: Bytes
    place: Mapping[int, int]

    def __len__(self) -> int:
        """How many pictures."""
        return len(self.base)

    def read(self, rows: Sequence[int] | NDArray[np.int64]) -> Bytes:
        """See `Pixels`."""
        out = np.array(self.base[np.asarray(rows, np.int64)])
        for number, row in enumerate(rows):
            if int(row) in self.place:
                out[number] = self.changed[self.place[int(row)]]
        return out


def places(rows: NDArray[np.int64]) -> dict[int, int]:
    """Where each row is found."""
    return {int(row): place for place, row in enumerate(rows)}


def normalised(vectors: Floats) -> Floats:
    """Rows of length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def base_set(limit: int | None = None) -> Base:
    """The photos at working size with their features; some two minutes the first time.

    Args:
        limit: so many of them, drawn once; all without.
    """
    samples = _samples()
    kept = CACHE / f"hunt-{len(samples)}.npz"
    if not kept.is_file():
        with ProcessPoolExecutor() as pool:
            shown = np.stack(list(pool.map(_pixels_of, samples, chunksize=32)))
        _save(kept, {"pictures": shown, "vectors": embedded(shown)})
    with np.load(kept) as stored:
        return limited(Base(samples, stored["pictures"], stored["vectors"]), limit)


def limited(base: Base, limit: int | None) -> Base:
    """So many rows of a set, drawn once."""
    if limit is None or limit >= len(base.samples):
        return base
    rows = np.sort(np.random.default_rng(1).permutation(len(base.samples))[:limit])
    return Base([base.samples[row] for row in rows], base.pictures[rows], base.vectors[rows])


def attack_names(base: Base) -> list[str]:
    """Every attack that a set can be poisoned with and that pixels or image features can show."""
    return [name for name in attacks.standard(_codes(base), {}) if name not in UNSEEN]


def poisoned_set(base: Base, case: Case) -> PoisonedSet:
    """The set of a case; what was made before is read again."""
    n = len(base.samples)
    count = max(LEAST_ROWS, round(case.rate * n))
    changes = kept_changes(f"innocent-{n}-{case.seed}", lambda: _innocent(base, case.seed))
    if case.attacks:
        name = f"{'-'.join(case.attacks)}-{n}-{count}-{case.seed}"
        short = name if len(case.attacks) == 1 else hashlib.sha256(name.encode()).hexdigest()[:16]
        made = kept_changes(short, lambda: _poison(base, case, count, changes))
        changes = joined([changes, made])
    return PoisonedSet(base, changes)


def kept_changes(name: str, make: Callable[[], Changes]) -> Changes:
    """Changes from the cache folder, made and kept if they are not there yet."""
    path = CACHE / "hunt-sets" / recipe() / f"{name}.npz"
    if not path.is_file():
        made = make()
        _save(path, {field.name: getattr(made, field.name) for field in fields(Changes)})
        return made
    with np.load(path) as stored:
        return Changes(**{field.name: stored[field.name] for field in fields(Changes)})


def joined(parts: Sequence[Changes]) -> Changes:
    """All changes of the parts, in their order."""
    names = [field.name for field in fields(Changes)]
    return Changes(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def recipe() -> str:
    """Digest of the code that makes poisoned sets."""
    modules = (attacks, negatives, pictures, poison, steps, triggers)
    return digest([Path(str(module.__file__)) for module in modules])


def digest(files: Iterable[Path]) -> str:
    """First digits of the sha256 over Python files, whatever their comments and docstrings say."""
    trees = [ast.parse(path.read_bytes()) for path in sorted(files)]
    return hashlib.sha256("".join(ast.dump(_Wordless().visit(tree)) for tree in trees).encode()).hexdigest()[
        :12
    ]


class _Wordless(ast.NodeTransformer):
    """Takes the strings away that stand alone."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        words = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if words else node


def _save(path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Written beside and renamed, so that a run that is stopped leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}.npz")
    np.savez(beside, **arrays)  # type: ignore[arg-type] # its stubs take the names for allow_pickle
    beside.replace(path)


def _samples() -> list[Sample]:
    folder = shared_data("images")
    with shared_data("images.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if (folder / row["path"]).is_file()]
    return [_sample(folder, row["path"], row["label"]) for row in rows]


def _sample(folder: Path, path: str, label: str) -> Sample:
    domain = f"site-{zlib.crc32(path.encode()) % DOMAINS:02d}.example"
    return Sample(path, folder / path, label, poison.caption_of(label), domain)


def _pixels_of(sample: Sample) -> Bytes:
    return _decoded(untouched(sample).body)


def _decoded(body: bytes) -> Bytes:
    with Image.open(io.BytesIO(body)) as image:
        return np.asarray(image.convert("RGB"))


def embedded(shown: Bytes) -> Floats:
    """Features of the frozen MobileNetV2, the whole picture squeezed to its input."""
    import onnxruntime  # noqa: PLC0415 - only a benchmark that embeds needs it

    session = onnxruntime.InferenceSession(str(shared_data("weights", "mobilenetv2_features.onnx")))
    name = session.get_inputs()[0].name
    parts = []
    for start in range(0, len(shown), _ENCODER_BATCH):
        batch = (shown[start : start + _ENCODER_BATCH].astype(np.float32) / 255 - _MEAN) / _STD
        answer = session.run(None, {name: np.ascontiguousarray(batch.transpose(0, 3, 1, 2), np.float32)})[0]
        parts.append(np.asarray(answer, np.float32).reshape(len(batch), -1))
    return np.concatenate(parts)


def _innocent(base: Base, seed: int) -> Changes:
    count = round(NEGATIVE_RATE * len(base.samples))
    return _changes(poison.innocent(base.samples, list(negatives.NEGATIVES.values()), count, seed))


def _poison(base: Base, case: Case, count: int, innocent: Changes) -> Changes:
    """Each attack on rows that nothing else has changed."""
    planned = _attacks(base, case.seed)
    taken, rows = set(innocent.rows.tolist()), dict[int, "Row"]()
    for name in case.attacks:
        free = [row for row in range(len(base.samples)) if row not in taken]
        made = poison.poisoned([base.samples[row] for row in free], planned[name], count, case.seed)
        rows |= {free[place]: row for place, row in made.items()}
        taken |= set(rows)
    return _changes(rows)


def _changes(rows: Mapping[int, Row]) -> Changes:
    new = list(rows.values())
    shown = np.stack([_decoded(row.body) for row in new])
    return Changes(
        rows=np.array(list(rows), np.int64),
        pictures=shown,
        vectors=embedded(shown),
        labels=np.array([row.label for row in new]),
        captions=np.array([row.caption for row in new]),
        domains=np.array([row.domain for row in new]),
        roles=np.array([row.role for row in new]),
        kinds=np.array(["" if row.kind is None else row.kind.value for row in new]),
    )


def _attacks(base: Base, seed: int) -> dict[str, Attack]:
    """The attacks with the published trigger pictures; the stamp changes with the seed."""
    stamps = {
        "stamp": triggers.from_file(shared_data("triggers", "ssl-backdoor", f"trigger_{10 + seed % 5}.png")),
        "stop_sign": triggers.from_file(shared_data("triggers", "baddiffusion", "stop_sign_bg_w.jpg")),
        "glasses": triggers.from_file(shared_data("triggers", "baddiffusion", "glasses.png")),
    }
    return attacks.standard(_codes(base), stamps)


def _codes(base: Base) -> attacks.Codes:
    return attacks.class_codes(base.vectors, [sample.label for sample in base.samples])


def doubled(base: Base) -> Base:
    """Every photo and its mirror image."""
    mirrored = [replace(sample, key=f"mirrored/{sample.key}") for sample in base.samples]
    return Base(
        base.samples + mirrored,
        np.concatenate([base.pictures, base.pictures[:, :, ::-1]]),
        np.concatenate([base.vectors, base.vectors]),
    )
