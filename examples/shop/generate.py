"""Makes the exports of an invented company, the same ones every time.

    python examples/shop/generate.py [FOLDER]      # by default the folder `data` beside this file

Every person, company and product is invented. What the demonstration talks about by name is
written out in the functions `five_journeys` to `mistakes`; the crowd around it is drawn at random
from a fixed seed.
"""

from __future__ import annotations

import csv
import io
import json
import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

SEED = 20260701
NOW = datetime(2026, 7, 1, tzinfo=UTC)  # when the exports were made; nothing is later
OSLO = ZoneInfo("Europe/Oslo")  # tills and warehouse write local times, without saying so
CONSUMERS, COMPANIES = 217, 25

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
FIRST_NAMES = (
    "Aino Bendik Celia Dorte Einar Frida Gustav Hedda Ivar Jorunn Kaspar Lovise Marius Nora Odin "
    "Petra Runa Sander Tiril Ulrik Vilde Werner Yngve Ada Birk Clara David Eira Filip Greta"
)
LAST_NAMES = (
    "Aasen Berg Dahl Eikeland Foss Grande Haug Iversen Johnsrud Kvale Lunde Myhre Nygard Opsahl "
    "Prestegard Rud Sande Thorsen Ulven Vang Wold Ystad Bakke Closter Duun Engen Furu Gran"
)
COMPANY_NAMES = (
    "Alder Brook Cedar Delta Ember Fern Grove Heath Iris Juniper Kelp Linden Marsh Nettle Oak "
    "Pine Quartz Reed Sorrel Thistle Umber Vale Willow"
)
COMPANY_KINDS = "Freight Clinics Bakery Studios Works Schools Marine"
ROLES = ("CHAMPION", "BUDGET_HOLDER", "DECISION_MAKER", "END_USER", "LEGAL_AND_COMPLIANCE")
TITLES = ("Operations Lead", "Finance Director", "Managing Director", "Accountant", "Counsel")
DEAL_STAGES = ("qualified", "demo", "business_case", "proposal", "negotiation")
LOST_REASONS = (
    "Chose another vendor",
    "Too expensive",
    "No decision: not a priority this year",
    "Competitor was there first",
    "Merged with another company",
)
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


# -- what the demonstration talks about by name ------------------------------------------------


def five_journeys(shop: Shop) -> None:
    """Ana Solberg has five products, and stands somewhere else with each of them."""
    ana = shop.person("Ana Solberg", lead=True)
    shop.contact(ana, moment("2026-01-10 09:00"), None)
    # considering a laptop
    for at in ("2026-06-23 18:12", "2026-06-26 20:05", "2026-06-28 19:40"):
        shop.web(ana, moment(at), "view_item", "LAP-STRATO-14")
    shop.web(ana, moment("2026-06-28 19:44"), "add_to_wishlist", "LAP-STRATO-14")
    visit(shop, ana.card, "LAP-STRATO-14", moment("2026-06-27 11:00"), "advice")
    # buying toothpaste, not for the first time: ordered and on its way
    shop.order(ana, moment("2026-03-14 12:20"), "CARE-MINT-75", channel="store", card_only=True)
    order_id = shop.order(ana, moment("2026-06-29 07:31"), "CARE-MINT-75")
    shop.web(ana, moment("2026-06-29 07:31"), "purchase", "CARE-MINT-75", transaction_id=order_id)
    shop.ship(ana, order_id, "CARE-MINT-75", moment("2026-06-30 10:00"))
    # using a home insurance
    shop.policies.append(
        policy("V-4001", "INS-HOME", ana, "2026-01-12", "2026-01-13", "2026-01-20", "2026-02-01")
    )
    # returning a toothbrush
    order_id = shop.order(ana, moment("2026-06-05 16:02"), "CARE-SONIC")
    shop.ship(ana, order_id, "CARE-SONIC", moment("2026-06-06 09:00"))
    shop.send_back(ana, order_id, "CARE-SONIC", moment("2026-06-26 17:30"), received=9, refunded=12)
    # waiting for support with a printer: two tickets at once, one of them by serial number only
    order_id = shop.order(ana, moment("2026-04-08 11:45"), "PRN-INKWELL-200")
    arrived, serial = shop.ship(ana, order_id, "PRN-INKWELL-200", moment("2026-04-09 08:00"))
    shop.use(ana, arrived + timedelta(hours=5), "PRN-INKWELL-200", "registered")
    shop.ticket(
        ana,
        "Inkwell-200",
        (moment("2026-06-25 08:10"), "new"),
        (moment("2026-06-25 13:00"), "open"),
        (moment("2026-06-27 09:20"), "pending"),
        subject="Paper jam",
    )
    shop.ticket(
        ana, "", (moment("2026-06-29 15:50"), "new"), serial=serial, subject="Streaks in print"
    )


