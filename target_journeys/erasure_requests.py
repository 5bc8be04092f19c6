"""People who ask to be erased: found among the events, counted, erased if the settings say so."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence

from target_journeys.events import stored
from target_journeys.forget import UNFINISHED, Erased, erase, prove
from target_journeys.identities import PEOPLE
from target_journeys.ledger import Ledger
from target_journeys.stores.sqlite import SQLiteStore
from target_journeys.touched import ERASURE

logger = logging.getLogger("target-journeys.erasure")


def who_asked(store: SQLiteStore) -> list[str]:
    """The canonical ids of those who asked; a request that is superseded does not count."""
    requests = [stored(body) for body in store.all_facts(ERASURE)]
    superseded = store.superseded_among(request.event_id for request in requests)
    names = {
        request.subject
        for request in requests
        if request.subject is not None and request.event_id not in superseded
    }
    canonical = store.identities.canonical(PEOPLE, names)
    return sorted({canonical.get(name, name) for name in names})


def erase_who_asked(ledger: Ledger) -> list[Erased]:
    """Erase all of them; :func:`finish` does the rest once the destinations were told."""
    return [erase(ledger, name) for name in who_asked(ledger.store)]


def finish(ledger: Ledger, erased: Sequence[Erased]) -> bool:
    """Write the file anew, search it, and log the receipts; whether nothing is left to see to.

    Does it also for earlier runs that could not, once their deletes were sent.
    """
    store = ledger.store
    if not erased and (store.note(UNFINISHED) is None or store.erasure.left()):
        return True
    try:
        prove(ledger, erased)
    except sqlite3.OperationalError as error:
        logger.warning(
            "store: %s is in use (%s), so what was erased may still lie on its free pages. "
            "The next run writes the file anew.",
            store.path,
            error,
        )
        return False
    finally:
        for each in erased:
            logger.info(each.receipt.line())
    return not any(places for each in erased for places in each.receipt.found.values())
