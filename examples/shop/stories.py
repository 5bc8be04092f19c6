"""What the demonstration talks about by name, written out."""

from __future__ import annotations

from datetime import timedelta

from systems import TITLES, Person, Shop, local, moment, utc


def five_journeys(shop: Shop) -> None:
    """Ana Solberg has five products, and stands somewhere else with each of them."""
    ana = shop.person("Ana Solberg", lead=True)
    shop.contact(ana, moment("2026-01-10 09:00"), None)
    # considering a laptop
    for at in ("2026-06-23 18:12", "2026-06-26 20:05", "2026-06-28 19:40"):
        shop.web(ana, moment(at), "view_item", "LAP-STRATO-14")
    shop.web(ana, moment("2026-06-28 19:44"), "add_to_wishlist", "LAP-STRATO-14")
    shop.visit(ana.card, "LAP-STRATO-14", moment("2026-06-27 11:00"), "advice")
    # buying toothpaste, not for the first time: ordered and on its way
    shop.order(ana, moment("2026-03-14 12:20"), "CARE-MINT-75", channel="store", card_only=True)
    order_id = shop.order(ana, moment("2026-06-29 07:31"), "CARE-MINT-75")
    shop.web(ana, moment("2026-06-29 07:31"), "purchase", "CARE-MINT-75", transaction_id=order_id)
    shop.ship(ana, order_id, "CARE-MINT-75", moment("2026-06-30 10:00"))
    # using a home insurance
    shop.policy("V-4001", "INS-HOME", ana, "2026-01-12", "2026-01-13", "2026-01-20", "2026-02-01")
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
