"""What each page of the explorer tells: the name of its template, and the facts that it names."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from poisonscan.errors import PoisonscanError, UsageError
from poisonscan.explorer.filters import Filter
from poisonscan.explorer.pictures import SIDES
from poisonscan.explorer.plane import EMBEDDINGS
from poisonscan.explorer.tints import BY, classes_of
from poisonscan.store.isolated import ask_isolated
from poisonscan.store.likeness import neighbours

if TYPE_CHECKING:
    from starlette.requests import Request

    from poisonscan.explorer.session import Explorer

NEIGHBOURS = 12
FACES = 6
"""Pictures shown on the line of a finding."""
SQL_SECONDS = 30.0
SQL_ROWS = 200

Facts = dict[str, Any]


def overview(explorer: Explorer, request: Request) -> tuple[str, Facts]:
    """What was found, to begin with."""
    catalogue, filtered = explorer.catalogue, explorer.check(Filter.of(request.query_params))
    found = catalogue.findings(filtered)
    faces = catalogue.faces([line["finding_id"] for line in found.lines], FACES) if found.lines else {}
    return "overview.html", {
        "filter": filtered,
        "counts": catalogue.counts,
        "findings": found,
        "faces": faces,
        "kinds": catalogue.kinds(),
        "domains": catalogue.domains(),
        "marks": catalogue.marks(),
        "base": catalogue.base,
    }


def sheet(explorer: Explorer, request: Request) -> tuple[str, Facts]:
    """Pictures of the rows that a filter lets through."""
    catalogue, filtered = explorer.catalogue, explorer.check(Filter.of(request.query_params))
    return "sheet.html", {
        "filter": filtered,
        "page": catalogue.rows(filtered),
        "finding": {"exhibit": None} | catalogue.finding(filtered.finding) if filtered.finding else None,
        "kinds": catalogue.kinds(),
        "verdicts": list(catalogue.counts),
    }


def detail(explorer: Explorer, request: Request) -> tuple[str, Facts]:
    """Everything about one row."""
    catalogue, number = explorer.catalogue, int(request.path_params["row"])
    row = catalogue.row(number)
    measure: str = ""
    alike: list[Facts] = []
    with contextlib.suppress(UsageError):  # nothing is known of how it looks, and the page says so
        measure, alike = neighbours(catalogue.views, number, NEIGHBOURS)
    similarity = {line["row"]: line["similarity"] for line in alike}
    before, after = catalogue.beside(number)
    return "detail.html", {
        "row": row,
        "evidence": catalogue.evidence(number),
        "findings": catalogue.findings_of(number),
        "alike": catalogue.lines(list(similarity)),
        "similarity": similarity,
        "measure": measure,
        "before": before,
        "after": after,
        "sides": SIDES if catalogue.base == "verdicts" else ("now",),
    }


def plane(explorer: Explorer, _: Request) -> tuple[str, Facts]:
    """The map; its points are asked for by its script."""
    catalogue = explorer.catalogue
    by = [name for name in BY if name != "finding" or catalogue.has_findings]
    if catalogue.base != "verdicts" and catalogue.has_findings:
        by.sort(key=lambda name: name != "finding")  # nothing was judged, so this tells more
    return "map.html", {"by": by}


def points(explorer: Explorer, _: Request) -> bytes:
    """The map, little-endian.

    Four uint32 (number of points, whether made of embeddings, one in how many rows is shown, 0), then
    x and y of each (float32 pairs), then their rows (float64).
    """
    made = explorer.plane()
    head = np.array([len(made.rows), made.made_of == EMBEDDINGS, made.every, 0], "<u4").tobytes()
    return head + made.points.astype("<f4").tobytes() + made.rows.astype("<f8").tobytes()


def classes(explorer: Explorer, request: Request) -> bytes:
    """A JSON line with the names of the classes, then a byte a point: which class it is of."""
    return classes_of(explorer.catalogue, explorer.plane().rows, request.path_params["by"])


def sql(explorer: Explorer, request: Request) -> tuple[str, Facts]:
    """The SQL box. Reading only, so that the question may stand in the address."""
    question = request.query_params.get("q", "")
    views = explorer.catalogue.views
    facts: Facts = {"question": question, "columns": views.columns, "recipes": explorer.recipes}
    names: list[str] = []
    lines: list[list[Any]] = []
    error = ""
    try:
        if question.strip():
            asked = ask_isolated(views.run, question, snapshot=explorer.snapshot, timeout_s=SQL_SECONDS)
            with asked as reader:
                names = reader.schema.names
                for batch in reader:
                    columns = [column.to_pylist() for column in batch.slice(0, SQL_ROWS + 1).columns]
                    lines += [list(line) for line in zip(*columns, strict=True)]
                    if len(lines) > SQL_ROWS:
                        break
    except PoisonscanError as problem:
        error = str(problem)
    found = {"names": names, "lines": lines[:SQL_ROWS], "more": len(lines) > SQL_ROWS, "error": error}
    return "sql.html", facts | found
