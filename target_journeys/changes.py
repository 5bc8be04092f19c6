"""What folding some subjects changes, gathered first and then written at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from target_journeys.stores.sqlite import SQLiteStore

Row = tuple[object, ...]


@dataclass(slots=True)
class Changes:
    """Rows to write; of ``old``, the records as they were, those remain that are no more."""

    at: str  # the moment of the run
    old: dict[Row, Row]  # key → stage record
    stages: list[Row] = field(default_factory=list)
    again: list[Row] = field(default_factory=list)  # stages that destinations may have to be told
    visits: list[Row] = field(default_factory=list)
    retracted: list[Row] = field(default_factory=list)
    customers: list[Row] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)  # customers without any event
    silent: list[str] = field(default_factory=list)  # who did not consent to having journeys
    names: list[tuple[str, str]] = field(default_factory=list)
    doubts: list[tuple[str, str, str, int]] = field(default_factory=list)

    def write(self, store: SQLiteStore) -> None:
        """Bring the store up to date, but for the doubts, which replace others."""
        self.retracted += [(self.at, *key, 0) for key in self.old]
        store.keep_stages(self.stages)
        store.drop_stages(self.old)
        store.retract_visits(self.retracted)
        store.drop_visits(self.silent)
        store.keep_visits(self.visits)
        store.keep_customers(self.customers)
        store.drop_customers(self.gone)
        store.keep_names(self.names)
