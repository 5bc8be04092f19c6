"""The systems of an invented company, which do not know each other; each list is one export."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

SEED = 20260701
NOW = datetime(2026, 7, 1, tzinfo=UTC)  # when the exports were made; nothing is later
OSLO = ZoneInfo("Europe/Oslo")  # tills and warehouse write local times, without saying so

T = TypeVar("T")
Row = dict[str, Any]

# sku, name, category, name in the CRM, name at the help desk, price, related products
CATALOGUE = """
CARE-MINT-75|Fresh Mint Toothpaste|care/toothpaste||fresh mint|3.90|CARE-WHITE-75||
CARE-WHITE-75|Clear White Toothpaste|care/toothpaste|||4.50|CARE-MINT-75||
CARE-KIDS-50|Little Foam Toothpaste|care/toothpaste|||2.90|||
CARE-WASH-500|Calm Mint Mouthwash|care/mouthwash|||5.20|||
CARE-FLOSS-50|Thin Thread Floss|care/floss|||2.20|||
CARE-SONIC|Hum Sonic Toothbrush|care/toothbrushes||Hum|89.00|||CARE-HEADS-4
CARE-HEADS-4|Hum Brush Heads|care/toothbrushes|||19.00||CARE-SONIC|
LAP-STRATO-13|Strato 13 Laptop|computers/laptops|Strato13|Strato 13|990.00|LAP-AIRLEAF-13||
LAP-STRATO-14|Strato 14 Laptop|computers/laptops|Strato14|Strato 14|1190.00|LAP-AIRLEAF-13||
LAP-STRATO-16|Strato 16 Laptop|computers/laptops|Strato16|Strato 16|1590.00|LAP-FORGE-17||
LAP-AIRLEAF-13|Airleaf 13 Laptop|computers/laptops|Airleaf|Airleaf|1090.00|LAP-STRATO-13||
LAP-FORGE-17|Forge 17 Laptop|computers/laptops|Forge17|Forge 17|2190.00|LAP-STRATO-16||
LAP-PEBBLE-11|Pebble 11 Laptop|computers/laptops|||490.00|||
PRN-INKWELL-200|Inkwell 200 Printer|office/printers|Inkwell200|Inkwell-200|149.00|||INK-200-BLACK
PRN-INKWELL-400|Inkwell 400 Printer|office/printers|Inkwell400|Inkwell-400|229.00|||INK-200-COLOUR
PRN-LASERA-10|Lasera 10 Printer|office/printers|Lasera10|Lasera-10|329.00|PRN-LASERA-30||TON-LASERA
PRN-LASERA-30|Lasera 30 Printer|office/printers|Lasera30|Lasera-30|699.00|PRN-LASERA-10||TON-LASERA
INK-200-BLACK|Inkwell Ink Black|office/supplies|||18.00||PRN-INKWELL-200|
INK-200-COLOUR|Inkwell Ink Colour|office/supplies|||22.00||PRN-INKWELL-400|
TON-LASERA|Lasera Toner|office/supplies|||79.00||PRN-LASERA-10|
INS-HOME|Home Insurance|insurance/home||home policy|240.00|INS-HOME-PLUS||
INS-HOME-PLUS|Home Insurance Plus|insurance/home||home plus policy|360.00|INS-HOME||
INS-CAR|Car Insurance|insurance/car||car policy|480.00|||
INS-DEVICE|Device Insurance|insurance/device||device policy|60.00||LAP-STRATO-14|
INS-TRAVEL|Travel Insurance|insurance/travel||travel policy|90.00|||
SW-LEDGER|Ledger Flow|software/finance|LedgerFlow|ledger-flow|4800.00||SW-PAYDAY|
SW-PAYDAY|Payday|software/finance|PayDay|payday|3600.00||SW-LEDGER|
SW-STOCKROOM|Stockroom|software/operations|StockRoom|stockroom|5200.00|||
SW-FLEETBOOK|Fleetbook|software/operations|FleetBook|fleetbook|4400.00|||
SW-FRONTDESK|Frontdesk|software/service|FrontDesk|frontdesk|2900.00|||
"""
CATALOGUE_COLUMNS = (
    "sku",
    "name",
    "category",
    "crm_name",
    "helpdesk_name",
    "price",
    "substitute",
    "accessory_of",
    "consumable",
)
ROLES = ("CHAMPION", "BUDGET_HOLDER", "DECISION_MAKER", "END_USER", "LEGAL_AND_COMPLIANCE")
TITLES = ("Operations Lead", "Finance Director", "Managing Director", "Accountant", "Counsel")
STORES = ("Oslo", "Bergen", "Tromso")


@dataclass(frozen=True)
class Person:
    """Somebody invented."""

    name: str
    email: str
    card: str = ""  # loyalty card of the stores
    client: str = ""  # the browser that they use
    contact: str = ""  # id in the CRM
    company: str = ""  # id in the CRM
    title: str = ""
    requester: str = ""  # id at the help desk, where it has no e-mail
    user: str = ""  # id in the app, where it has no e-mail


def moment(text: str) -> datetime:
    """``2026-03-05 09:30``, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def utc(at: datetime | None) -> str | None:
    """As the CRM, the web shop and the app write it; None for what has not happened yet."""
    return None if at is None or at >= NOW else at.strftime("%Y-%m-%dT%H:%M:%SZ")


