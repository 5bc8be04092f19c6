"""What the analysis of the experience costs: all journeys counted once, then what changed.

Journeys are made as rows of the store, not folded from events, so that nothing but the analysis is
measured: 20 categories with 50 products each, two years, five channels, four personas. Then some of
them change, as new events would change them. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from target_journeys.experience import Experience
from target_journeys.rows import json_text
from target_journeys.stage_model import load
from target_journeys.stores.sqlite import SQLiteStore
from target_journeys.stores.sqlite_schema import STAGE_COLUMNS

START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 2 * 365
CATEGORIES = [f"category {n:02}" for n in range(20)]
PRODUCTS = 50  # of each category
CHANNELS = ("web", "web", "web", "email", "phone", "chat", "store")
PERSONAS = ("", "regular", "family", "business")
STAGES = ("aware", "considering", "buying", "receiving", "using", "renewing")
DOES = {
    "aware": ("content_viewed", "product_searched", "category_viewed"),
    "considering": ("product_viewed", "product_compared", "wishlist_added"),
    "buying": ("cart_added", "checkout_started", "payment_entered"),
    "receiving": ("order_placed", "order_shipped"),
    "using": ("feature_used", "ticket_opened", "ticket_resolved"),
    "renewing": ("renewal_quoted",),
}
ONWARD = 0.7  # of the journeys that enter a stage
ROWS = 10_000  # that are inserted together


def text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def journey(number: int, dice: random.Random) -> dict[str, Any]:
    """One journey as a row of the store."""
    category = dice.randrange(len(CATEGORIES))
    at = START + timedelta(seconds=dice.randrange(DAYS * 86_400))
    first = at
    path, touches, events = [], {}, 0
    channel = dice.choice(CHANNELS)
    for stage in STAGES[dice.randrange(2) :]:
        path.append([stage, text(at), f"{number:020}{len(path):02}", 1])
        kinds = {kind: 1 + (dice.random() < 0.2) for kind in DOES[stage] if dice.random() < 0.6}
        touches[stage] = {channel: kinds} if kinds else {}
        events += sum(kinds.values())
        if dice.random() < 0.1:
            channel = dice.choice(CHANNELS)
        at += timedelta(seconds=int(dice.expovariate(1 / (4 * 86_400))) + 1)
        if dice.random() > ONWARD:
            break
    stage = path[-1][0]
    is_open = dice.random() < 0.3
    before = stage in ("aware", "considering", "buying")
    outcome = None if is_open or not before else "no_decision"
    product = f"{category:02}-{dice.randrange(PRODUCTS):03}"
    occasion = {"stage": stage, "channel": channel, "event_id": f"{number:022}"}
    kept = "kept" if dice.random() < 0.9 else "missed"
    promise = occasion | {"promise": "first_reply", "state": kept, "measured": 3600.0}
    promise |= {"started_at": text(at), "due_at": text(at), "ended_at": text(at)}
    answer = occasion | {"kind": "csat", "score": dice.randrange(1, 6), "scale": 5, "at": text(at)}
    block = occasion | {"type": "payment_failed", "owner": "us", "since": text(at), "until": None}
    return dict.fromkeys(STAGE_COLUMNS) | {
        "subject": f"email:{number:08}@mail.test",
        "scope_grain": "product",
        "scope_id": product,
        "episode": 1,
        "product": product,
        "category": CATEGORIES[category],
        "stage": stage,
        "stage_entered_at": path[-1][1],
        "path": json_text(path),
        "regions": "{}",
        "condition": "on_track" if outcome is None else None,
        "outcome": outcome,
        "ended_at": None if outcome is None else text(at),
        "first_event_at": text(first),
        "last_event_at": text(at),
        "event_count": events,
        "persona": dice.choice(PERSONAS) or None,
        "promises": json_text([promise] if dice.random() < 0.15 else []),
        "feedback": json_text([answer] if dice.random() < 0.1 else []),
        "roadblocks": json_text([block] if dice.random() < 0.05 else []),
        "visibility": json_text({"owned": events, "observed": events, "dark_share": 0.5}),
        "touches": json_text(touches),
        "last_step": json_text(occasion | {"event_type": DOES[stage][0], "at": text(at)}),
        "value": json_text({"amount": f"{dice.randrange(5, 900)}.00", "currency": "EUR"}),
        "detours": None,
        "goal": None,
        "repeats": "[]",
    }


def rows(numbers: Iterator[int], dice: random.Random) -> Iterator[tuple[object, ...]]:
    for number in numbers:
        yield tuple(journey(number, dice).values())


def fill(store: SQLiteStore, journeys: int) -> None:
    source = rows(iter(range(journeys)), random.Random(7))
    while taken := list(islice(source, ROWS)):
        with store.transaction():
            store.keep_stages(taken)


def timed(experience: Experience) -> dict[str, float]:
    begin, cpu = time.perf_counter(), time.process_time()
    touched = experience.update()
    return {
        "wall_s": time.perf_counter() - begin,
        "cpu_s": time.process_time() - cpu,
        "categories": len(touched),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--journeys", type=int, required=True)
    parser.add_argument("--changes", type=int, default=1000, help="journeys that change then")
    parser.add_argument("--folder", type=Path, required=True, help="where the store is made")
    options = parser.parse_args()
    path = options.folder / f"experience-{options.journeys}.db"
    if not path.exists():
        made = SQLiteStore(str(path))
        fill(made, options.journeys)
        made.close()
    store = SQLiteStore(str(path))
    store.experience.start_over()
    experience = Experience(store, load("standard"), datetime(2026, 11, 1, tzinfo=UTC))
    found = {"journeys": options.journeys, "full": timed(experience)}
    dice = random.Random(11)
    changed = dice.sample(range(options.journeys), min(options.changes, options.journeys))
    with store.transaction():
        store.keep_stages(list(rows(iter(changed), dice)))
    found |= {"changes": len(changed), "again": timed(experience)}
    count = store.connection.execute("select count(*) from measures").fetchone()[0]
    gaps = store.connection.execute("select count(*) from experience_gaps").fetchone()[0]
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stderr.write(json.dumps(found | {"counters": count, "gaps": gaps, "peak_mb": peak_mb}))
    sys.stderr.write("\n")


if __name__ == "__main__":
    main()