def stalled_team(shop: Shop) -> None:
    """Nordhavn Freight: five people, one deal, nothing has moved since the demonstration."""
    company = shop.company("Nordhavn Freight", moment("2026-01-19 09:00"))
    names = ("Liv Moen", "Arne Skog", "Siri Tangen", "Olav Brekke", "Mette Lie")
    team = [shop.person(n, company=company, title=t) for n, t in zip(names, TITLES, strict=True)]
    for number, who in enumerate(team):
        joined = moment("2026-01-20 10:00") + timedelta(days=4 * number)
        shop.contact(who, joined, "LedgerFlow" if number == 0 else None)
    history = [(moment("2026-02-16 09:00"), "qualified"), (moment("2026-03-05 13:00"), "demo")]
    shop.deal(company, team, "SW-LEDGER", history)
    champion = team[0]  # the only one who was ever seen
    for at in ("2026-02-02 09:15", "2026-02-11 14:20", "2026-03-06 08:05", "2026-03-19 16:40"):
        shop.web(champion, moment(at), "view_item", "SW-LEDGER")


def no_decisions(shop: Shop) -> None:
    """Birkeland Clinics says that it will not decide; Jonas Wik just falls silent."""
    company = shop.company("Birkeland Clinics", moment("2026-01-26 09:00"))
    names = ("Randi Holt", "Stein Aune")
    team = [shop.person(n, company=company, title=t) for n, t in zip(names, TITLES, strict=False)]
    for who in team:
        shop.contact(who, moment("2026-01-27 10:00"), None)
    history = [
        (moment("2026-02-03 09:00"), "qualified"),
        (moment("2026-02-24 09:00"), "demo"),
        (moment("2026-03-30 09:00"), "proposal"),
        (moment("2026-05-11 15:00"), "closedlost"),
    ]
    reason = "No decision: budget frozen until next year"
    shop.deal(company, team, "SW-PAYDAY", history, reason=reason)
    jonas = shop.person("Jonas Wik")
    for at in ("2026-02-07 19:00", "2026-02-08 20:30", "2026-02-12 18:45"):
        shop.web(jonas, moment(at), "view_item", "LAP-STRATO-16")


def torn_team(shop: Shop) -> None:
    """Haugen Logistics: one wants to buy, one has only begun to look, nobody holds the budget."""
    company = shop.company("Haugen Logistics", moment("2026-02-02 09:00"))
    people = (
        ("Berit Haugen", "Operations Lead", "CHAMPION"),
        ("Tor Lunder", "Security Officer", None),  # the CRM names no role: his title says it
        ("Signe Falk", "Accountant", "END_USER"),
        ("Even Dale", "Counsel", "LEGAL_AND_COMPLIANCE"),  # was never seen
    )
    team = [shop.person(name, company=company, title=title) for name, title, _ in people]
    for who in team:
        shop.contact(who, moment("2026-02-03 10:00"), None)
    history = [
        (moment("2026-03-02 09:00"), "qualified"),
        (moment("2026-03-24 13:00"), "demo"),
        (moment("2026-05-05 10:00"), "business_case"),
        (moment("2026-06-10 10:00"), "proposal"),
    ]
    shop.deal(company, team, "SW-STOCKROOM", history, roles=[role for _, _, role in people])
    champion, security, user, _ = team
    for at in ("2026-02-18 08:40", "2026-03-25 09:10", "2026-05-06 14:00", "2026-06-11 08:20"):
        shop.web(champion, moment(at), "view_item", "SW-STOCKROOM")
    shop.web(champion, moment("2026-06-30 15:00"), "begin_checkout", "SW-STOCKROOM")
    shop.web(user, moment("2026-06-20 10:30"), "view_item", "SW-STOCKROOM")
    shop.web(security, moment("2026-06-24 16:45"), "view_item_list", "SW-STOCKROOM")


