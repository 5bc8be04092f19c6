"""What may help a journey on: substitutes, accessories and content, each with its reason."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from journeys.event import Product

COMPARING = frozenset({"considering", "evaluating"})
CHOSEN = frozenset({"buying", "receiving"})
CANNOT_BUY = frozenset({"payment_failed", "coupon_denied"})  # roadblocks that another may avoid
CATALOGUE = "catalogue"
MOST = 5  # of each kind


class Suggestion(NamedTuple):
    """One product or piece of content."""

    kind: str  # "substitute", "accessory" or "content"
    what: str  # a product id, or what the catalogue says of the content
    reason: str  # "catalogue", or how many people did what


class Together(NamedTuple):
    """How many people had journeys with another product of the category, too."""

    product: str
    compared: int  # without buying both
    bought: int  # both


def suggest(
    product: Product,
    stage: str,
    roadblocks: Sequence[Mapping[str, Any]],
    owned: Collection[str],
    together: Sequence[Together],
) -> list[Suggestion]:
    """For one open journey. What the catalogue says comes first, what people did comes second.

    Nothing is suggested that the customer has (``owned``). Content is read from the product's
    attribute ``content``: stage → texts or links.
    """
    found: list[Suggestion] = []
    blocked = any(each["until"] is None and each["type"] in CANNOT_BUY for each in roadblocks)
    if stage in COMPARING or blocked:
        counts = [(each.product, each.compared) for each in together]
        found += _of("substitute", product, owned, counts, "compared both")
    if stage in CHOSEN:
        counts = [(each.product, each.bought) for each in together]
        found += _of("accessory", product, owned, counts, "bought both")
    content = product.attributes.get("content")
    if isinstance(content, Mapping):
        texts = content.get(stage, ())
        for text in [texts] if isinstance(texts, str) else texts:
            found.append(Suggestion("content", str(text), CATALOGUE))
    return found


def _of(
    kind: str,
    product: Product,
    owned: Collection[str],
    counts: Sequence[tuple[str, int]],
    did: str,
) -> Iterator[Suggestion]:
    relation = {"substitute": "substitutes", "accessory": "accessories"}[kind]
    said = [name for name in product.relations.get(relation, ()) if name not in owned]
    said = [name for name in dict.fromkeys(said) if name != product.product_id]
    yield from (Suggestion(kind, name, CATALOGUE) for name in said[:MOST])
    known = {*said, *owned, product.product_id}
    others = sorted(
        ((name, n) for name, n in counts if n and name not in known),
        key=lambda each: (-each[1], each[0]),
    )
    for name, n in others[: max(0, MOST - len(said))]:
        yield Suggestion(kind, name, f"{n:,} {'person' if n == 1 else 'people'} {did}")
