"""open_run: a run's tables as DataFrames, for notebooks."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from poisonscan.config import Config
from poisonscan.errors import UsageError
from poisonscan.store.likeness import nearest, neighbours, row_of
from poisonscan.store.sources import vectors_document
from poisonscan.store.views import open_views

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from poisonscan.embed.encoder import Floats

_ABOUT = {
    "verdicts": ("url", "domain", "caption", "verdict", "reason", "score"),
    "embeddings": ("url", "domain", "caption", "label"),
    "rows": ("url", "domain", "caption", "state"),
}
"""What is told of a row beside its place in an answer, by the first of these tables that is there."""


class Run:
    """The tables of one run, read-only. Close it, or use it in a `with` block.

    Every answer is a pandas DataFrame; a table that the run lacks is a `UsageError` that says what to do.

    Args:
        path: a run or snapshot folder, or what `embed` wrote.
        snapshot: where the run's snapshot lies, if it was moved.

    Raises:
        SnapshotInvalidError: it is no such folder, or damaged.
        StorageError: a file of it cannot be read.
    """

    def __init__(self, path: Path, snapshot: Path | None = None) -> None:
        self.path = path
        self._open = contextlib.ExitStack()
        self._views = self._open.enter_context(open_views(path, snapshot))

    def close(self) -> None:
        """Let go of the files; no question is answered any more."""
        self._open.close()

    def __enter__(self) -> Self:
        """The run itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        """Its folder and tables."""
        return f"<poisonscan run {self.path}: {', '.join(self._views.columns)}>"

    @property
    def rows(self) -> pd.DataFrame:
        """The dataset as it was remembered: of a check its snapshot's rows, of a hunt what was looked at."""
        if "rows" not in self._views and "embeddings" in self._views:
            return self.sql("SELECT * EXCLUDE (vector, text_vector) FROM embeddings ORDER BY row")
        return self._table("rows", "row")

    @property
    def verdicts(self) -> pd.DataFrame:
        """The last word on each row of a check."""
        return self._table("verdicts", "row")

    @property
    def domains(self) -> pd.DataFrame:
        """A line a domain, suspected ones first."""
        return self._table("domains", "swap_suspected DESC, score DESC, domain")

    @property
    def findings(self) -> pd.DataFrame:
        """What only the whole dataset can tell, the strongest first."""
        return self._table("findings", "score DESC, finding_id")

    @property
    def members(self) -> pd.DataFrame:
        """The rows behind each finding."""
        return self._table("members", "finding_id, score DESC NULLS LAST, row")

    @property
    def marks(self) -> pd.DataFrame:
        """What was decided by hand in the explorer."""
        return self._table("marks", "row")

    def sql(self, query: str, values: Sequence[object] = ()) -> pd.DataFrame:
        """The answer to one SELECT over the tables of the run.

        Args:
            query: SQL; `poisonscan query RUN --list` shows the tables.
            values: for the `?` in it.

        Raises:
            UsageError: it is no SELECT, is wrong, or names a table that the run lacks.
        """
        frame: pd.DataFrame = self._views.table(query, *values).to_pandas()
        return frame

    def outliers(self, limit: int = 100) -> pd.DataFrame:
        """Rows that findings of the kind `outlier` name, most certain first, with what is known of them.

        Raises:
            UsageError: the run has no findings.
        """
        return self._members_where("kind = 'outlier'", [], limit)

    def cluster(self, finding_id: str) -> pd.DataFrame:
        """The rows of one finding, most certain first, with their boxes and what is known of them.

        Raises:
            UsageError: there is no finding of that id.
        """
        if self.sql("SELECT 1 FROM findings WHERE finding_id = ?", [finding_id]).empty:
            raise UsageError(f"{self.path} has no finding {finding_id!r}; see .findings")
        return self._members_where("finding_id = ?", [finding_id], None)

    def neighbours(self, key: str | int, k: int = 10) -> pd.DataFrame:
        """The rows that look most like one, nearest first, with their `similarity`.

        By the cosine of embeddings where the run has some, else by the share of equal bits of the perceptual
        hashes.

        Args:
            key: of the row; or its number, an int.
            k: how many.

        Raises:
            UsageError: there is no such row, its key is not unique, or nothing is known of its picture.
        """
        row = key if isinstance(key, int) else row_of(self._views, key)
        _, found = neighbours(self._views, row, k)
        return self._with_facts(found)

    def similar_to(self, what: str | Path | bytes, k: int = 10, *, config: Config = Config()) -> pd.DataFrame:
        """The rows whose pictures look most like a picture or a text, nearest first.

        The encoder that made the run's embeddings is loaded and asked.

        Args:
            what: words (str), or a picture: its path (Path) or its bytes.
            k: how many.
            config: limits of decoding, and where the encoder runs.

        Raises:
            UsageError: the run has no embeddings, its encoder is gone or reads no text, or the picture
                cannot be decoded.
            MissingDependencyError: the encoder's extra is not installed.
        """
        self._views.require("embeddings")
        vector = _encoded(vectors_document(self.path), what, config)
        return self._with_facts(nearest(self._views, vector.tolist(), k))

    def _table(self, name: str, order: str) -> pd.DataFrame:
        self._views.require(name)
        grids = {"luma", "chroma", "texture"} & {column for column, _ in self._views.columns[name]}
        left_out = f"EXCLUDE ({', '.join(sorted(grids))})" if grids else ""
        return self.sql(f"SELECT * {left_out} FROM {name} ORDER BY {order}")  # noqa: S608 - our own names

    def _members_where(self, condition: str, values: Sequence[object], limit: int | None) -> pd.DataFrame:
        self._views.require("findings", "members")
        limited = f"LIMIT {limit:d}" if limit is not None else ""
        facts, joined = self._facts("members")
        return self.sql(
            "SELECT finding_id, kind, members.row, members.key, members.score AS member_score, box"  # noqa: S608 - ours
            f"{facts} FROM members JOIN findings USING (finding_id) {joined} WHERE {condition} "
            f"ORDER BY findings.score DESC, finding_id, member_score DESC NULLS LAST, members.row {limited}",
            values,
        )

    def _with_facts(self, found: Sequence[dict[str, Any]]) -> pd.DataFrame:
        """Rows with their `similarity`, in their order, beside what the run knows of them."""
        self._views.remember(
            "found",
            pa.table(
                {
                    "row": pa.array([line["row"] for line in found], pa.int64()),
                    "key": pa.array([line["key"] for line in found], pa.string()),
                    "similarity": pa.array([line["similarity"] for line in found], pa.float64()),
                }
            ),
        )
        facts, joined = self._facts("found")
        return self.sql(
            f"SELECT found.*{facts} FROM found {joined} ORDER BY similarity DESC, found.row"  # noqa: S608 - ours
        )

    def _facts(self, table: str) -> tuple[str, str]:
        """SQL that adds what is known of the rows of a table: further columns, and the join for them."""
        about = next((name for name in _ABOUT if name in self._views), None)
        if about is None:
            return "", ""
        columns = "".join(f", {about}.{column}" for column in _ABOUT[about])
        return columns, f"LEFT JOIN {about} ON {about}.row = {table}.row"


