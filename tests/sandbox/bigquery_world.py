"""What a BigQuery project holds: datasets, tables, rows; and how GA4 writes its export there.

A layout says what columns a table has: a type, a dict for a RECORD, a list of one for REPEATED.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.sandbox.base import Clock, RLock, locked

Row = dict[str, Any]
Layout = dict[str, Any]
LATE_DAYS = 3  # a daily table is written to for so long

_VALUE = {"string_value": "STRING", "int_value": "INTEGER", "float_value": "FLOAT"}
_VALUE |= {"double_value": "FLOAT"}
_SOURCE = {"manual_source": "STRING", "manual_medium": "STRING", "manual_campaign_name": "STRING"}
EVENT: Layout = {
    "event_date": "STRING",
    "event_timestamp": "INTEGER",
    "event_name": "STRING",
    "event_params": [{"key": "STRING", "value": _VALUE}],
    "event_previous_timestamp": "INTEGER",
    "event_value_in_usd": "FLOAT",
    "event_bundle_sequence_id": "INTEGER",
    "event_server_timestamp_offset": "INTEGER",
    "user_id": "STRING",
    "user_pseudo_id": "STRING",
    "privacy_info": {
        "analytics_storage": "STRING",
        "ads_storage": "STRING",
        "uses_transient_token": "STRING",
    },
    "user_properties": [{"key": "STRING", "value": {**_VALUE, "set_timestamp_micros": "INTEGER"}}],
    "user_first_touch_timestamp": "INTEGER",
    "device": {
        "category": "STRING",
        "operating_system": "STRING",
        "web_info": {"browser": "STRING", "hostname": "STRING"},
    },
    "geo": {"country": "STRING", "city": "STRING"},
    "traffic_source": {"name": "STRING", "medium": "STRING", "source": "STRING"},
    "stream_id": "STRING",
    "platform": "STRING",
    "ecommerce": {
        "total_item_quantity": "INTEGER",
        "purchase_revenue": "FLOAT",
        "refund_value": "FLOAT",
        "shipping_value": "FLOAT",
        "tax_value": "FLOAT",
        "unique_items": "INTEGER",
        "transaction_id": "STRING",
    },
    "items": [
        {
            "item_id": "STRING",
            "item_name": "STRING",
            "item_brand": "STRING",
            "item_variant": "STRING",
            "item_category": "STRING",
            "item_category2": "STRING",
            "price": "FLOAT",
            "quantity": "INTEGER",
            "item_revenue": "FLOAT",
            "item_refund": "FLOAT",
            "coupon": "STRING",
            "item_params": [{"key": "STRING", "value": _VALUE}],
        }
    ],
    "collected_traffic_source": {**_SOURCE, "gclid": "STRING"},
    "is_active_user": "BOOLEAN",
    "batch_event_index": "INTEGER",
    "batch_page_id": "INTEGER",
    "batch_ordering_id": "INTEGER",
    "session_traffic_source_last_click": {"manual_campaign": {"source": "STRING"}},
}


@dataclass(slots=True)
class Table:
    """One table; rows stay in the order in which they were written."""

    layout: Layout
    created_at: datetime
    changed_at: datetime
    rows: list[Row] = field(default_factory=list)


class BigQueryWorld:
    """One project."""

    def __init__(self, clock: Clock, lock: RLock) -> None:
        self.clock = clock
        self.lock = lock
        self.project = "sandbox-project"
        self.datasets: dict[str, dict[str, Table]] = {}
        self.locations: dict[str, str] = {}

    @locked
    def add_dataset(self, name: str, *, location: str = "US") -> dict[str, Table]:
        """An empty dataset, or the one that is there."""
        self.locations.setdefault(name, location)
        return self.datasets.setdefault(name, {})

    @locked
    def add_rows(self, dataset: str, table: str, rows: list[Row], *, layout: Layout) -> Table:
        """Rows at the end of a table, which is made with this layout if it is not there."""
        now = self.clock.now()
        found = self.add_dataset(dataset).setdefault(table, Table(dict(layout), now, now))
        found.rows += [filled(row, found.layout) for row in rows]
        found.changed_at = now
        return found

    @locked
    def drop(self, dataset: str, table: str) -> None:
        """The table is gone."""
        del self.datasets[dataset][table]


class Export:
    """The BigQuery export of one GA4 property."""

    def __init__(self, world: BigQueryWorld, property_id: str, *, location: str = "US") -> None:
        self.world = world
        self.lock = world.lock
        self.property_id = property_id
        self.dataset = f"analytics_{property_id}"
        self.layout = dict(EVENT)
        world.add_dataset(self.dataset, location=location)

    def add_column(self, name: str, layout: Any) -> None:
        """A column that tables have which are made from now on."""
        self.layout = {**self.layout, name: layout}

    @locked
    def stream(self, *events: Row) -> None:
        """Events of today, into the tables that the streaming export fills."""
        self._write("events_intraday_", events)

    @locked
    def fresh(self, *events: Row) -> None:
        """Events into the fresh daily tables of a 360 property."""
        self._write("events_fresh_", events)

    @locked
    def close_day(self, day: str, *, overflows: bool = False) -> None:
        """The day (YYYYMMDD) is over: its daily table is there and the intraday one is gone.

        A day that overflows the daily limit keeps its intraday table and gets no daily one.
        """
        if not overflows:
            intraday = self.world.datasets[self.dataset].pop(f"events_intraday_{day}", None)
            self._write("events_", intraday.rows if intraday else [], day)

    @locked
    def late(self, *events: Row) -> None:
        """Events that arrive after their day was closed, within three days."""
        for event in events:
            day, tables = str(event["event_date"]), self.world.datasets[self.dataset]
            closed = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC) + timedelta(days=1)
            assert f"events_{day}" in tables, f"{day} is not closed: close_day first"
            late = self.world.clock.now() - closed
            assert late <= timedelta(days=LATE_DAYS), f"nothing is written to {day} any more"
            self._write("events_", [event])

    @locked
    def events(self) -> list[Row]:
        """All events; those of an intraday table where the day has no other."""
        tables = self.world.datasets[self.dataset]
        days = {name.rpartition("_")[2]: table for name, table in tables.items() if _is(name, True)}
        days |= {name.rpartition("_")[2]: t for name, t in tables.items() if _is(name, False)}
        return [row for day in sorted(days) for row in days[day].rows]

    def _write(self, prefix: str, events: Any, day: str = "") -> None:
        by_day: dict[str, list[Row]] = {day: []} if day else {}
        for event in events:
            by_day.setdefault(str(event["event_date"]), []).append(event)
        for at, rows in by_day.items():
            self.world.add_rows(self.dataset, f"{prefix}{at}", rows, layout=self.layout)


def _is(name: str, intraday: bool) -> bool:
    return name.startswith("events_intraday_") if intraday else name[7:].isdigit()


def event(at: datetime, name: str, **values: Any) -> Row:
    """An event of GA4; `params` and `user` are given as plain names and values."""
    row: Row = {"event_date": at.strftime("%Y%m%d"), "event_name": name, "platform": "WEB"}
    row["event_timestamp"] = int(at.timestamp() * 1_000_000)
    for key, column in (("params", "event_params"), ("user", "user_properties")):
        given = values.pop(key, {})
        row[column] = [{"key": k, "value": _value(v)} for k, v in given.items()]
    return row | values


def _value(value: Any) -> Row:
    kinds = {int: "int_value", float: "double_value", str: "string_value"}
    return {kinds[type(value)]: value}


def filled(row: Row, layout: Layout) -> Row:
    """The row with every column that the layout has, and no other."""
    full: Row = {}
    for name, kind in layout.items():
        value = row.get(name)
        if isinstance(kind, list):
            full[name] = [_filled(one, kind[0]) for one in value or ()]
        else:
            full[name] = _filled(value, kind)
    unknown = row.keys() - layout.keys()
    assert not unknown, f"no column {sorted(unknown)}: add_column first"
    return full


def _filled(value: Any, kind: Any) -> Any:
    return filled(value or {}, kind) if isinstance(kind, dict) else value
