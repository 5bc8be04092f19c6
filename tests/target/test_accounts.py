"""Accounts and households: their journeys fold what their members do."""

from __future__ import annotations

from tests.target.messages import SCHEMA, product, products_schema, record, sync

ANA, BO = "email:ana@acme.test", "email:bo@acme.test"


def journeys(kept, account):
    return kept.ask(
        "select scope_id, stage, event_count from journey_stages where subject = ? order by 1",
        account,
    )


def test_an_address_at_a_companys_domain_makes_its_owner_a_member(kept):
    events = [record(1), record(2, subject=BO), record(3, subject="email:cy@gmail.com")]
    sync(kept, SCHEMA, *events)
    assert kept.ask("select subject from customers where kind = 'accounts'") == []
    sync(kept, SCHEMA, accounts={"email_domain": True})  # applied to what is stored
    assert kept.ask("select subject from customers where kind = 'accounts'") == [
        ("domain:acme.test",)
    ]
    assert journeys(kept, "domain:acme.test") == [("P", "considering", 2)]
    sync(kept, SCHEMA)
    assert journeys(kept, "domain:acme.test") == []


def test_the_account_that_names_the_domain_takes_its_people(kept):
    company = {"subject": None, "account": "crm:7", "scopes": []}
    profile = record(5, "profile_observed", **company, properties={"domain": "www.acme.test"})
    sync(kept, SCHEMA, record(1), record(2, subject=BO), profile, accounts={"email_domain": True})
    assert journeys(kept, "crm:7") == [("P", "considering", 2)]
    assert journeys(kept, "domain:acme.test") == []


def test_a_person_who_left_does_not_stay_by_address(kept):
    def said(number, kind):
        return record(number, kind, scopes=[], account="domain:acme.test")

    events = [said(1, "account_joined"), record(2), said(3, "account_left"), record(4)]
    sync(kept, SCHEMA, *events, accounts={"email_domain": True})
    assert journeys(kept, "domain:acme.test") == [("P", "considering", 1)]


def test_an_address_that_is_linked_later_brings_its_owner_in(kept):
    browser = "ga4_client:7"
    sync(kept, SCHEMA, record(1, subject=browser), accounts={"email_domain": True})
    link = record(2, "identity_linked", subject=browser, scopes=[], properties={"linked": ANA})
    sync(kept, SCHEMA, link, accounts={"email_domain": True})
    assert journeys(kept, "domain:acme.test") == [("P", "considering", 1)]


def test_a_domain_with_too_many_addresses_is_a_provider(kept):
    many = [record(n, subject=f"email:p{n}@mail.test") for n in range(4)]
    rules = {"email_domain": True, "max_members_of_domain": 3}
    sync(kept, SCHEMA, *many[:3], accounts=rules)
    assert journeys(kept, "domain:mail.test") == [("P", "considering", 3)]
    sync(kept, SCHEMA, many[3], accounts=rules)
    assert journeys(kept, "domain:mail.test") == []
    assert kept.ask("select reason from unresolved") == [("domain with too many addresses",)]


def test_a_declared_field_makes_members_until_it_changes(kept):
    def profile(number, company):
        properties = {"company_id": company}
        return record(number, "profile_observed", scopes=[], properties=properties)

    events = [profile(1, 7), record(2), profile(3, 8), record(4), record(5)]
    sync(kept, SCHEMA, *events, accounts={"fields": {"company_id": "crm_company"}})
    assert journeys(kept, "crm_company:7") == [("P", "considering", 1)]
    assert journeys(kept, "crm_company:8") == [("P", "considering", 2)]


def test_a_household_has_the_journey_of_all_who_belong_to_it(kept):
    home = "household:12"
    joined = [
        record(n, "account_joined", subject=who, account=home, scopes=[])
        for n, who in enumerate((ANA, BO))
    ]
    looks = record(3, subject=ANA)
    buys = record(4, "order_placed", subject=BO)
    sync(kept, SCHEMA, *joined, looks, buys)
    assert journeys(kept, home) == [("P", "receiving", 2)]


def test_a_category_may_keep_private_purchases_out_of_the_company(kept):
    paste = product(product_id="PASTE", category="care/toothpaste")
    desk = product(product_id="DESK", category="office")
    model = {"categories": {"care": {"account_journeys": False}}}

    def bought(number, name, **more):
        scopes = [{"grain": "product", "id": name}]
        return record(number, "order_placed", scopes=scopes, **more)

    joined = record(1, "account_joined", scopes=[], account="crm:acme")
    events = [joined, bought(2, "PASTE"), bought(3, "DESK")]
    sync(kept, products_schema(), paste, desk, SCHEMA, *events, stage_model=model)
    assert [row[0] for row in journeys(kept, "crm:acme")] == ["DESK"]
    assert [row[0] for row in journeys(kept, ANA)] == ["DESK", "PASTE"]
    for_the_office = bought(4, "PASTE", account="crm:acme")
    sync(kept, SCHEMA, for_the_office, stage_model=model)
    assert [row[0] for row in journeys(kept, "crm:acme")] == ["DESK", "PASTE"]
