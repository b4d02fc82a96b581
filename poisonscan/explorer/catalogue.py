"""What the explorer's pages ask of a run. Counted in DuckDB; only what a page shows comes back.

A check, a hunt and a snapshot have different tables; `items` is what they have in common.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from poisonscan.errors import UsageError
from poisonscan.explorer.filters import ORDERS, PAGE_ROWS
from poisonscan.records import Group, Verdict
from poisonscan.sources.files import read_file
from poisonscan.sources.model import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from poisonscan.explorer.filters import Filter
    from poisonscan.store.views import Row, Views

MAX_FINDINGS = 200
MAX_DOMAINS = 30
MAX_REASONS = 12

_ITEMS = {
    "verdicts": "SELECT row, key, url, domain, caption, NULL::VARCHAR AS label, verdict, reason, score, "
    "boxes, phash_distance, width, height, old_sha256, new_sha256 FROM verdicts",
    "embeddings": "SELECT row, key, url, domain, caption, label, state AS verdict, reason, "
    "NULL::FLOAT AS score, NULL::FLOAT[][] AS boxes, NULL::SMALLINT AS phash_distance, width, height, "
    "NULL::VARCHAR AS old_sha256, NULL::VARCHAR AS new_sha256 FROM embeddings",
    "rows": "SELECT row, key, url, domain, caption, NULL::VARCHAR AS label, state AS verdict, reason, "
    "NULL::FLOAT AS score, NULL::FLOAT[][] AS boxes, NULL::SMALLINT AS phash_distance, width, height, "
    "sha256 AS old_sha256, NULL::VARCHAR AS new_sha256 FROM rows",
}
"""The tables that may say which rows there are, the first that is there."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the lines of a longer answer.

    Attributes:
        lines: those of this page.
        total: how many there are in all.
        number: of this page, from 0.
    """

    lines: Sequence[Row]
    total: int
    number: int = 0

    @property
    def pages(self) -> int:
        """How many pages there are; at least one."""
        return max(1, -(-self.total // PAGE_ROWS))


class Catalogue:
    """Questions to one run.

    Args:
        views: its tables.

    Raises:
        UsageError: the folder has no table of rows to walk through.
    """

    def __init__(self, views: Views) -> None:
        self.views = views
        self.base = next((name for name in _ITEMS if name in views), None)
        if self.base is None:
            raise UsageError(f"{views.run} has no rows to explore; name a finished run of check or hunt")
        views.define("items", _ITEMS[self.base])
        self.has_findings = "findings" in views and "members" in views

    @cached_property
    def counts(self) -> dict[str, int]:
        """Rows by verdict in the order of the vocabulary, or by state where nothing was judged."""
        lines = self.views.rows(
            "SELECT verdict, count(*) AS rows FROM items GROUP BY verdict ORDER BY verdict"
        )
        found = {line["verdict"]: line["rows"] for line in lines}
        usual = [verdict.value for verdict in Verdict if verdict in found]
        return {name: found[name] for name in (*usual, *(found.keys() - set(usual)))}

    def findings(self, filtered: Filter) -> Page:
        """Findings, the strongest first."""
        if not self.has_findings:
            return Page([], 0)
        condition, values = filtered.finding_conditions()
        order = (
            "rank" if ("rank", "BIGINT") in self.views.columns["findings"] else "score DESC, n_members DESC"
        )
        lines = self.views.rows(
            f"SELECT *, count(*) OVER () AS total FROM findings WHERE {condition} "  # noqa: S608 - ours
            f"ORDER BY {order}, finding_id LIMIT {MAX_FINDINGS}",
            *values,
        )
        return Page(lines, lines[0]["total"] if lines else 0)

    def faces(self, findings: Sequence[str], count: int) -> dict[str, list[int]]:
        """The first members of each finding, for its line in the list."""
        lines = self.views.rows(
            "SELECT finding_id, list(row ORDER BY score DESC NULLS LAST, row)[1:?] AS rows FROM members "
            "WHERE finding_id IN (SELECT unnest(?)) GROUP BY finding_id",
            count,
            list(findings),
        )
        return {line["finding_id"]: line["rows"] for line in lines}

    def finding(self, finding_id: str) -> Row:
        """One finding.

        Raises:
            UsageError: there is none of that id.
        """
        found = (
            self.views.rows("SELECT * FROM findings WHERE finding_id = ?", finding_id)
            if self.has_findings
            else []
        )
        if not found:
            raise UsageError(f"there is no finding {finding_id!r}")
        return found[0]

    def exhibit(self, finding_id: str) -> bytes:
        """The picture of what recurs in a finding, as the hunt wrote it.

        Raises:
            UsageError: there is no such finding, or it has nothing to show.
        """
        name = self.finding(finding_id).get("exhibit")
        found = read_file(self.views.run, name, MAX_BYTES) if name else "has none"
        if isinstance(found, str):
            raise UsageError(f"the exhibit of {finding_id} {found}")
        return found

    def kinds(self) -> list[str]:
        """The kinds of findings that occur."""
        if not self.has_findings:
            return []
        return [line["kind"] for line in self.views.rows("SELECT DISTINCT kind FROM findings ORDER BY kind")]

    def domains(self) -> list[Row]:
        """Domains that deserve a look: suspected ones first, then those with most suspicious rows."""
        if "domains" not in self.views:
            return []
        counted = {name for name, _ in self.views.columns["domains"]}  # an earlier version had fewer verdicts
        suspicious = " + ".join(v for v in Verdict if v.group is Group.SUSPICIOUS and v in counted)
        return self.views.rows(
            f"SELECT domain, rows, score, swap_suspected, reasons, {suspicious} AS suspicious FROM domains "  # noqa: S608 - ours
            f"WHERE swap_suspected OR {suspicious} > 0 "
            f"ORDER BY swap_suspected DESC, suspicious DESC, domain LIMIT {MAX_DOMAINS}"
        )

    def marks(self) -> dict[str, int]:
        """Rows by mark."""
        lines = self.views.rows("SELECT mark, count(*) AS rows FROM marks GROUP BY mark")
        return {line["mark"]: line["rows"] for line in lines}

    def rows(self, filtered: Filter) -> Page:
        """One contact sheet: which rows first, then only their columns."""
        condition, values = filtered.row_conditions()
        counted = f"SELECT count(*) AS total FROM items WHERE {condition}"  # noqa: S608 - ours
        total = int(self.views.rows(counted, *values)[0]["total"])
        numbers = self.views.rows(
            f"SELECT row FROM items WHERE {condition} ORDER BY {ORDERS[filtered.order]} "  # noqa: S608 - ours
            f"LIMIT {PAGE_ROWS} OFFSET {filtered.page * PAGE_ROWS}",
            *values,
        )
        lines = self.lines([line["row"] for line in numbers], filtered.finding)
        return Page(lines, total, filtered.page)

    def lines(self, numbers: Sequence[int], finding: str = "") -> list[Row]:
        """Rows by number, in that order, with their marks and, within a finding, their boxes there."""
        found = self.views.rows(
            "SELECT items.*, mark, note FROM items LEFT JOIN marks USING (row) "
            "WHERE row IN (SELECT unnest(?))",
            list(numbers),
        )
        by_row = {line["row"]: line for line in found}
        for member in self._members(numbers, finding) if finding else ():
            if member["box"] and member["row"] in by_row:
                by_row[member["row"]]["boxes"] = [member["box"]]
        return [by_row[number] for number in numbers if number in by_row]

    def row(self, number: int) -> Row:
        """One row.

        Raises:
            UsageError: there is none of that number.
        """
        found = self.lines([number])
        if not found:
            raise UsageError(f"there is no row {number}")
        return found[0]

    def evidence(self, number: int) -> Row:
        """Everything that the table of rows says about one row, in its own columns."""
        hidden = "* EXCLUDE (vector, text_vector)" if self.base == "embeddings" else "*"
        hidden = "* EXCLUDE (luma, chroma, texture)" if self.base == "rows" else hidden
        return self.views.rows(f"SELECT {hidden} FROM {self.base} WHERE row = ?", number)[0]  # noqa: S608 - ours

    def findings_of(self, number: int) -> list[Row]:
        """The findings that name a row."""
        if not self.has_findings:
            return []
        return self.views.rows(
            "SELECT findings.*, box FROM members JOIN findings USING (finding_id) WHERE row = ? "
            "ORDER BY findings.score DESC, finding_id",
            number,
        )

    def beside(self, number: int) -> tuple[int | None, int | None]:
        """The rows before and after one."""
        line = self.views.rows(
            "SELECT max(row) FILTER (row < ?) AS before, min(row) FILTER (row > ?) AS after FROM items",
            number,
            number,
        )[0]
        return line["before"], line["after"]

    def matching(self, filtered: Filter) -> pa.Table:
        """Number and key of every row that a filter lets through."""
        condition, values = filtered.row_conditions()
        return self.views.table(f"SELECT row, key FROM items WHERE {condition} ORDER BY row", *values)  # noqa: S608 - ours

    def named(self, numbers: Sequence[int]) -> pa.Table:
        """Number and key of rows; numbers that are no row are left out."""
        wanted: list[Any] = list(numbers)
        return self.views.table(
            "SELECT row, key FROM items WHERE row IN (SELECT unnest(?)) ORDER BY row", wanted
        )

    def _members(self, numbers: Sequence[int], finding: str) -> list[Row]:
        return self.views.rows(
            "SELECT row, box FROM members WHERE finding_id = ? AND row IN (SELECT unnest(?))",
            finding,
            list(numbers),
        )
