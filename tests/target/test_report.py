"""`journeys report`: one file, true numbers, every value escaped."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from journeys.lanes import Lane, Span
from target_journeys.cli import main
from target_journeys.report.swimlanes import WIDTH, axis_of, drawn
from tests.target.messages import SCHEMA, five_products, product, products_schema, record, sync

ANA = "email:ana@acme.test"
AS_OF = "2026-01-01T20:00:00Z"
HOSTILE = "<script>alert(1)</script>\"'=cmd()\u202e" + "x" * 10_000


@pytest.fixture
def page(kept, tmp_path):
    """Writes the page of a store that was given some messages; (exit code, text, said)."""

    def written(*words: str, messages=None) -> tuple[int, str, str]:
        sync(kept, SCHEMA, *(messages or five_products()), as_of=AS_OF)
        config, out = tmp_path / "config.json", tmp_path / "report.html"
        config.write_text(json.dumps({"store": f"sqlite:///{kept}", "as_of": AS_OF}))
        asked = CliRunner().invoke(
            main, ["report", *words, "--out", str(out), "--config", str(config)]
        )
        text = out.read_text(encoding="utf-8") if out.exists() else ""
        return asked.exit_code, text, asked.output

    return written


class Text(HTMLParser):
    """The tags of a page, and the text between them, without style and scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] not in ("style", "script"):
            self.words.append(data)


def test_the_file_needs_no_network_and_has_one_of_each_landmark(page):
    code, text, _ = page()
    assert code == 0
    tags = Text(text).tags
    assert [tag for tag, _ in tags if tag in ("main", "header", "footer", "nav", "h1")] == [
        "header",
        "h1",
        "nav",
        "main",
        "footer",
    ]
    links = [attrs[name] for _, attrs in tags for name in ("href", "src") if name in attrs]
    assert links
    assert all(link.startswith("#") for link in links)
    assert "url(" not in text
    assert "@import" not in text


def test_every_link_and_label_inside_the_file_leads_somewhere(page):
    tags = Text(page()[1]).tags
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    wanted = {attrs["href"][1:] for _, attrs in tags if attrs.get("href")}
    for name in ("aria-labelledby", "aria-describedby", "data-for", "data-rows"):
        wanted |= {attrs[name] for _, attrs in tags if name in attrs}
    assert wanted <= set(ids)


def test_the_portfolio_counts_headlines_and_endings(page, kept):
    _, text, _ = page()
    (found,) = re.findall(r'id="portfolio-rows">(.*?)</script>', text, re.DOTALL)
    rows = json.loads(found)
    assert sum(row["j"] for row in rows if row["p"] is None) == len(kept.stages())
    assert {row["p"]: row["h"] for row in rows if row["p"]} == {
        "A": [1, 0, 0, 0, 0],
        "B": [0, 1, 0, 0, 0],
        "C": [0, 0, 1, 0, 0],
        "D": [0, 0, 0, 1, 0],
        "E": [0, 0, 0, 0, 1],
    }


def test_a_customer_has_a_lane_for_each_product_with_its_headline(page):
    _, text, _ = page("--subject", ANA)
    words = " ".join(" ".join(Text(text).words).split())
    for name, headline in zip(
        "ABCDE", ("Considering", "Buying", "Using", "Returning", "Seeking support"), strict=True
    ):
        assert f" {name} {headline} " in words
    assert "Portfolio" not in words


def test_hostile_text_in_every_field_changes_nothing_but_itself(page):
    hostile = [
        products_schema(),
        product(product_id=HOSTILE, name=HOSTILE, category=f"a{HOSTILE}"),
        record(
            1,
            "product_viewed",
            subject=f"email:{HOSTILE}",
            source_key=HOSTILE,
            channel=HOSTILE,
            scopes=[{"grain": "product", "id": HOSTILE}],
        ),
        record(
            2,
            "product_viewed",
            subject=f"email:{HOSTILE}",
            scopes=[{"grain": "product", "id": f"unknown {HOSTILE}"}],
        ),
    ]
    code, text, _ = page(messages=hostile)
    plain = Text(text)
    assert code == 0
    assert [tag for tag, _ in plain.tags].count("script") == 2  # ours: the rows, and the search
    assert "<script>alert(1)" not in text
    assert any("<script>alert(1)</script>" in each for each in plain.words)
    handlers = [name for _, attrs in plain.tags for name in attrs if name.startswith("on")]
    assert handlers == []


def test_an_unknown_customer_and_a_folder_that_is_not_there_are_named(page, tmp_path):
    code, _, said = page("--subject", "email:nobody@acme.test")
    assert code == 1
    assert "no journeys of email:nobody@acme.test" in said
    missing = tmp_path / "not there" / "x.html"
    config = str(tmp_path / "config.json")
    asked = CliRunner().invoke(main, ["report", "--out", str(missing), "--config", config])
    assert asked.exit_code == 1
    assert f"--out: {missing} cannot be written (No such file or directory)" in asked.output


def test_an_empty_store_says_that_there_are_no_journeys(page):
    code, text, _ = page(messages=[record(1, "product_viewed", scopes=[])])
    assert code == 0
    assert "There are no journeys yet" in text


def test_lanes_are_drawn_to_scale():
    start, now = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 11, tzinfo=UTC)
    journey = {
        "first_event_at": "2026-01-01T00:00:00Z",
        "last_event_at": "2026-01-06T00:00:00Z",
        "ended_at": None,
        "outcome": None,
        "steps": [
            {"stage": "considering", "entered_at": "2026-01-01T00:00:00Z"},
            {"stage": "using", "entered_at": "2026-01-06T00:00:00Z"},
        ],
    }
    axis = axis_of([journey], now)
    support = Span("support", "open", start + timedelta(days=2), start + timedelta(days=3))
    found = drawn(axis, [journey], Lane([], [support]), now)
    assert [(each.word, each.x, each.width) for each in found.stages] == [
        ("considering", 0.0, WIDTH / 2),
        ("using", WIDTH / 2, WIDTH / 2),
    ]
    assert [(each.x, each.width) for each in found.beside] == [(200.0, 100.0)]
    assert [x for x, _ in axis.ticks()] == [100.0 * n for n in range(1, 10)]


def test_the_page_is_written_where_it_is_asked_for(page, tmp_path):
    _, _, said = page()
    assert said.startswith(f"{tmp_path / 'report.html'} (")
    assert Path(tmp_path / "report.html").stat().st_size < 5_000_000
