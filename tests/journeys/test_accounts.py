"""Who belongs to which account."""

from __future__ import annotations

import pytest

from journeys.accounts import AccountRules, Membership, host_of, memberships
from tests.journeys.events import day, happened

ANA = "email:ana@acme.test"


def test_membership_lasts_from_joining_to_leaving():
    joined = happened("account_joined", 0, None, account="crm:acme")
    left = happened("account_left", 5, None, account="crm:acme")
    assert memberships([joined]) == [Membership("crm:acme", ANA, day(0))]
    assert memberships([left, joined]) == [Membership("crm:acme", ANA, day(0), day(5))]


def test_somebody_may_leave_by_another_id_than_the_one_that_joined():
    joined = happened("account_joined", 0, None, account="crm:acme")
    left = happened("account_left", 5, None, account="erp:9", subject="crm_contact:7")
    same = {"people": {"crm_contact:7": ANA}, "accounts": {"erp:9": "crm:acme"}}
    assert memberships([joined, left], **same) == [Membership("crm:acme", ANA, day(0), day(5))]


def test_a_declared_field_holds_one_account_at_a_time():
    rules = AccountRules(fields={"company": "crm"})

    def observed(at, **properties):
        return happened("profile_observed", at, None, properties=properties)

    events = [
        observed(0, company="acme"),
        observed(1, title="Lead"),  # says nothing of it
        observed(2, company="acme"),
        observed(3, company=7),
        observed(9, company=None),
    ]
    assert memberships(reversed(events), rules) == [
        Membership("crm:7", ANA, day(3), day(9)),
        Membership("crm:acme", ANA, day(0), day(3)),
    ]
    assert memberships(events) == []


@pytest.mark.parametrize(
    ("name", "account"),
    [
        ("email:ana@acme.test", "domain:acme.test"),
        ("email:ana@Acme.Test", "domain:acme.test"),
        ("email:ana@gmail.test", None),
        ("email:ana@localhost", None),
        ("email:ana", None),
        ("crm:ana@acme.test", None),
    ],
)
def test_the_domain_of_an_e_mail_names_an_account(name, account):
    rules = AccountRules(email_domain=True, free_domains={"gmail.test"})
    assert rules.domain_account(name) == account
    assert AccountRules().domain_account(name) is None


def test_an_account_that_names_its_domains_is_theirs():
    rules = AccountRules(email_domain=True, free_domains={"gmail.test"})
    domains = ["https://www.acme.test/about", "gmail.test", "acme.example", None, "nonsense"]
    profile = happened(
        "profile_observed", 0, None, subject=None, account="crm:7", properties={"domain": domains}
    )
    linked = [(each.left, each.right) for each in rules.links(profile)]
    assert linked == [("crm:7", "domain:acme.test"), ("crm:7", "domain:acme.example")]
    assert not list(AccountRules().links(profile))


def test_a_host_is_read_from_what_people_write():
    assert host_of(" WWW.Acme.test ") == host_of("http://acme.test:80/x") == "acme.test"
    assert host_of("https://") == ""