def open_run(path: Path | str, *, snapshot: Path | None = None) -> Run:
    """Open a run for questions in Python.

    Args:
        path: a run or snapshot folder, or what `embed` wrote.
        snapshot: where the run's snapshot lies, if it was moved.

    Raises:
        SnapshotInvalidError: it is no such folder, or damaged.
        StorageError: a file of it cannot be read.
    """
    return Run(Path(path), snapshot)


def _encoded(document: dict[str, Any], what: str | Path | bytes, config: Config) -> Floats:
    """The vector of a text or picture, by the encoder that a folder of vectors was made with."""
    from poisonscan.embed.opening import open_encoder, parse_spec  # noqa: PLC0415 - an encoder is rarely asked
    from poisonscan.embed.weights import digest_of  # noqa: PLC0415 - likewise

    identity = document["identity"]
    if not identity.get("encoder"):
        raise UsageError(
            "this run was made without an encoder, so there is nothing to compare with; run embed"
        )
    spec = parse_spec(identity["encoder"])
    if digest_of(spec) != identity["encoder_digest"]:
        raise UsageError(f"{identity['encoder']} is not the encoder that this run was made with; restore it")
    encoder = open_encoder(spec, config.embed)
    if isinstance(what, str):
        if not encoder.has_text:
            raise UsageError(
                f"{identity['encoder']} reads no text; name a picture, or embed with openclip:..."
            )
        of_text: Floats = encoder.texts([what])[0]
        return of_text
    batch = _prepared(what, encoder.preparation, config)[None]
    of_picture: Floats = encoder.images(batch)[0]
    return of_picture


def _prepared(what: Path | bytes, preparation: Any, config: Config) -> Any:  # noqa: ANN401 - the encoder's own types
    """A picture as an encoder takes it. Decoded here: it is the caller's own, not a stranger's."""
    from poisonscan.embed.views import pixels_of, view  # noqa: PLC0415 - loads Pillow
    from poisonscan.records import DecodeFailure  # noqa: PLC0415 - likewise

    try:
        body = what.read_bytes() if isinstance(what, Path) else what
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be read: {error.strerror}") from error
    try:
        seen = view(body, config.decode.max_pixels, preparation, square=False)
    except Exception as error:  # what a decoder raises is unbounded
        raise UsageError(f"the picture cannot be decoded: {error}") from error
    if isinstance(seen, DecodeFailure):
        raise UsageError(f"the picture cannot be decoded: {seen.reason}")
    return pixels_of(seen.crop, preparation.side)
