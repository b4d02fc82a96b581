"""The verb `domains` on lists, snapshots and runs, against a real name server and a real RDAP server."""

from __future__ import annotations

import shutil
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from poisonscan.config import Config, DomainSettings
from poisonscan.errors import UsageError
from poisonscan.fetch.url import domain_of, host_of
from poisonscan.stages.check.run import check
from poisonscan.stages.domains.counting import count_hosts
from poisonscan.stages.domains.run import survey_domains
from poisonscan.stages.domains.source import parse_date
from poisonscan.store import schema
from poisonscan.store.query import rows_of, tables
from tests.registry.servers import ADDRESS, SILENT, name_server, rdap_domain, rdap_server, tls_server, zone

from .world import config_for, write_list

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator
    from pathlib import Path

    from poisonscan.stages.domains.run import DomainReport
    from tests.registry.servers import RdapServer

    from .conftest import Loop

ROWS = {
    "http://www.good.com/{}.jpg": 5,
    "http://img.good.com/{}.jpg": 3,
    "http://free.com/{}.jpg": 4,
    "http://www.free.net/{}.jpg": 4,
    "https://late.org/{}.jpg": 2,
    "http://parked.com/{}.jpg": 1,
    "http://silent.com/{}.jpg": 1,
    "http://someone.github.io/{}.jpg": 1,
    "http://8.8.8.8/{}.jpg": 1,
    "nonsense{}": 2,
}
ZONES = {
    "good.com": zone(),
    "www.good.com": f"@ IN A {ADDRESS}\n",
    "late.org": zone(),
    "parked.com": zone(operator="bodis.com"),
    "silent.com": SILENT,
}
RDAP: dict[str, list[tuple[int, dict[str, str], Any]]] = {
    "good.com": [(200, {}, rdap_domain("good.com"))],
    "late.org": [
        (200, {}, rdap_domain("late.org", expires="2020-01-01T00:00:00Z", statuses=("pending delete",)))
    ],
    "parked.com": [(200, {}, rdap_domain("parked.com", "2025-05-06T00:00:00Z"))],
    "silent.com": [(429, {}, b"")],
}
STATUS = {
    "good.com": "registered",
    "free.com": "unregistered",
    "free.net": "unregistered",
    "late.org": "expired",
    "parked.com": "parked",
    "silent.com": "unresolvable",
    "someone.github.io": "unresolvable",
    "8.8.8.8": "unknown",
}


@pytest.fixture(scope="module")
def dns() -> Iterator[tuple[str, Counter[tuple[str, str]]]]:
    with name_server(ZONES) as server:
        yield server


@pytest.fixture(scope="module")
def rdap() -> Iterator[RdapServer]:
    with rdap_server(RDAP) as server:
        yield server


@pytest.fixture(scope="module")
def config(dns: tuple[str, Counter[tuple[str, str]]], rdap: RdapServer) -> Config:
    return Config(
        domains=DomainSettings(
            nameserver=dns[0],
            dns_timeout_s=0.2,
            dns_tries=1,
            rdap=rdap.url,
            registry_rate=0,
            registry_backoff_s=0,
        )
    )


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    urls = [form.format(number) for form, n in ROWS.items() for number in range(n)]
    return write_list(tmp_path_factory.mktemp("list") / "list.csv", urls)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, manifest: Path, config: Config) -> DomainReport:
    out = tmp_path_factory.mktemp("out") / "d.parquet"
    return survey_domains(str(manifest), out, list_date=datetime(2025, 1, 3, tzinfo=UTC), config=config)


def lines(path: Path) -> dict[str | None, dict[str, Any]]:
    return {row["domain"]: row for row in pq.read_table(path).to_pylist()}


def without_moments(path: Path) -> list[dict[str, Any]]:
    table = pq.read_table(path).drop_columns(["dns_asked_at", "registry_asked_at"])
    return list(table.to_pylist())


def test_a_line_a_domain_in_the_documented_columns(report: DomainReport) -> None:
    table = pq.read_table(report.files["table"])
    assert table.schema.equals(schema.DOMAINS)
    found = lines(report.files["table"])
    assert {domain: line["status"] for domain, line in found.items() if domain} == STATUS
    assert sum(line["rows"] for line in found.values()) == sum(ROWS.values()) == report.summary.rows
    assert sum(line["share"] for line in found.values()) == pytest.approx(1)
    assert found[None]["rows"] == 2
    assert table["rows"].to_pylist() == sorted(table["rows"].to_pylist(), reverse=True)


