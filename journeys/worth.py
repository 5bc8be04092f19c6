"""What a journey is worth: what was bought, else the opportunity, else the cart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, NamedTuple

from journeys.event import JourneyEvent
from journeys.touches import Touch

if TYPE_CHECKING:
    from journeys.model import EventMeaning

OPPORTUNITY = frozenset(
    {
        "opportunity_opened",
        "opportunity_reopened",
        "opportunity_stage_changed",
        "quote_sent",
        "proposal_sent",
        "contract_sent",
        "renewal_quoted",
    }
)
CART = frozenset({"cart_added", "cart_viewed", "checkout_started", "payment_entered"})


class Money(NamedTuple):
    """An amount of one currency; None where the source names none."""

    amount: Decimal
    currency: str | None


def value(
    watched: Iterable[Touch], meanings: Mapping[str, EventMeaning]
) -> dict[str, str | None] | None:
    """Amount and currency of a journey by its touches, in order.

    Several purchases add up; that one purchase is told as an order and as a won deal does not.
    Amounts in another currency than that of the last purchase are left out.
    """
    bought: dict[str, dict[str, Money]] = {}  # event type → order → what it came to
    renewed: list[Money] = []
    wanted: JourneyEvent | None = None
    in_cart: JourneyEvent | None = None
    last: Money | None = None
    for event, _ in watched:
        if event.value is None:
            continue
        event_type = event.event_type
        if event_type in OPPORTUNITY:
            wanted = event
        elif event_type in CART:
            in_cart = event
        else:
            meaning = meanings[event_type]
            money = money_of(event) if meaning.is_purchase or meaning.is_renewal else None
            if money is None:
                continue
            last = money
            if meaning.is_renewal:
                renewed.append(money)
            else:
                order = str(event.properties.get("order") or event.source_key or event.event_id)
                bought.setdefault(event_type, {})[order] = money
    if last is None:
        stated = wanted or in_cart
        return None if stated is None else described(money_of(stated))
    currency = last.currency
    sums = [total(orders.values(), currency) for orders in bought.values()]
    amount = max(sums, default=Decimal()) + total(renewed, currency)
    return described(Money(amount, currency))


def money_of(event: JourneyEvent) -> Money | None:
    """What an event's value says; None where it is no number."""
    try:
        amount = Decimal(event.value or "")
    except InvalidOperation:
        return None
    return Money(amount, event.currency) if amount.is_finite() else None


def total(amounts: Iterable[Money], currency: str | None) -> Decimal:
    """The sum of those in one currency."""
    return sum((each.amount for each in amounts if each.currency == currency), Decimal())


def described(money: Money | None) -> dict[str, str | None] | None:
    """Money as the record shows it."""
    if money is None:
        return None
    return {"amount": str(money.amount), "currency": money.currency}