def unknown_visitor(shop: Shop) -> None:
    """Ivo Brandt looks around for days before he logs in; then all of it is his."""
    ivo = shop.person("Ivo Brandt")
    for at in ("2026-05-10 20:00", "2026-05-12 21:15"):
        shop.web(ivo, moment(at), "view_item", "LAP-AIRLEAF-13", known=False)
    shop.web(ivo, moment("2026-05-14 19:02"), "add_to_cart", "LAP-AIRLEAF-13", known=False)
    shop.web(ivo, moment("2026-05-14 19:05"), "login")
    order_id = shop.order(ivo, moment("2026-05-14 19:09"), "LAP-AIRLEAF-13")
    shop.web(ivo, moment("2026-05-14 19:09"), "purchase", "LAP-AIRLEAF-13", transaction_id=order_id)
    shop.ship(ivo, order_id, "LAP-AIRLEAF-13", moment("2026-05-15 09:00"))


def four_systems(shop: Shop) -> None:
    """Mia Torvik is a number to each of four systems, and somebody matched the numbers."""
    mia = Person(
        "Mia Torvik", "", client="GA9001.1767990001", contact="P9001", requester="Z381", user="u-55"
    )
    sku = "PRN-INKWELL-400"
    shop.web(mia, moment("2026-06-02 19:10"), "view_item", sku, known=False)
    shop.contact(mia, moment("2026-06-03 08:30"), shop.by_sku[sku]["crm_name"])
    shop.use(mia, moment("2026-06-12 17:00"), sku, "registered")
    shop.ticket(
        mia, shop.by_sku[sku]["helpdesk_name"], (moment("2026-06-28 10:15"), "new"), subject="Noise"
    )
    others = (f"ga4_client:{mia.client}", f"zendesk:{mia.requester}", f"segment:{mia.user}")
    for number, other in enumerate(others, start=1):
        decided = utc(moment("2026-06-29 09:00"))
        pair = {"pair_id": f"M{number}", "contact": mia.contact, "other": other}
        shop.id_pairs.append(pair | {"state": "same", "decided_at": decided})


def mistakes(shop: Shop) -> None:
    """What real exports are full of: late, repeated, corrected and nameless rows."""
    # A till was offline in March: Tove Nes's first purchase arrives after her second.
    tove = shop.person("Tove Nes")
    shop.order(tove, moment("2026-05-08 15:10"), "CARE-WASH-500", channel="store")
    shop.order(
        tove, moment("2026-03-05 15:30"), "CARE-WASH-500", channel="store", into=shop.late_orders
    )
    # Egil Strand's order was two pieces, as a newer version of the same row says; the old version
    # comes once more behind it.
    egil = shop.person("Egil Strand")
    shop.order(egil, moment("2026-04-21 10:00"), "INK-200-BLACK")
    old = shop.orders[-1]
    new = old | {
        "quantity": 2,
        "amount": "36.00",
        "updated_at": local(moment("2026-04-22 08:00")),
    }
    shop.late_orders += [new, dict(old)]
    # A phone order was booked for the wrong person and product; a later row takes its place.
    wrong, right = shop.person("Karl Vik"), shop.person("Karla Viken")
    booked = moment("2026-05-19 09:40")
    mistaken = shop.order(wrong, booked, "CARE-FLOSS-50", channel="phone")
    shop.order(right, booked, "CARE-HEADS-4", channel="phone", into=shop.late_orders)
    shop.late_orders[-1] |= {
        "corrects_order": mistaken,
        "corrects_line": 1,
        "corrects_at": local(booked),
        "updated_at": local(moment("2026-05-20 08:00")),
    }
    # Paid in cash, without a card; a ticket whose sender nobody knows; a product nobody sells.
    for at in ("2026-02-03 11:00", "2026-03-17 16:20", "2026-04-02 12:45", "2026-06-11 10:05"):
        shop.order(None, moment(at), "CARE-KIDS-50", channel="store")
    shop.ticket(None, "Lasera-10", (moment("2026-04-15 09:00"), "new"), subject="Invoice?")
    shop.order(tove, moment("2026-05-30 13:00"), "SEASON-GIFT-9", channel="store")
    # A stage that sales invented on the way and the model does not know.
    company = shop.company("Solbakken Marine", moment("2026-03-02 09:00"))
    team = [shop.person("Inger Dyb", company=company, title="Fleet Manager")]
    shop.contact(team[0], moment("2026-03-03 10:00"), None)
    history = [(moment("2026-03-09 09:00"), "qualified"), (moment("2026-06-15 09:00"), "parked")]
    first = shop.deal(company, team, "SW-FLEETBOOK", history[:1])
    shop.deal(company, team, "SW-FLEETBOOK", history, into=shop.later_deals, deal_id=first["id"])