def test_what_is_known_of_a_domain(report: DomainReport) -> None:
    good = lines(report.files["table"])["good.com"]
    assert good["hosts"] == 2
    assert good["unresolved"] == 3  # img.good.com has no address
    assert good["registered_at"] == datetime(2003, 4, 5, 6, 7, 8, tzinfo=UTC)
    assert good["registrar"] == "Good Names, Inc."
    assert good["nameservers"] == ["ns1.host.test", "ns2.host.test"]
    assert good["reregistered"] is False
    assert good["buyable"] is False
    assert good["price_usd"] == 11
    assert good["swap_suspected"] is None  # nobody looked at its pictures
    assert good["identical"] is None


def test_a_registration_after_the_date_of_the_list_is_new_hands(report: DomainReport) -> None:
    parked = lines(report.files["table"])["parked.com"]
    assert parked["reregistered"] is True
    assert parked["hands"] == "new"
    assert parked["reasons"] == ["registered 2025-05-06, after 2025-01-03"]
    assert parked["parked_by"] == "Bodis"
    assert report.summary.details["new_hands"] == ["parked.com"]
    assert report.summary.exit_code == 1


def test_exposure_and_cost(report: DomainReport) -> None:
    rows = sum(ROWS.values())
    exposure = report.summary.details["exposure"]
    assert exposure["unregistered"] == exposure["buyable"] == 8 / rows
    assert exposure["expired"] == 2 / rows
    assert exposure["parked"] == 1 / rows
    assert exposure["unresolvable"] == 2 / rows
    assert report.summary.details["share_for_usd"] == {"100": 8 / rows, "1000": 8 / rows, "10000": 8 / rows}
    assert report.summary.details["usd_for_share"] == {"0.01%": 11.0, "0.10%": 11.0}
    curve = pq.read_table(report.files["curve"])
    assert curve.schema.equals(schema.COST_CURVE)
    assert curve["domain"].to_pylist() == ["free.com", "free.net"]
    assert curve["total_usd"].to_pylist() == [11, 24]
    assert report.files["plot"].read_text(encoding="utf-8").startswith("<svg ")


def test_names_that_no_registry_sells_are_not_asked_about(report: DomainReport, rdap: RdapServer) -> None:
    found = lines(report.files["table"])
    assert found["someone.github.io"]["registration"] == found["8.8.8.8"]["registration"] == "not_sold"
    assert found["someone.github.io"]["price_usd"] is None
    assert not {"someone.github.io", "8.8.8.8"} & set(rdap.asked)


def test_no_answer_is_unknown_and_says_why(report: DomainReport) -> None:
    silent = lines(report.files["table"])["silent.com"]
    assert (silent["dns"], silent["registration"]) == ("timeout", "rate_limited")
    assert "HTTP 429" in silent["failure"]
    assert silent["registered_at"] is None


def test_what_was_answered_lately_is_not_asked_again(
    report: DomainReport, manifest: Path, config: Config, rdap: RdapServer
) -> None:
    before, was = len(rdap.asked), without_moments(report.files["table"])
    since = datetime(2025, 1, 3, tzinfo=UTC)
    survey_domains(str(manifest), report.files["table"], list_date=since, config=config)
    assert len(rdap.asked) == before
    assert without_moments(report.files["table"]) == was


def test_offline_asks_nobody_and_uses_what_is_there(
    report: DomainReport,
    manifest: Path,
    tmp_path: Path,
    rdap: RdapServer,
    dns: tuple[str, Counter[tuple[str, str]]],
) -> None:
    before = (len(rdap.asked), dns[1].total())
    offline = Config(domains=DomainSettings(offline=True, cache_days=0))
    out = tmp_path / "d.parquet"
    fresh = survey_domains(str(manifest), out, config=offline)
    assert fresh.summary.counts == {"unknown": sum(ROWS.values()) - 2, "no_domain": 2}
    assert fresh.summary.details["unresolved_rows"] is None
    shutil.copytree(report.files["lookups"], out.with_suffix(".lookups"), dirs_exist_ok=True)
    again = survey_domains(str(manifest), out, config=offline)
    assert again.summary.counts == report.summary.counts
    assert (len(rdap.asked), dns[1].total()) == before