def local(at: datetime | None) -> str:
    """As the tills and the warehouse write it: local time, no zone."""
    return "" if at is None or at >= NOW else at.astimezone(OSLO).strftime("%Y-%m-%d %H:%M")


def day(at: datetime | None) -> str:
    """As the insurance department writes it."""
    return "" if at is None or at >= NOW else at.astimezone(OSLO).date().isoformat()


class Shop:
    """All systems of the company; each list is one export."""

    def __init__(self) -> None:
        self.dice = random.Random(SEED)
        lines = (line.split("|") for line in CATALOGUE.strip().splitlines())
        self.products = [
            dict(zip(CATALOGUE_COLUMNS, (cell.strip() for cell in line), strict=True))
            for line in lines
        ]
        self.by_sku = {product["sku"]: product for product in self.products}
        self.companies: list[Row] = []
        self.contacts: list[Row] = []
        self.deals: list[Row] = []
        self.later_deals: list[Row] = []  # the same export, made again some weeks later
        self.web_events: list[Row] = []
        self.visits: list[Row] = []
        self.orders: list[Row] = []
        self.late_orders: list[Row] = []  # from a till that was offline
        self.shipments: list[Row] = []
        self.returns: list[Row] = []
        self.policies: list[Row] = []
        self.tickets: list[Row] = []
        self.usage: list[Row] = []
        self.id_pairs: list[Row] = []  # what somebody matched by hand
        self.numbers: dict[str, int] = {}
        self.people: list[Person] = []

    # -- chance: only `random()`, which is the same in every version of Python ---------------

    def chance(self, share: float) -> bool:
        return self.dice.random() < share

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.dice.random()

    def pick(self, items: Sequence[T]) -> T:
        return items[int(self.dice.random() * len(items))]

    def some_time(self, first: str, last: str) -> datetime:
        """A minute in the opening hours of some day."""
        start, end = moment(first), moment(last)
        at = start + timedelta(days=int(self.between(0, (end - start).days)))
        return at + timedelta(minutes=int(self.between(7 * 60, 19 * 60)))

    def later(self, at: datetime, low_days: float, high_days: float) -> datetime:
        return at + timedelta(minutes=int(self.between(low_days, high_days) * 24 * 60))

    def number(self, prefix: str, start: int) -> str:
        self.numbers[prefix] = self.numbers.get(prefix, start) + 1
        return f"{prefix}{self.numbers[prefix]}"

    def skus(self, category: str) -> list[str]:
        return [p["sku"] for p in self.products if p["category"].startswith(category)]

    # -- the systems -------------------------------------------------------------------------

    def person(
        self, name: str, *, company: Row | None = None, title: str = "", lead: bool = False
    ) -> Person:
        """Somebody new; consumers have a card, contacts of companies an id in the CRM.

        A ``lead`` is a consumer whom the CRM knows, too.
        """
        domain = company["properties"]["domain"] if company else "mail.test"
        person = Person(
            name,
            f"{name.lower().replace(' ', '.')}@{domain}",
            card="" if company else self.number("L", 100000),
            client=f"{self.number('GA', 4000)}.{1767000000 + 137 * len(self.people)}",
            contact=self.number("P", 500) if company or lead else "",
            company=company["id"] if company else "",
            title=title,
        )
        self.people.append(person)
        return person

    def web(
        self, who: Person, at: datetime, name: str, *skus: str, known: bool = True, **more: Any
    ) -> None:
        """An event of the web shop; ``known``: the visitor has logged in."""
        if at >= NOW:
            return
        event: Row = {"event_name": name, "event_time": utc(at), "client_id": who.client}
        event["user_id"] = who.email if known else None
        if skus:
            event["items"] = [{"item_id": sku, "price": self.by_sku[sku]["price"]} for sku in skus]
        self.web_events.append(event | more)

    def order(
        self,
        who: Person | None,
        at: datetime,
        *skus: str,
        channel: str = "web",
        card_only: bool = False,
        into: list[Row] | None = None,
    ) -> str:
        """An order of one line per product, at the till or in the web shop."""
        order_id = self.number("O", 70000)
        if at >= NOW:
            return order_id
        for line, sku in enumerate(skus, start=1):
            rows = self.orders if into is None else into
            rows.append(
                {
                    "order_id": order_id,
                    "line": line,
                    "channel": channel,
                    "store": self.pick(STORES) if channel == "store" else "",
                    "ordered_at": local(at),
                    "email": who.email if who and not card_only else "",
                    "card": who.card if who and channel == "store" else "",
                    "sku": sku,
                    "quantity": 1,
                    "amount": self.by_sku[sku]["price"] if sku in self.by_sku else "9.90",
                    "currency": "EUR",
                    "updated_at": local(at),
                    "cancelled_at": "",
                    "corrects_order": "",
                    "corrects_line": "",
                    "corrects_at": "",
                }
            )
        return order_id

    def ship(
        self,
        who: Person,
        order_id: str,
        sku: str,
        at: datetime,
        *,
        days: float = 3,
        late: float = 0,
    ) -> tuple[datetime, str]:
        """A parcel; devices have a serial number. Returns when it arrives, and that number."""
        promised = at + timedelta(days=days)
        arrives = promised + timedelta(days=late)
        serial = self.number("SN", 880000) if sku.startswith(("LAP", "PRN")) else ""
        if at < NOW:
            self.shipments.append(
                {
                    "shipment_id": self.number("S", 30000),
                    "order_id": order_id,
                    "email": who.email,
                    "sku": sku,
                    "serial": serial,
                    "shipped_at": local(at),
                    "promised_on": promised.astimezone(OSLO).date().isoformat(),
                    "delayed_at": local(promised) if late else "",
                    "delivered_at": local(arrives),
                    "updated_at": local(min(arrives, NOW - timedelta(minutes=1))),
                }
            )
        return arrives, serial

    def send_back(
        self,
        who: Person,
        order_id: str,
        sku: str,
        at: datetime,
        *,
        received: float,
        refunded: float,
    ) -> None:
        """A return; the lengths are days after the request."""
        if at >= NOW:
            return
        dates = [at, at + timedelta(days=received), at + timedelta(days=refunded)]
        self.returns.append(
            {
                "return_id": self.number("R", 6000),
                "order_id": order_id,
                "email": who.email,
                "sku": sku,
                "requested_at": local(dates[0]),
                "received_at": local(dates[1]),
                "refunded_at": local(dates[2]),
                "amount": self.by_sku[sku]["price"],
                "updated_at": local(max(each for each in dates if each < NOW)),
            }
        )

    def ticket(
        self,
        who: Person | None,
        product: str,
        *changes: tuple[datetime, str],
        serial: str = "",
        subject: str = "Question",
    ) -> str:
        """A ticket; the help desk keeps one row per change of status."""
        ticket_id, before = self.number("T", 9000), ""
        for number, (at, status) in enumerate(changes, start=1):
            if at < NOW:
                self.tickets.append(
                    {
                        "ticket_id": ticket_id,
                        "change": number,
                        "changed_at": utc(at),
                        "status": status,
                        "previous_status": before,
                        "requester": who.email if who else "",
                        "requester_id": who.requester if who else "",
                        "product": product,
                        "serial": serial,
                        "subject": subject,
                    }
                )
                before = status
        return ticket_id

    def use(self, who: Person, at: datetime, product: str, action: str, **more: Any) -> None:
        """What the app and the product registration report."""
        if at < NOW:
            row = {"at": utc(at), "email": who.email, "user_id": who.user}
            row |= {"workspace": who.company}
            row |= {"product": product, "action": action, "count": "", "score": ""}
            self.usage.append(row | more)

    def company(self, name: str, at: datetime) -> Row:
        """A company in the CRM."""
        row = {
            "id": self.number("C", 2000),
            "properties": {
                "name": name,
                "domain": f"{name.lower().replace(' ', '-')}.example",
                "createdate": utc(at),
                "numberofemployees": int(self.between(12, 900)),
            },
        }
        self.companies.append(row)
        return row

    def contact(self, who: Person, at: datetime, interest: str | None) -> None:
        """A contact in the CRM; ``interest`` is what the lead form asked about."""
        first, last = who.name.split()
        self.contacts.append(
            {
                "id": who.contact,
                "properties": {
                    "email": who.email.title() if self.chance(0.1) else who.email,
                    "firstname": first,
                    "lastname": last,
                    "jobtitle": who.title,
                    "createdate": utc(at),
                    "interest": interest,
                    "loyalty_card": who.card or None,
                },
                "company": {"id": who.company} if who.company else None,
            }
        )

    def deal(
        self,
        company: Row,
        team: Sequence[Person],
        sku: str,
        history: Sequence[tuple[datetime, str]],
        *,
        reason: str | None = None,
        into: list[Row] | None = None,
        deal_id: str = "",
        roles: Sequence[str | None] = ROLES,
    ) -> Row:
        """A deal with its stages so far, its buying team and its line items."""
        product = self.by_sku[sku]
        known = [(at, stage) for at, stage in history if at < NOW]
        last_at, last = known[-1]
        deal_id = deal_id or self.number("D", 3000)
        row = {
            "id": deal_id,
            "properties": {
                "dealname": f"{company['properties']['name']}: {product['name']}",
                "pipeline": "b2b",
                "dealstage": last,
                "amount": product["price"],
                "createdate": utc(known[0][0]),
                "closedate": utc(last_at) if last.startswith("closed") else None,
                "hs_is_closed_won": last == "closedwon",
                "closed_lost_reason": reason if last == "closedlost" else None,
                "hs_lastmodifieddate": utc(last_at),
            },
            "stage_history": [
                {"id": f"{deal_id}-{number}", "stage": stage, "entered_at": utc(at)}
                for number, (at, stage) in enumerate(known, start=1)
            ],
            "company": {"id": company["id"], "name": company["properties"]["name"]},
            "contacts": [
                {"id": who.contact, "email": who.email, "role": role, "added_at": utc(known[0][0])}
                for who, role in zip(team, roles, strict=False)
            ],
            # The CRM has its own spelling of products: LedgerFlow, not Ledger Flow.
            "line_items": [{"id": f"{deal_id}-L1", "sku": product["crm_name"] or sku}],
        }
        (self.deals if into is None else into).append(row)
        return row

    def policy(self, number: str, sku: str, who: Person, *dates: str, cancelled: str = "") -> None:
        """A policy: quote asked for, quote sent, signed, cover starts."""
        columns = ("quote_requested_on", "quoted_on", "signed_on", "starts_on")
        row: Row = {"policy_id": number, "product": sku, "email": who.email}
        row |= dict(zip(columns, dates, strict=True))
        self.policies.append(row | {"cancelled_on": cancelled})

    def visit(self, card: str, sku: str, at: datetime, purpose: str) -> None:
        """Somebody comes to a store; the card is not always scanned."""
        if at < NOW:
            self.visits.append(
                {
                    "visit_id": self.number("B", 1000),
                    "store": self.pick(STORES),
                    "visited_at": at.astimezone(OSLO).strftime("%d.%m.%Y %H:%M"),
                    "card": card,
                    "sku": sku,
                    "purpose": purpose,
                }
            )
