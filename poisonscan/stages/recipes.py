"""Ten questions that curators ask of a run, as SQL to begin with. Each is run by a test."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """A useful query.

    Attributes:
        title: what it answers.
        sql: one SELECT.
        needs: tables it reads.
    """

    title: str
    sql: str
    needs: tuple[str, ...]


RECIPES = (
    Recipe(
        "How did the rows fare?",
        "SELECT verdict, count(*) AS rows FROM verdicts GROUP BY verdict ORDER BY rows DESC",
        ("verdicts",),
    ),
    Recipe(
        "Which domains seem to be in other hands, and why?",
        "SELECT domain, rows, score, reasons FROM domains WHERE swap_suspected ORDER BY score DESC",
        ("domains",),
    ),
    Recipe(
        "The most certain edits, with where to look",
        "SELECT row, url, score, boxes FROM verdicts WHERE verdict IN ('edited', 'blended') "
        "ORDER BY score DESC LIMIT 50",
        ("verdicts",),
    ),
    Recipe(
        "Changes that a perceptual hash alone would have missed",
        "SELECT row, url, verdict, phash_distance FROM verdicts "
        "WHERE verdict IN ('edited', 'blended') AND phash_distance <= 8 ORDER BY phash_distance",
        ("verdicts",),
    ),
    Recipe(
        "One new picture served under many URLs",
        "SELECT new_sha256, count(*) AS urls, count(DISTINCT domain) AS domains, any_value(url) AS example "
        "FROM verdicts WHERE verdict IN ('replaced', 'placeholder') "
        "GROUP BY new_sha256 HAVING urls > 1 ORDER BY urls DESC",
        ("verdicts",),
    ),
    Recipe(
        "Why do rows have no answer?",
        "SELECT verdict, reason, count(*) AS rows FROM verdicts WHERE verdict IN ('gone', 'not_image', "
        "'blocked', 'unreachable', 'undecodable', 'refused', 'no_baseline') "
        "GROUP BY ALL ORDER BY rows DESC",
        ("verdicts",),
    ),
    Recipe(
        "The findings, with a few of their members",
        "SELECT finding_id, kind, findings.score, n_members, summary, "
        "list(key ORDER BY members.score DESC)[1:5] AS keys "
        "FROM findings JOIN members USING (finding_id) GROUP BY ALL ORDER BY findings.score DESC",
        ("findings", "members"),
    ),
    Recipe(
        "Words in the captions of suspicious rows, against their share elsewhere",
        "WITH words AS (SELECT unnest(regexp_extract_all(lower(caption), '[a-z]{4,}')) AS word, "
        "verdict IN ('edited', 'blended', 'replaced', 'placeholder', 'toned', 'changed') AS suspicious "
        "FROM verdicts) "
        "SELECT word, count(*) FILTER (suspicious) AS here, count(*) FILTER (NOT suspicious) AS elsewhere "
        "FROM words GROUP BY word HAVING here > 1 ORDER BY here / (1 + elsewhere) DESC, word LIMIT 30",
        ("verdicts",),
    ),
    Recipe(
        "Addresses from which several domains are served now",
        "SELECT address, count(DISTINCT domain) AS domains, count(*) AS rows, "
        "count(*) FILTER (verdict = 'replaced') AS replaced FROM verdicts WHERE address IS NOT NULL "
        "GROUP BY address HAVING domains > 1 ORDER BY replaced DESC, domains DESC",
        ("verdicts",),
    ),
    Recipe(
        "What was decided by hand, beside what the check said",
        "SELECT marks.row, marks.key, mark, note, verdict, reason FROM marks "
        "LEFT JOIN verdicts USING (row) ORDER BY marked_at DESC",
        ("marks", "verdicts"),
    ),
)
