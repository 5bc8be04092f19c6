"""The crowd around those whom the demonstration names, drawn at random from a fixed seed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from systems import NOW, TITLES, Person, Row, Shop, day, local, utc

FIRST_NAMES = (
    "Aino Bendik Celia Dorte Einar Frida Gustav Hedda Ivar Jorunn Kaspar Lovise Marius Nora Odin "
    "Petra Runa Sander Tiril Ulrik Vilde Werner Yngve Ada Birk Clara David Eira Filip Greta"
)
LAST_NAMES = (
    "Aasen Berg Dahl Eikeland Foss Grande Haug Iversen Johnsrud Kvale Lunde Myhre Nygard Opsahl "
    "Prestegard Rud Sande Thorsen Ulven Vang Wold Ystad Bakke Closter Duun Engen Furu Gran"
)
DEAL_STAGES = ("qualified", "demo", "business_case", "proposal", "negotiation")
LOST_REASONS = (
    "Chose another vendor",
    "Too expensive",
    "No decision: not a priority this year",
    "Competitor was there first",
    "Merged with another company",
)


def browse(shop: Shop, who: Person, sku: str, at: datetime, *, known: bool) -> datetime:
    """Some days of looking around; returns when it ends."""
    category = shop.by_sku[sku]["category"]
    if shop.chance(0.12):
        shop.web(who, at, "view_item_list", known=False, item_list_category=category)
    if shop.chance(0.15):
        shop.web(who, at, "search", known=known, search_term=category.rpartition("/")[2])
    for _ in range(1 + int(shop.between(0, 4))):
        shop.web(who, at, "view_item", sku, known=known)
        other = shop.by_sku[sku]["substitute"]
        if other and shop.chance(0.2):
            shop.web(who, at + timedelta(minutes=3), "compare_items", sku, other, known=known)
        at = shop.later(at, 0.2, 4)
    return at


def consumer(shop: Shop, who: Person) -> None:
    """Somebody private: some of the stories below."""
    known = shop.chance(0.85)  # the others never log in
    if who.contact:
        interest = shop.pick(shop.skus("insurance/")) if shop.chance(0.6) else None
        shop.contact(who, shop.some_time("2026-01-03", "2026-06-20"), interest)
    if shop.chance(0.75):
        restock(shop, who, shop.pick(shop.skus("care/")[:5]))
    if shop.chance(0.45):
        device(shop, who, shop.pick(shop.skus("computers/")), known=known)
    if shop.chance(0.3):
        device(shop, who, shop.pick(shop.skus("office/printers")), known=known)
    if shop.chance(0.4):
        insure(shop, who, shop.pick(shop.skus("insurance/")), known=known)


def restock(shop: Shop, who: Person, sku: str) -> None:
    """The same small thing again and again, at the till or on the web."""
    at = shop.some_time("2026-01-03", "2026-04-20")
    while at < NOW:
        if shop.chance(0.6):
            shop.order(who, at, sku, channel="store", card_only=shop.chance(0.3))
        else:
            shop.web(who, at - timedelta(minutes=9), "add_to_cart", sku)
            if shop.chance(0.85):
                order_id = shop.order(who, at, sku)
                shop.web(who, at, "purchase", sku, transaction_id=order_id)
                shop.ship(who, order_id, sku, shop.later(at, 0.3, 1), late=shop.between(0, 2))
        at = shop.later(at, 35, 80)


def device(shop: Shop, who: Person, sku: str, *, known: bool) -> None:
    """A laptop or a printer: most look, some buy, a few need help or send it back."""
    at = browse(shop, who, sku, shop.some_time("2026-01-03", "2026-06-24"), known=known)
    if shop.chance(0.25):
        purpose = "advice" if shop.chance(0.5) else "looking"
        shop.visit(who.card if shop.chance(0.8) else "", sku, at, purpose)
    if not known or shop.chance(0.5):
        return
    shop.web(who, at, "add_to_cart", sku)
    if shop.chance(0.3):
        return
    at += timedelta(minutes=int(shop.between(3, 50)))
    shop.web(who, at, "begin_checkout", sku)
    order_id = shop.order(who, at, sku)
    shop.web(who, at, "purchase", sku, transaction_id=order_id)
    if shop.chance(0.06) and at + timedelta(hours=7) < NOW:
        shop.orders[-1]["cancelled_at"] = local(at + timedelta(hours=6))
        shop.orders[-1]["updated_at"] = local(at + timedelta(hours=6))
        return
    late = shop.between(1, 6) if shop.chance(0.2) else 0
    at, serial = shop.ship(who, order_id, sku, shop.later(at, 0.5, 2), days=4, late=late)
    if sku.startswith("PRN") and shop.chance(0.7):
        shop.use(who, shop.later(at, 0.1, 3), sku, "registered")
    if shop.chance(0.35):
        helped(shop, who, sku, shop.later(at, 1, 40), serial)
    if shop.chance(0.12):
        shop.send_back(
            who, order_id, sku, shop.later(at, 2, 20), received=shop.between(3, 8), refunded=11
        )


def helped(shop: Shop, who: Person, sku: str, at: datetime, serial: str) -> None:
    """A ticket and how it went."""
    changes = [(at, "new"), (shop.later(at, 0.05, 1), "open")]
    if shop.chance(0.4):
        changes.append((shop.later(changes[-1][0], 0.2, 2), "pending"))
    if shop.chance(0.85):
        changes.append((shop.later(changes[-1][0], 0.5, 6), "solved"))
        if shop.chance(0.2):
            changes.append((shop.later(changes[-1][0], 0.5, 4), "open"))
            changes.append((shop.later(changes[-1][0], 0.5, 4), "solved"))
        changes.append((shop.later(changes[-1][0], 4, 5), "closed"))
    name = shop.by_sku[sku]["helpdesk_name"] or shop.by_sku[sku]["name"]
    by_serial = bool(serial) and shop.chance(0.4)
    named = "" if by_serial or shop.chance(0.1) else name
    shop.ticket(who, named, *changes, serial=serial if by_serial else "")


def insure(shop: Shop, who: Person, sku: str, *, known: bool) -> None:
    """A policy: looked at, quoted, perhaps signed, perhaps cancelled."""
    at = browse(shop, who, sku, shop.some_time("2026-01-03", "2026-06-20"), known=known)
    if not known or shop.chance(0.25) or at >= NOW:
        return
    quoted = shop.later(at, 0.5, 3)
    signed = shop.later(quoted, 1, 25) if shop.chance(0.6) else None
    starts = signed + timedelta(days=10) if signed else None
    cancelled = starts + timedelta(days=45) if starts and shop.chance(0.12) else None
    number = shop.number("V-", 5000)
    dates = [day(each) for each in (at, quoted, signed, starts)]
    shop.policy(number, sku, who, *dates, cancelled=day(cancelled))


def business(shop: Shop, company: Row, taken: set[str]) -> None:
    """A company with its people, and a deal about software or machines."""
    created = shop.some_time("2026-01-03", "2026-04-25")
    company["properties"]["createdate"] = utc(created)
    sku = shop.pick([*shop.skus("software/"), "LAP-STRATO-16", "PRN-LASERA-30"])
    size = 2 + int(shop.between(0, 3))
    team = []
    for title in TITLES[:size]:
        who = shop.person(new_name(shop, taken), company=company, title=title)
        interest = shop.by_sku[sku]["crm_name"] if shop.chance(0.4) else None
        shop.contact(who, shop.later(created, 0, 6), interest)
        team.append(who)
    at = shop.later(created, 7, 20)
    history, end = [], shop.dice.random()
    for stage in DEAL_STAGES[: 2 + int(shop.between(0, 4))]:
        history.append((at, stage))
        at = shop.later(at, 4, 28)
    if end < 0.5:
        history.append((at, "closedwon"))
    elif end < 0.75:
        history.append((at, "closedlost"))
    shop.deal(company, team, sku, history, reason=shop.pick(LOST_REASONS))
    for who in team:
        if shop.chance(0.6):
            browse(shop, who, sku, shop.later(created, 1, 30), known=True)
    if history[-1][1] == "closedwon" and sku.startswith("SW"):
        adopt(shop, team, sku, at)


def adopt(shop: Shop, team: Iterable[Person], sku: str, at: datetime) -> None:
    """What the app reports after the sale, week by week."""
    name = shop.by_sku[sku]["helpdesk_name"]  # the app spells products as the help desk does
    for who in team:
        start = shop.later(at, 2, 12)
        shop.use(who, start, name, "activated")
        keen, week = shop.between(3, 40), start
        while week < NOW:
            week += timedelta(days=7)
            shop.use(who, week, name, "used", count=int(keen * shop.between(0.6, 1.3)))
            if shop.chance(0.06):
                break  # has stopped using it
        if shop.chance(0.3):
            score = int(shop.between(4, 10.99))
            shop.use(who, start + timedelta(days=30), name, "recommends", score=score)
        if shop.chance(0.3):
            helped(shop, who, sku, shop.later(start, 2, 50), "")


def new_name(shop: Shop, taken: set[str]) -> str:
    """A name nobody has yet."""
    while True:
        name = f"{shop.pick(FIRST_NAMES.split())} {shop.pick(LAST_NAMES.split())}"
        if name not in taken:
            taken.add(name)
            return name