def policy(number: str, sku: str, who: Person, *dates: str, cancelled: str = "") -> Row:
    """A policy: quote asked for, quote sent, signed, cover starts."""
    columns = ("quote_requested_on", "quoted_on", "signed_on", "starts_on")
    row: Row = {"policy_id": number, "product": sku, "email": who.email}
    row |= dict(zip(columns, dates, strict=True))
    return row | {"cancelled_on": cancelled}


# -- the crowd ---------------------------------------------------------------------------------


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
        visit(shop, who.card if shop.chance(0.8) else "", sku, at, purpose)
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


def visit(shop: Shop, card: str, sku: str, at: datetime, purpose: str) -> None:
    """Somebody comes to a store; the card is not always scanned."""
    if at < NOW:
        shop.visits.append(
            {
                "visit_id": shop.number("B", 1000),
                "store": shop.pick(STORES),
                "visited_at": at.astimezone(OSLO).strftime("%d.%m.%Y %H:%M"),
                "card": card,
                "sku": sku,
                "purpose": purpose,
            }
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
    shop.policies.append(policy(number, sku, who, *dates, cancelled=day(cancelled)))


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


def everything() -> Shop:
    """The whole company."""
    shop = Shop()
    for story in (five_journeys, stalled_team, no_decisions, unknown_visitor, mistakes):
        story(shop)
    taken = {person.name for person in shop.people}
    names, kinds = COMPANY_NAMES.split(), COMPANY_KINDS.split()
    for number in range(COMPANIES - len(shop.companies)):
        name = f"{names[number]} {kinds[number % len(kinds)]}"
        business(shop, shop.company(name, NOW), taken)
    for _ in range(CONSUMERS):
        consumer(shop, shop.person(new_name(shop, taken), lead=shop.chance(0.12)))
    four_systems(shop)  # last, so that everybody else stays as they are
    torn_team(shop)  # behind the crowd, which it must not change
    return shop


# -- files -------------------------------------------------------------------------------------


def files(shop: Shop) -> dict[str, str]:
    """File name → content, each in the order in which its system would export it."""
    web = numbered(shop.web_events, "event_id", "W", "event_time")
    usage = numbered(shop.usage, "event_id", "U", "at")
    by_time = sorted(shop.orders, key=lambda row: (row["ordered_at"], row["order_id"]))
    again = [dict(row) for row in by_time[40:400:60]]  # the till sent some rows twice
    return {
        "catalogue.csv": as_csv(shop.products),
        "crm_companies.jsonl": as_lines(shop.companies),
        "crm_contacts.jsonl": as_lines(shop.contacts),
        "crm_deals.jsonl": as_lines(shop.deals),
        "crm_deals_later.jsonl": as_lines(shop.later_deals),
        "web_events.jsonl": as_lines([*web, *web[100:900:200]]),  # and the web shop, too
        "web_accounts.csv": as_csv(web_accounts(web)),
        "store_visits.csv": as_csv(shop.visits),
        "orders.csv": as_csv(by_time + again),
        "orders_late.csv": as_csv(shop.late_orders),
        "shipments.csv": as_csv(shop.shipments),
        "returns.csv": as_csv(shop.returns),
        "policies.csv": as_csv(shop.policies),
        "tickets.csv": as_csv(sorted(shop.tickets, key=lambda row: row["changed_at"])),
        "app_usage.csv": as_csv(usage),
        "id_pairs.csv": as_csv(shop.id_pairs),
    }


def numbered(rows: Iterable[Row], column: str, prefix: str, by: str) -> list[Row]:
    """The rows in order of time, each with a number of its own."""
    ordered = sorted(rows, key=lambda row: row[by])
    return [{column: f"{prefix}{100000 + n}"} | row for n, row in enumerate(ordered)]


def web_accounts(web: Iterable[Row]) -> list[Row]:
    """Whoever logged in, and the number by which an analytics tool may know them."""
    since: dict[str, str] = {}
    for event in web:
        if event["user_id"]:
            since.setdefault(event["user_id"], event["event_time"])
    return [
        {"account_id": f"A{7000 + number}", "email": email, "opened_at": at}
        for number, (email, at) in enumerate(since.items())
    ]


def as_lines(rows: Iterable[Row]) -> str:
    """JSON lines."""
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)


def as_csv(rows: Sequence[Row]) -> str:
    """CSV with a header."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def main() -> None:
    """Write the files."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files(everything()).items():
        (folder / name).write_text(content, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