def test_an_interrupted_run_goes_on(
    manifest: Path, tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch, rdap: RdapServer
) -> None:
    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("poisonscan.stages.domains.run.write_table", broken)
        with pytest.raises(KeyboardInterrupt):
            survey_domains(str(manifest), tmp_path / "d.parquet", config=config)
    before = len(rdap.asked)
    found = survey_domains(str(manifest), tmp_path / "d.parquet", config=config)
    assert len(rdap.asked) == before
    assert found.measures.domains == len(STATUS)
    assert not list((tmp_path / "d.lookups").glob(".work"))


def test_few_lookups_go_to_the_dead_and_the_large(manifest: Path, tmp_path: Path, config: Config) -> None:
    few = replace(config, domains=replace(config.domains, registry_lookups=3))
    survey_domains(str(manifest), tmp_path / "d.parquet", config=few)
    found = lines(tmp_path / "d.parquet")
    asked = {domain for domain, line in found.items() if line["registry_asked_at"]}
    assert asked == {"free.com", "free.net", "someone.github.io"}


def test_the_same_list_and_answers_give_the_same_files(
    report: DomainReport, manifest: Path, tmp_path: Path, config: Config
) -> None:
    again = survey_domains(
        str(manifest), tmp_path / "d.parquet", list_date=datetime(2025, 1, 3, tzinfo=UTC), config=config
    )
    assert without_moments(tmp_path / "d.parquet") == without_moments(report.files["table"])
    assert again.files["curve"].read_bytes() == report.files["curve"].read_bytes()
    assert again.files["plot"].read_bytes() == report.files["plot"].read_bytes()


def test_compared_with_the_evidence_of_before(report: DomainReport, manifest: Path, tmp_path: Path) -> None:
    later: dict[str, list[tuple[int, dict[str, str], Any]]] = {
        "good.com": [(200, {}, rdap_domain("good.com", "2026-03-01T00:00:00Z", registrar="Bad Names"))],
        "parked.com": RDAP["parked.com"],
    }
    zones = ZONES | {"good.com": zone("8.8.8.8", "new.test"), "www.good.com": "@ IN A 8.8.8.8\n"}
    with name_server(zones) as (address, _), rdap_server(later) as server:
        config = Config(
            domains=DomainSettings(nameserver=address, dns_timeout_s=0.2, rdap=server.url, registry_rate=0)
        )
        survey_domains(str(manifest), tmp_path / "d.parquet", before=report.files["table"], config=config)
    good = lines(tmp_path / "d.parquet")["good.com"]
    assert good["hands"] == "new"
    assert good["formerly_registered_at"] == datetime(2003, 4, 5, 6, 7, 8, tzinfo=UTC)
    assert good["changes"] == [
        "registered 2026-03-01, formerly 2003-04-05",
        "registrar changed from Good Names, Inc. to Bad Names",
        "name servers changed from host.test to new.test",
    ]


def test_a_snapshot_and_a_run(loop: Loop, tmp_path: Path) -> None:
    """The evidence of a snapshot's domains sharpens the check, and a run can be judged anew with it."""
    domains = sorted({domain for url in loop.urls if (domain := domain_of(url))})
    swapped, stable = "swap.test", "stable.test"
    soon = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
    script: dict[str, list[tuple[int, dict[str, str], Any]]] = {
        name: [(200, {}, rdap_domain(name, soon if name in {swapped, stable} else "2001-01-01T00:00:00Z"))]
        for name in domains
    }
    with name_server({name: zone() for name in domains}) as (address, _), rdap_server(script) as server:
        lookups = DomainSettings(nameserver=address, rdap=server.url, registry_rate=0, dns_timeout_s=0.3)
        config = replace(config_for(loop.web), domains=lookups)
        of_snapshot = survey_domains(str(loop.snapshot), tmp_path / "s.parquet", config=config)
        of_run = survey_domains(str(loop.run), tmp_path / "r.parquet", config=config)
    checked = check(loop.snapshot, tmp_path / "run", domains=tmp_path / "s.parquet", config=config)
    assert of_snapshot.summary.details["new_hands"] == [stable, swapped]
    assert lines(tmp_path / "s.parquet")[swapped]["swap_suspected"] is None
    assert of_run.summary.details["suspected_domains"] == checked.details["suspected_domains"] == [swapped]
    assert checked.details["warned_domains"] == [stable]
    for found in (lines(tmp_path / "r.parquet"), lines(tmp_path / "run" / "domains.parquet")):
        assert found[swapped]["reasons"][0].startswith("4 of 4 pictures replaced")
        assert found[swapped]["reasons"][1].startswith("registered ")
        assert "may be waiting" in found[stable]["warnings"][0]
        assert found[stable]["identical"] == found[stable]["rows"] == 7
    assert lines(tmp_path / "r.parquet")[None]["swap_suspected"] is False


