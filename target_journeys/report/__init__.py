"""What people see of a store: one HTML file with the portfolio, the buying teams and customers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any

from journeys.event import isoformat
from journeys.lanes import Lane, lanes
from journeys.model import StageModel
from target_journeys.explain import explain, label, name_of, standing, teams_of
from target_journeys.histories import Histories
from target_journeys.identities import PEOPLE
from target_journeys.items import items_of
from target_journeys.policy import Policy
from target_journeys.products import Products
from target_journeys.report.page import render
from target_journeys.report.portfolio import HEADLINES, as_mapping, portfolio
from target_journeys.report.swimlanes import axis_of, drawn
from target_journeys.stores.sqlite import SQLiteStore

TITLE = "Customer journeys"
TITLE = "Customer journeys"
TEAMS_SHOWN = 100
CATEGORIES_SHOWN = 300  # rows of the portfolio that need no search
CUSTOMERS_SHOWN = 3  # those with the most at once, as examples


@dataclass(frozen=True)
class Shown:
    """What a page is made from."""

    store: SQLiteStore
    model: StageModel
    policy: Policy
    as_of: datetime

    def lanes_of(self, subject: str) -> dict[tuple[str, str], Lane]:
        """What happened in each journey of a subject, by its canonical id."""
        histories = Histories(self.store, self.policy)
        histories.read_all = True
        view = self.store.customers_of([subject]).get(subject)
        kind = str(view[1]) if view else PEOPLE
        found = histories.events_of(histories.identities.ids_of([subject], kind), kind, ())
        events = found.get(subject, [])
        catalogue = Products(self.store).catalogue
        catalogue.items = histories.items.products_of({i for e in events for i in items_of(e)})
        return lanes(self.model, catalogue, events, self.as_of)


def report(shown: Shown, subjects: Sequence[str] = ()) -> str:
    """The page. With ``subjects`` (any ids of people or accounts) it shows them and nothing else.

    Raises ``LookupError`` with the id of whom the store does not know.
    """
    store, as_of = shown.store, shown.as_of
    counts = store.report.people()
    if subjects:
        views = [
            customer_view(shown, subject, f"customer-{number}")
            for number, subject in enumerate(subjects, 1)
        ]
    else:
        views = [portfolio_view(store), *example_views(shown), teams_view(store, shown.model)]
    return render(
        {
            "title": TITLE,
            "as_of": isoformat(as_of),
            "journeys": store.sizes()[1],
            "people": counts.get("people", 0),
            "accounts": counts.get("accounts", 0),
            "views": views,
            "version": version("product-journeys"),
        }
    )


def view(name: str, view_id: str, template: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """One part of the page."""
    return {"name": name, "id": view_id, "template": f"{template}.html", "values": values}


def portfolio_view(store: SQLiteStore) -> dict[str, Any]:
    """Every category as a row; products come with the search."""
    rows = portfolio(store.report.standings())
    names = store.product_names([row.product for row in rows if row.product])
    searchable = [as_mapping(row, names) for row in rows]
    shown = sorted((row for row in searchable if row["p"] is None), key=lambda row: -row["j"])
    return view(
        "Portfolio",
        "portfolio",
        "portfolio",
        {
            "rows": sorted(shown[:CATEGORIES_SHOWN], key=lambda row: row["c"]),
            "searchable": searchable,
            "products": len(searchable) - len(shown),
            "headlines": HEADLINES,
        },
    )


def example_views(shown: Shown) -> Iterator[dict[str, Any]]:
    """The customers who show best why one stage per person is wrong."""
    most = shown.store.report.most_at_once(CUSTOMERS_SHOWN)
    for number, (subject, _) in enumerate(most, 1):
        yield customer_view(shown, subject, f"customer-{number}")


def customer_view(shown: Shown, subject: str, view_id: str) -> dict[str, Any]:
    """All journeys of one person or account on one time axis."""
    found = explain(shown.store, subject)
    if not found["journeys"]:
        raise LookupError(subject)
    who, as_of = found["subject"], shown.as_of
    axis = axis_of(found["journeys"], as_of)
    laid_out = shown.lanes_of(who)
    by_lane: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for journey in found["journeys"]:
        by_lane.setdefault((journey["scope_grain"], journey["scope_id"]), []).append(journey)
    stages = [stage.name for stage in shown.model.stages]
    values = {
        "subject": who,
        "ids": found["ids"],
        "touchpoints": found["touchpoints"],
        "open": sum(journey["outcome"] is None for journey in found["journeys"]),
        "stages": stages,
        "classes": {name: f"s{index}" for index, name in enumerate(stages)},
        "ticks": axis.ticks(),
        "lanes": [
            {
                "name": name_of(episodes[-1]),
                "label": label(episodes[-1]).replace("_", " "),
                "standing": standing(episodes[-1]).replace("_", " "),
                "steps": [step for episode in episodes for step in episode["steps"]],
                "drawn": drawn(axis, episodes, laid_out[key], as_of),
            }
            for key, episodes in sorted(by_lane.items())
        ],
    }
    return view(f"Customer {who}", view_id, "customer", values)


def teams_view(store: SQLiteStore, model: StageModel) -> dict[str, Any]:
    """Buying teams: members by stages, the roles that are there and that are not."""
    keys = store.report.teams(TEAMS_SHOWN)
    teams = [
        team
        for account in dict.fromkeys(account for account, _, _ in keys)
        for team in teams_of(store, account, None)
        if (account, team["scope_grain"], team["scope_id"]) in set(keys)
    ]
    names = store.product_names([team["product"] for team in teams if team["product"]])
    for team in teams:
        team["product_name"] = names.get(team["product"])
        team["name"], team["who"] = name_of(team), team["subject"]
    values = {
        "teams": teams,
        "shown": len(teams),
        "total": store.report.team_count(),
        "stages": [stage.name for stage in model.stages],
    }
    return view("Buying teams", "teams", "teams", values)
