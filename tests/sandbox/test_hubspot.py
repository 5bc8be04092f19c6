"""The sandbox's HubSpot, reading: lists, search, batches, associations, definitions, logins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.sandbox.hubspot import HubSpot

PAST = "2026-01-05T00:00:00Z"
SAME_SECOND = {"propertyName": "lastmodifieddate", "operator": "EQ", "value": "1767571200000"}


@pytest.fixture
def http(hubspot: HubSpot) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {hubspot.token}"
        yield session


def get(hubspot: HubSpot, http: requests.Session, path: str, **query: Any) -> Any:
    return http.get(hubspot.url + path, params=query).json()


def post(hubspot: HubSpot, http: requests.Session, path: str, **body: Any) -> Any:
    return http.post(hubspot.url + path, json=body).json()


def search(hubspot: HubSpot, http: requests.Session, kind: str, *rules: Any, **more: Any) -> Any:
    groups = [{"filters": list(rules)}] if rules else []
    return post(
        hubspot,
        http,
        f"/crm/v3/objects/{kind}/search",
        filterGroups=groups,
        **{"limit": 200} | more,
    )


def ids(answer: Any) -> list[str]:
    return [row["id"] for row in answer["results"]]


# -- lists ---------------------------------------------------------------------------------------


def test_a_list_shows_what_is_asked_for_as_texts_and_null(
    hubspot: HubSpot, http: requests.Session
) -> None:
    hubspot.world.add("deals", {"dealname": "X1", "amount": 1200, "hs_is_closed": False}, at=PAST)
    asked = {"properties": "amount,hs_is_closed,closedate,no_such_property"}
    (row,) = get(hubspot, http, "/crm/v3/objects/deals", **asked)["results"]
    assert row["properties"] == {
        "amount": "1200",
        "hs_is_closed": "false",
        "closedate": None,
        "createdate": "2026-01-05T00:00:00.000Z",
        "hs_lastmodifieddate": "2026-01-05T00:00:00.000Z",
        "hs_object_id": row["id"],
    }
    assert (row["updatedAt"], row["archived"]) == ("2026-01-05T00:00:00.000Z", False)


def test_a_list_is_paged_until_there_is_no_next(hubspot: HubSpot, http: requests.Session) -> None:
    expected = [hubspot.world.add("deals", at=PAST) for _ in range(5)]
    seen, after = [], None
    while True:
        query = {"limit": 2} | ({"after": after} if after else {})
        page = get(hubspot, http, "/crm/v3/objects/0-3", **query)
        seen += ids(page)
        if "paging" not in page:
            break
        after = page["paging"]["next"]["after"]
    assert seen == expected


def test_history_is_told_newest_first_and_makes_pages_shorter(
    hubspot: HubSpot, http: requests.Session
) -> None:
    deal = hubspot.world.add("deals", {"dealstage": "qualifiedtobuy"}, at=PAST)
    hubspot.world.update("deals", deal, {"dealstage": "closedwon"}, at="2026-02-01T10:00:00Z")
    path = "/crm/v3/objects/deals"
    (row,) = get(hubspot, http, path, propertiesWithHistory="dealstage")["results"]
    assert [
        (each["value"], each["timestamp"]) for each in row["propertiesWithHistory"]["dealstage"]
    ] == [
        ("closedwon", "2026-02-01T10:00:00.000Z"),
        ("qualifiedtobuy", "2026-01-05T00:00:00.000Z"),
    ]
    asked = {"properties": "hs_is_closed_won,hs_v2_date_entered_closedwon"}
    (row,) = get(hubspot, http, path, **asked)["results"]
    assert row["properties"]["hs_is_closed_won"] == "true"
    assert row["properties"]["hs_v2_date_entered_closedwon"] == "2026-02-01T10:00:00.000Z"
    for query in ({"limit": 101}, {"limit": 51, "propertiesWithHistory": "dealstage"}):
        assert get(hubspot, http, path, **query)["category"] == "VALIDATION_ERROR"


def test_archived_objects_are_in_a_list_of_their_own_and_keep_their_time(
    hubspot: HubSpot, http: requests.Session
) -> None:
    contact = hubspot.world.add("contacts", at=PAST)
    hubspot.world.archive("contacts", contact, at="2026-02-01T00:00:00Z")
    path = "/crm/v3/objects/contacts"
    assert get(hubspot, http, path)["results"] == []
    assert search(hubspot, http, "contacts")["total"] == 0
    (row,) = get(hubspot, http, path, archived="true")["results"]
    assert (row["archived"], row["archivedAt"]) == (True, "2026-02-01T00:00:00.000Z")
    assert row["updatedAt"] == "2026-01-05T00:00:00.000Z"


def test_merged_contacts_are_one_that_answers_to_both_ids(
    hubspot: HubSpot, http: requests.Session
) -> None:
    world = hubspot.world
    one, two = (world.add("contacts", {"email": f"{name}@x.test"}, at=PAST) for name in "ab")
    company = world.add("companies", at=PAST)
    world.associate("contacts", one, "companies", company)
    world.merge("contacts", one, two)
    path = f"/crm/v3/objects/contacts/{one}"
    row = get(hubspot, http, path, properties="hs_merged_object_ids,hs_additional_emails")
    assert row["id"] == two
    assert row["properties"]["hs_merged_object_ids"] == one
    assert row["properties"]["hs_additional_emails"] == "a@x.test"
    assert ids(get(hubspot, http, "/crm/v3/objects/contacts")) == [two]
    path = f"/crm/v4/objects/companies/{company}/associations/contacts"
    assert [each["toObjectId"] for each in get(hubspot, http, path)["results"]] == [two]


def test_an_address_that_is_too_long_is_refused(hubspot: HubSpot, http: requests.Session) -> None:
    names = ",".join(f"property_with_a_long_name_{number}" for number in range(600))
    url = f"{hubspot.url}/crm/v3/objects/deals?properties={names}"
    assert http.get(url).status_code == 414


@pytest.mark.parametrize(
    "path",
    [
        "/crm/v3/objects/deals?after=x",
        "/crm/v3/objects/deals?limit=0",
        "/crm/v3/objects/nothings",
        "/crm/v3/owners?after=x",
    ],
)
def test_a_bad_request_is_refused(path: str, hubspot: HubSpot, http: requests.Session) -> None:
    answer = http.get(hubspot.url + path)
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")


# -- search --------------------------------------------------------------------------------------


def test_search_ends_at_10_000_rows_and_ids_lead_past_it(
    hubspot: HubSpot, http: requests.Session
) -> None:
    expected = [hubspot.world.add("contacts", at=PAST) for _ in range(10_050)]
    by_id = {"sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}]}
    page = search(hubspot, http, "contacts", SAME_SECOND, **by_id, after="9800")
    assert (page["total"], len(page["results"])) == (10_050, 200)
    assert page["paging"]["next"]["after"] == "10000"
    refused = search(hubspot, http, "contacts", SAME_SECOND, **by_id, after="10000")
    assert refused["category"] == "VALIDATION_ERROR"
    last = {"propertyName": "hs_object_id", "operator": "GT", "value": ids(page)[-1]}
    rest = search(hubspot, http, "contacts", SAME_SECOND, last, **by_id)
    assert ids(rest) == expected[10_000:]


OPERATORS: list[tuple[dict[str, Any], set[str]]] = [
    ({"operator": "EQ", "value": "20"}, {"b"}),
    ({"operator": "NEQ", "value": "20"}, {"a", "c", "none"}),
    ({"operator": "LT", "value": "20"}, {"a"}),
    ({"operator": "LTE", "value": "20"}, {"a", "b"}),
    ({"operator": "GT", "value": "3"}, {"a", "b", "c"}),
    ({"operator": "GTE", "value": "20"}, {"b", "c"}),
    ({"operator": "BETWEEN", "value": "15", "highValue": "25"}, {"b"}),
    ({"operator": "IN", "values": ["10", "30"]}, {"a", "c"}),
    ({"operator": "NOT_IN", "values": ["10", "30"]}, {"b"}),
    ({"operator": "HAS_PROPERTY"}, {"a", "b", "c"}),
    ({"operator": "NOT_HAS_PROPERTY"}, {"none"}),
]


@pytest.mark.parametrize(
    ("rule", "expected"),
    OPERATORS,
    ids=lambda each: each.get("operator") if isinstance(each, dict) else "",
)
def test_search_compares_numbers_as_numbers(
    rule: dict[str, Any], expected: set[str], hubspot: HubSpot, http: requests.Session
) -> None:
    for name, amount in {"a": 10, "b": 20, "c": 30, "none": None}.items():
        hubspot.world.add("deals", {"dealname": name, "amount": amount}, at=PAST)
    found = search(
        hubspot, http, "deals", {"propertyName": "amount", **rule}, properties=["dealname"]
    )
    assert {row["properties"]["dealname"] for row in found["results"]} == expected


def test_search_takes_tokens_times_and_both_forms_of_sorting(
    hubspot: HubSpot, http: requests.Session
) -> None:
    world = hubspot.world
    old = world.add("companies", {"domain": "Acme.example"}, at=PAST)
    new = world.add("companies", {"domain": "other.example"}, at="2026-02-01T00:00:00Z")
    token = {"propertyName": "domain", "operator": "CONTAINS_TOKEN", "value": "acme*"}
    assert ids(search(hubspot, http, "companies", token)) == [old]
    assert ids(search(hubspot, http, "companies", query="other")) == [new]
    for value in ("1769904000000", "2026-02-01T00:00:00Z"):
        rule = {"propertyName": "hs_lastmodifieddate", "operator": "GTE", "value": value}
        assert ids(search(hubspot, http, "companies", rule)) == [new]
    for sort in ("-hs_lastmodifieddate", {"propertyName": "domain", "direction": "DESCENDING"}):
        assert ids(search(hubspot, http, "companies", sorts=[sort])) == [new, old]


def test_search_never_brings_associations_or_history(
    hubspot: HubSpot, http: requests.Session
) -> None:
    hubspot.world.add("deals", {"dealstage": "closedwon"}, at=PAST)
    asked = {"propertiesWithHistory": ["dealstage"], "associations": ["contacts"]}
    (row,) = search(hubspot, http, "deals", **asked)["results"]
    assert row.keys() == {"id", "properties", "createdAt", "updatedAt", "archived"}


def test_the_index_lags_behind_and_shows_what_was(hubspot: HubSpot, http: requests.Session) -> None:
    hubspot.faults.index_lag_s = 30
    deal = hubspot.world.add("deals", {"dealname": "old"})
    assert search(hubspot, http, "deals")["total"] == 0
    hubspot.clock.advance(30)
    hubspot.world.update("deals", deal, {"dealname": "new"})

    def found() -> list[str]:
        rows = search(hubspot, http, "deals")["results"]
        return [row["properties"]["dealname"] for row in rows]

    assert found() == ["old"]
    (row,) = get(hubspot, http, "/crm/v3/objects/deals")["results"]
    assert row["properties"]["dealname"] == "new"
    hubspot.clock.advance(30)
    assert found() == ["new"]


BAD_SEARCHES = [
    {"limit": 201},
    {"sorts": ["amount", "dealname"]},
    {"sorts": ["no_such_property"]},
    {"filterGroups": [{"filters": [{"propertyName": "amount", "operator": "LIKE", "value": "1"}]}]},
    {"filterGroups": [{"filters": [{"propertyName": "amount", "operator": "EQ"}]}]},
    {"filterGroups": [{"filters": [SAME_SECOND] * 7}]},
    {"filterGroups": [{"filters": []}] * 6},
]


@pytest.mark.parametrize("body", BAD_SEARCHES, ids=str)
def test_a_bad_search_is_refused(
    body: dict[str, Any], hubspot: HubSpot, http: requests.Session
) -> None:
    answer = http.post(f"{hubspot.url}/crm/v3/objects/deals/search", json=body)
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")


# -- batches and associations --------------------------------------------------------------------


def test_a_batch_that_is_found_in_part_is_a_207(hubspot: HubSpot, http: requests.Session) -> None:
    contact = hubspot.world.add("contacts", {"email": "a@x.test"}, at=PAST)
    url = f"{hubspot.url}/crm/v3/objects/contacts/batch/read"
    answer = http.post(url, json={"inputs": [{"id": contact}], "properties": ["email"]})
    assert (answer.status_code, "errors" in answer.json()) == (200, False)
    body = {"inputs": [{"id": "a@x.test"}, {"id": "b@x.test"}], "idProperty": "email"}
    answer = http.post(url, json=body)
    assert (answer.status_code, ids(answer.json())) == (207, [contact])
    assert answer.json()["numErrors"] == 1
    assert answer.json()["errors"][0]["context"] == {"ids": ["b@x.test"]}


@pytest.mark.parametrize(
    ("size", "history", "status"),
    [(100, [], 207), (101, [], 400), (50, ["email"], 207), (51, ["email"], 400)],
)
def test_a_batch_takes_100_ids_or_50_with_history(
    size: int, history: list[str], status: int, hubspot: HubSpot, http: requests.Session
) -> None:
    body = {"inputs": [{"id": str(number)} for number in range(size)]}
    url = f"{hubspot.url}/crm/v3/objects/contacts/batch/read"
    answer = http.post(url, json=body | {"propertiesWithHistory": history})
    assert answer.status_code == status


def test_associations_of_one_object_take_more_than_one_page(
    hubspot: HubSpot, http: requests.Session
) -> None:
    deal, lonely = (hubspot.world.add("deals", at=PAST) for _ in range(2))
    items = [hubspot.world.add("line_items", at=PAST) for _ in range(250)]
    for item in items:
        hubspot.world.associate("deals", deal, "line_items", item)
    path = "/crm/v4/associations/deals/line_items/batch/read"
    seen, asked = [], {"id": deal}
    while True:
        answer = post(hubspot, http, path, inputs=[asked])
        (result,) = answer["results"]
        seen += [each["toObjectId"] for each in result["to"]]
        if "paging" not in result:
            break
        asked = {"id": deal, "after": result["paging"]["next"]["after"]}
    assert seen == items
    answer = post(hubspot, http, path, inputs=[{"id": deal}, {"id": lonely}])
    assert [each["from"]["id"] for each in answer["results"]] == [deal]
    assert answer["errors"][0]["context"]["fromObjectId"] == [lonely]

    asked = {"associations": "line_items"}
    row = get(hubspot, http, "/crm/v3/objects/deals", **asked)["results"][0]
    assert len(row["associations"]["line items"]["results"]) == 100
    assert row["associations"]["line items"]["paging"]["next"]["after"] == items[100]


def test_a_role_is_a_label_of_the_user_and_changes_no_object(
    hubspot: HubSpot, http: requests.Session
) -> None:
    deal, contact = (hubspot.world.add(kind, at=PAST) for kind in ("deals", "contacts"))
    hubspot.world.associate("deals", deal, "contacts", contact, label="Champion")
    path = "/crm/v4/associations/deals/contacts/batch/read"
    (result,) = post(hubspot, http, path, inputs=[{"id": deal}])["results"]
    (found,) = result["to"]
    types = {each["category"]: each.get("label") for each in found["associationTypes"]}
    assert types == {"HUBSPOT_DEFINED": None, "USER_DEFINED": "Champion"}
    row = get(hubspot, http, f"/crm/v3/objects/deals/{deal}")
    assert row["updatedAt"] == "2026-01-05T00:00:00.000Z"
    hubspot.integer_ids = True
    (result,) = post(hubspot, http, path, inputs=[{"id": deal}])["results"]
    assert result["to"][0]["toObjectId"] == int(contact)


# -- definitions, forms, owners ------------------------------------------------------------------


def test_definitions_are_listed(hubspot: HubSpot, http: requests.Session) -> None:
    hubspot.world.define("deals", "region", "enumeration", "select", options=["north", "south"])
    rows = get(hubspot, http, "/crm/v3/properties/deals")["results"]
    found = {row["name"]: row for row in rows}
    assert [option["value"] for option in found["region"]["options"]] == ["north", "south"]
    assert found["amount"]["type"] == "number"
    (pipeline,) = get(hubspot, http, "/crm/v3/pipelines/deals")["results"]
    won = {stage["id"]: stage["metadata"] for stage in pipeline["stages"]}["closedwon"]
    assert won == {"isClosed": "true", "probability": "1.0"}


def test_submissions_are_told_newest_first(hubspot: HubSpot, http: requests.Session) -> None:
    hubspot.world.add_form("f-1", "Contact us")
    for minute in (1, 3, 2):
        hubspot.world.submit("f-1", {"email": "a@x.test"}, at_ms=minute)
    (form,) = get(hubspot, http, "/marketing/v3/forms")["results"]
    path = f"/form-integrations/v1/submissions/forms/{form['id']}"
    page = get(hubspot, http, path, limit=2)
    assert [each["submittedAt"] for each in page["results"]] == [3, 2]
    page = get(hubspot, http, path, limit=2, after=page["paging"]["next"]["after"])
    assert [each["submittedAt"] for each in page["results"]] == [1]
    assert get(hubspot, http, path, limit=51)["category"] == "VALIDATION_ERROR"


def test_archived_owners_are_in_a_list_of_their_own(
    hubspot: HubSpot, http: requests.Session
) -> None:
    here = hubspot.world.add_owner("a@us.test")
    gone = hubspot.world.add_owner("b@us.test", archived=True)
    assert ids(get(hubspot, http, "/crm/v3/owners")) == [here]
    assert ids(get(hubspot, http, "/crm/v3/owners", archived="true")) == [gone]


def test_dated_addresses_answer_as_the_classic_ones(
    hubspot: HubSpot, http: requests.Session
) -> None:
    deal = hubspot.world.add("deals", at=PAST)
    assert ids(get(hubspot, http, "/crm/objects/2026-09/deals")) == [deal]
    path = "/crm/associations/2026-09/deals/contacts/batch/read"
    assert post(hubspot, http, path, inputs=[{"id": deal}])["numErrors"] == 1


# -- logins, scopes, limits ----------------------------------------------------------------------


def test_tokens_are_refused_in_three_ways(hubspot: HubSpot, http: requests.Session) -> None:
    def ask(value: str | None) -> requests.Response:
        headers = {"Authorization": value}
        return requests.get(f"{hubspot.url}/crm/v3/owners", headers=headers, timeout=5)

    assert ask(None).json()["category"] == "INVALID_AUTHENTICATION"
    assert ask("Bearer unknown").status_code == 401
    assert ask("Bearer two words").status_code == 530
    token = hubspot.new_access_token()
    assert ask(f"Bearer {token}").status_code == 200
    hubspot.clock.advance(1800)
    expired = ask(f"Bearer {token}")
    assert (expired.status_code, expired.json()["category"]) == (401, "EXPIRED_AUTHENTICATION")


def test_a_refresh_token_stays_and_gives_tokens_that_tell_their_scopes(
    hubspot: HubSpot, http: requests.Session
) -> None:
    login = {
        "grant_type": "refresh_token",
        "client_id": "sandbox-client",
        "client_secret": "sandbox-client-secret",
        "refresh_token": hubspot.refresh_token,
    }
    for path in ("/oauth/v1/token", "/oauth/v3/token"):
        answer = http.post(hubspot.url + path, data=login).json()
        assert (answer["expires_in"], answer["refresh_token"]) == (1800, hubspot.refresh_token)
    hubspot.faults.missing_scopes = {"deals"}
    told = get(hubspot, http, f"/oauth/v1/access-tokens/{answer['access_token']}")
    assert "crm.objects.contacts.read" in told["scopes"]
    assert "crm.objects.deals.read" not in told["scopes"]
    wrong = http.post(f"{hubspot.url}/oauth/v1/token", data=login | {"refresh_token": "x"})
    assert (wrong.status_code, wrong.json()["category"]) == (400, "BAD_REFRESH_TOKEN")


@pytest.mark.parametrize("missing", ["deals", "crm.objects.deals.read"])
def test_a_missing_scope_is_named(missing: str, hubspot: HubSpot, http: requests.Session) -> None:
    hubspot.faults.missing_scopes = {missing}
    for path in ("/crm/v3/objects/deals", "/crm/v3/pipelines/deals"):
        answer = http.get(hubspot.url + path)
        assert (answer.status_code, answer.json()["category"]) == (403, "MISSING_SCOPES")
        (problem,) = answer.json()["errors"]
        assert problem["context"] == {"requiredGranularScopes": ["crm.objects.deals.read"]}
    assert http.get(f"{hubspot.url}/crm/v3/objects/contacts").status_code == 200


def test_search_has_a_bucket_of_its_own_and_is_silent_about_it(
    hubspot: HubSpot, http: requests.Session
) -> None:
    hubspot.limits.off = False
    url = f"{hubspot.url}/crm/v3/objects/deals/search"
    answers = [http.post(url, json={}) for _ in range(6)]
    assert [each.status_code for each in answers] == [200] * 5 + [429]
    assert answers[-1].json()["policyName"] == "SECONDLY"
    assert "Retry-After" not in answers[-1].headers
    assert "X-HubSpot-RateLimit-Max" not in answers[0].headers
    listed = http.get(f"{hubspot.url}/crm/v3/objects/deals").headers
    assert listed["X-HubSpot-RateLimit-Max"] == "190"
    assert listed["X-HubSpot-RateLimit-Remaining"] == "189"
    assert listed["X-HubSpot-RateLimit-Daily-Remaining"] == str(650_000 - 6)


def test_the_daily_limit_is_told_apart_from_the_short_one(
    hubspot: HubSpot, http: requests.Session
) -> None:
    hubspot.limits.off = False
    hubspot.plan("free")
    url = f"{hubspot.url}/crm/v3/owners"
    answers = [http.get(url) for _ in range(101)]
    assert answers[-1].json()["policyName"] == "TEN_SECONDLY_ROLLING"
    hubspot.limits.reset()
    hubspot.faults.daily_limit_reached = True
    assert http.get(url).json()["policyName"] == "DAILY"