def test_a_check_with_other_evidence_is_another_run(loop: Loop, report: DomainReport, tmp_path: Path) -> None:
    shutil.copytree(loop.run, tmp_path / "run")
    with pytest.raises(UsageError, match="another domains"):
        check(loop.snapshot, tmp_path / "run", domains=report.files["table"], config=config_for(loop.web, 11))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"out": "d.csv"}, "ends in .parquet"),
        ({"before": "absent.parquet"}, "--before .* cannot be read"),
        ({"source": "absent.csv"}, "does not exist"),
    ],
)
def test_mistakes(manifest: Path, tmp_path: Path, changes: dict[str, str], words: str) -> None:
    given = {"source": str(manifest), "out": "d.parquet"} | changes
    before = tmp_path / given["before"] if "before" in given else None
    with pytest.raises(UsageError, match=words):
        survey_domains(given["source"], tmp_path / given["out"], before=before)
    assert list(tmp_path.iterdir()) == []


def test_only_lists_have_columns_and_a_date(loop: Loop, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--list-date"):
        survey_domains(str(loop.snapshot), tmp_path / "d.parquet", list_date=datetime.now(UTC))


def test_evidence_that_is_none(tmp_path: Path, manifest: Path) -> None:
    pq.write_table(pa.table({"domain": ["x.test"]}), tmp_path / "other.parquet")
    with pytest.raises(UsageError, match="was not written by"):
        survey_domains(str(manifest), tmp_path / "d.parquet", before=tmp_path / "other.parquet")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2021-08-20", datetime(2021, 8, 20, 23, 59, 59, tzinfo=UTC)),
        ("2021-08-20T10:00:00", datetime(2021, 8, 20, 10, tzinfo=UTC)),
    ],
)
def test_dates_of_lists(text: str, moment: datetime) -> None:
    assert parse_date(text) == moment


def test_no_date() -> None:
    with pytest.raises(UsageError, match="--list-date soon"):
        parse_date("soon")


URLS = st.lists(
    st.one_of(
        st.none(),
        st.text(max_size=20),
        st.builds(
            "{}://{}{}".format,
            st.sampled_from(["http", "HTTPS"]),
            st.sampled_from(["a.com", "B.a.com:80", "x.github.io"]),
            st.text(max_size=5),
        ),
    ),
    max_size=30,
)


@given(URLS)
@settings(deadline=None, max_examples=25)
def test_counting_agrees_with_reading_each_url(
    tmp_path_factory: pytest.TempPathFactory, urls: list[str | None]
) -> None:
    work = tmp_path_factory.mktemp("work")
    count_hosts([pa.array(urls[:10], pa.string()), pa.array(urls[10:], pa.string())], work)
    with tables(work, "hosts") as connection:
        found = rows_of(connection, "SELECT domain, host, sum(rows)::INT AS n FROM hosts GROUP BY ALL")
    expected: dict[tuple[str | None, str | None], int] = {}
    for url in urls:
        place = (domain_of(url), host_of(url)) if url is not None else (None, None)
        expected[place] = expected.get(place, 0) + 1
    assert {(row["domain"], row["host"]): row["n"] for row in found} == expected


def test_the_issuer_of_certificates(tmp_path: Path, config: Config) -> None:
    authority = trustme.CA(organization_name="Honest Authority")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("good.com").configure_cert(context)
    with tls_server(context) as address:
        lookups = replace(
            config.domains,
            registration=False,
            tls=True,
            tls_connect_to=address,
            tls_authorities=str(tmp_path / "ca.pem"),
        )
        urls = ["http://good.com/1.jpg", "http://late.org/1.jpg", "http://free.com/1.jpg"]
        source = str(write_list(tmp_path / "list.csv", urls))
        survey_domains(source, tmp_path / "d.parquet", config=replace(config, domains=lookups))
    issuers = {domain: line["tls_issuer"] for domain, line in lines(tmp_path / "d.parquet").items()}
    assert issuers == {"good.com": "Honest Authority", "late.org": "untrusted", "free.com": None}
