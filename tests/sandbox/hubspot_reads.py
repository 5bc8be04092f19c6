"""HubSpot's addresses that read: lists, batches, associations, definitions, forms, the account."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.sandbox.base import Answer, Request, Routes
from tests.sandbox.hubspot_words import (
    HISTORY_PAGE,
    PAGE,
    association_name,
    batch,
    body,
    error,
    inputs,
    kind_of,
    names,
    not_found,
    number,
    offset,
    row_error,
    shown,
)
from tests.sandbox.hubspot_world import CrmObject, Row, singular

if TYPE_CHECKING:
    from tests.sandbox.hubspot import HubSpot

SUBMISSIONS_PAGE = 50

routes = Routes()


def _next(request: Request, after: str) -> Row:
    """The way to the next page."""
    query = {name: values[-1] for name, values in request.query.items() if name != "after"}
    link = f"{request.base_url}{request.path}?{urlencode(query | {'after': after})}"
    return {"next": {"after": after, "link": link}}


def _asked(request: Request, name: str) -> list[str]:
    return names(request.query.get(name, []))


# -- objects -------------------------------------------------------------------------------------


@routes("GET", "/crm/v3/objects/{kind}")
def _list(hubspot: HubSpot, request: Request, kind: str) -> Answer:
    world = hubspot.world
    kind = kind_of(world, kind)
    history = _asked(request, "propertiesWithHistory")
    limit = number(request, "limit", 10, HISTORY_PAGE if history else PAGE)
    after = offset(request.get("after"))
    rows = world.listed(kind, archived=request.flag("archived"))
    start = bisect_left(rows, after, key=lambda row: row.id)
    results = []
    for row in rows[start : start + limit]:
        told = shown(world, kind, row, _asked(request, "properties"), history=history)
        if wanted := _asked(request, "associations"):
            told |= _associations_of(hubspot, request, kind, row, wanted)
        results.append(told)
    answer: Row = {"results": results}
    if len(rows) > start + limit:
        answer["paging"] = _next(request, str(rows[start + limit].id))
    return Answer(200, answer)


def _associations_of(
    hubspot: HubSpot, request: Request, kind: str, row: CrmObject, wanted: list[str]
) -> Row:
    """The associations beside an object; a type that has none is left out."""
    world = hubspot.world
    found: dict[str, Row] = {}
    for name in wanted:
        to_kind = kind_of(world, name)
        pairs = world.associations[kind, to_kind].get(row.id, {})
        path = association_name(kind, to_kind)
        page = sorted(pairs)[: hubspot.association_page]
        results = [
            {"id": str(to_id), "type": path + ("" if number == 0 else "_labelled")}
            for to_id in page
            for number in range(1 + (len(pairs[to_id]) > 1))
        ]
        if not results:
            continue
        key = to_kind.replace("_", " ")
        found[key] = {"results": results}
        if len(pairs) > len(page):
            after = str(sorted(pairs)[len(page)])
            link = f"{request.base_url}/crm/v3/objects/{kind}/{row.id}/associations/{to_kind}"
            found[key]["paging"] = {"next": {"after": after, "link": f"{link}?after={after}"}}
    return {"associations": found} if found else {}


@routes("GET", "/crm/v3/objects/{kind}/{object_id}")
def _one(hubspot: HubSpot, request: Request, kind: str, object_id: str) -> Answer:
    world = hubspot.world
    kind = kind_of(world, kind)
    row = world.find(kind, object_id, request.get("idProperty"))
    archived = request.flag("archived")
    if row is None or (row.archived_at is not None) != archived:
        raise not_found()
    told = shown(
        world,
        kind,
        row,
        _asked(request, "properties"),
        history=_asked(request, "propertiesWithHistory"),
    )
    if wanted := _asked(request, "associations"):
        told |= _associations_of(hubspot, request, kind, row, wanted)
    return Answer(200, told)


@routes("POST", "/crm/v3/objects/{kind}/batch/read")
def _batch_read(hubspot: HubSpot, request: Request, kind: str) -> Answer:
    world = hubspot.world
    kind = kind_of(world, kind)
    asked = body(request)
    history = asked.get("propertiesWithHistory") or []
    wanted = asked.get("properties") or []
    archived = request.flag("archived")
    results, missing, seen = [], [], set()
    for each in inputs(request, HISTORY_PAGE if history else PAGE):
        value = str(each.get("id"))
        row = world.find(kind, value, asked.get("idProperty"))
        if row is None or (row.archived_at is not None) != archived:
            missing.append(value)
        elif row.id not in seen:
            seen.add(row.id)
            results.append(shown(world, kind, row, wanted, history=history))
    errors = []
    if missing:
        message = (
            f"Could not get some {singular(kind).upper()} objects, they may be deleted or not "
            "exist. Check that ids are valid."
        )
        errors.append(row_error(message, "OBJECT_NOT_FOUND", {"ids": missing}))
    return batch(hubspot.clock, results, errors)


# -- associations --------------------------------------------------------------------------------


@routes("POST", "/crm/v4/associations/{kind}/{to_kind}/batch/read")
def _associations(hubspot: HubSpot, request: Request, kind: str, to_kind: str) -> Answer:
    world = hubspot.world
    kind, to_kind = kind_of(world, kind), kind_of(world, to_kind)
    results, errors = [], []
    for each in inputs(request):
        from_id = str(each.get("id"))
        after = offset(each.get("after"))
        row = world.find(kind, from_id)
        pairs = world.associations[kind, to_kind].get(row.id, {}) if row else {}
        if not pairs:
            errors.append(_without(kind, to_kind, from_id))
            continue
        page, following = _association_page(hubspot, kind, to_kind, pairs, after)
        result: Row = {"from": {"id": from_id}, "to": page}
        if following:
            link = f"{request.base_url}/crm/v4/objects/{kind}/{from_id}/associations/{to_kind}"
            result["paging"] = {"next": {"after": following, "link": f"{link}?after={following}"}}
        results.append(result)
    return batch(hubspot.clock, results, errors)


def _without(kind: str, to_kind: str, from_id: str) -> Row:
    here, there = singular(kind), singular(to_kind)
    return row_error(
        f"No {there} is associated with {here} {from_id}.",
        "OBJECT_NOT_FOUND",
        {"fromObjectId": [from_id], "fromObjectType": [here], "toObjectType": [there]},
        subCategory="crm.associations.NO_ASSOCIATIONS_FOUND",
    )


def _association_page(
    hubspot: HubSpot,
    kind: str,
    to_kind: str,
    pairs: dict[int, list[int]],
    after: int,
    limit: int | None = None,
) -> tuple[list[Row], str | None]:
    """Associations of one object from an id on, and the id where the next page begins."""
    to_ids = [to_id for to_id in sorted(pairs) if to_id >= after]
    size = limit or hubspot.association_page
    page = [
        {
            "toObjectId": to_id if hubspot.integer_ids else str(to_id),
            "associationTypes": [
                {name: value for name, value in spec.items() if value is not None}
                if not hubspot.integer_ids
                else spec
                for spec in hubspot.world.type_specs(kind, to_kind, pairs[to_id])
            ],
        }
        for to_id in to_ids[:size]
    ]
    return page, str(to_ids[size]) if len(to_ids) > size else None


@routes("GET", "/crm/v4/objects/{kind}/{object_id}/associations/{to_kind}")
def _associations_of_one(
    hubspot: HubSpot, request: Request, kind: str, object_id: str, to_kind: str
) -> Answer:
    world = hubspot.world
    kind, to_kind = kind_of(world, kind), kind_of(world, to_kind)
    row = world.find(kind, object_id)
    if row is None:
        raise not_found()
    pairs = world.associations[kind, to_kind].get(row.id, {})
    limit = number(request, "limit", hubspot.association_page, 500)
    after = offset(request.get("after"))
    page, following = _association_page(hubspot, kind, to_kind, pairs, after, limit)
    answer: Row = {"results": page}
    if following:
        answer["paging"] = _next(request, following)
    return Answer(200, answer)


@routes("GET", "/crm/v4/associations/{kind}/{to_kind}/labels")
def _labels(hubspot: HubSpot, request: Request, kind: str, to_kind: str) -> Answer:
    world = hubspot.world
    kind, to_kind = kind_of(world, kind), kind_of(world, to_kind)
    numbers = [world.default_type(kind, to_kind), *world.labels[kind, to_kind].values()]
    return Answer(200, {"results": world.type_specs(kind, to_kind, numbers)})


# -- definitions ---------------------------------------------------------------------------------


@routes("GET", "/crm/v3/properties/{kind}")
def _properties(hubspot: HubSpot, request: Request, kind: str) -> Answer:
    kind = kind_of(hubspot.world, kind)
    archived = request.flag("archived")
    rows = hubspot.world.definitions[kind].values()
    return Answer(200, {"results": [row for row in rows if row["archived"] == archived]})


@routes("GET", "/crm/v3/properties/{kind}/groups")
def _groups(hubspot: HubSpot, request: Request, kind: str) -> Answer:
    rows = hubspot.world.groups[kind_of(hubspot.world, kind)].values()
    return Answer(200, {"results": list(rows)})


@routes("GET", "/crm/v3/properties/{kind}/{name}")
def _property(hubspot: HubSpot, request: Request, kind: str, name: str) -> Answer:
    found = hubspot.world.definitions[kind_of(hubspot.world, kind)].get(name)
    if found is None:
        raise not_found(f"Property {name} does not exist")
    return Answer(200, found)


@routes("GET", "/crm/v3/pipelines/{kind}")
def _pipelines(hubspot: HubSpot, request: Request, kind: str) -> Answer:
    return Answer(200, {"results": hubspot.world.pipelines.get(kind_of(hubspot.world, kind), [])})


@routes("GET", "/crm/v3/pipelines/{kind}/{pipeline_id}")
def _pipeline(hubspot: HubSpot, request: Request, kind: str, pipeline_id: str) -> Answer:
    rows = hubspot.world.pipelines.get(kind_of(hubspot.world, kind), [])
    for row in rows:
        if row["id"] == pipeline_id:
            return Answer(200, row)
    raise not_found()


@routes("GET", "/crm/v3/schemas")
@routes("GET", "/crm-object-schemas/v3/schemas")
def _schemas(hubspot: HubSpot, request: Request) -> Answer:
    return Answer(200, {"results": list(hubspot.world.schemas.values())})


@routes("GET", "/crm/v3/schemas/{kind}")
@routes("GET", "/crm-object-schemas/v3/schemas/{kind}")
def _schema(hubspot: HubSpot, request: Request, kind: str) -> Answer:
    found = hubspot.world.schemas.get(kind_of(hubspot.world, kind))
    if found is None:
        raise not_found()
    return Answer(200, found)


# -- forms, owners, account ----------------------------------------------------------------------


@routes("GET", "/marketing/v3/forms")
def _forms(hubspot: HubSpot, request: Request) -> Answer:
    archived = request.flag("archived")
    rows = [row for row in hubspot.world.forms.values() if row["archived"] == archived]
    return _by_offset(request, rows, 20)


@routes("GET", "/form-integrations/v1/submissions/forms/{form_id}")
def _submissions(hubspot: HubSpot, request: Request, form_id: str) -> Answer:
    if form_id not in hubspot.world.forms:
        raise not_found("form does not exist")
    return _by_offset(request, hubspot.world.submissions[form_id], 20, SUBMISSIONS_PAGE)


@routes("GET", "/crm/v3/owners")
def _owners(hubspot: HubSpot, request: Request) -> Answer:
    archived = request.flag("archived")
    rows = [row for row in hubspot.world.owners.values() if row["archived"] == archived]
    if email := request.get("email"):
        rows = [row for row in rows if row["email"] == email]
    return _by_offset(request, rows, 100, 500)


def _by_offset(request: Request, rows: list[Row], default: int, most: int = PAGE) -> Answer:
    limit, start = number(request, "limit", default, most), offset(request.get("after"))
    answer: Row = {"results": rows[start : start + limit]}
    if start + limit < len(rows):
        answer["paging"] = _next(request, str(start + limit))
    return Answer(200, answer)


@routes("GET", "/account-info/v3/details")
def _account(hubspot: HubSpot, request: Request) -> Answer:
    """From general knowledge."""
    told: dict[str, Any] = {
        "portalId": hubspot.portal_id,
        "accountType": "STANDARD",
        "timeZone": "US/Eastern",
        "companyCurrency": "USD",
        "additionalCurrencies": [],
        "utcOffset": "-05:00",
        "utcOffsetMilliseconds": -18_000_000,
        "uiDomain": "app.hubspot.com",
        "dataHostingLocation": "na1",
    }
    return Answer(200, told)


@routes("GET", "/oauth/v1/access-tokens/{token}")
def _token(hubspot: HubSpot, request: Request, token: str) -> Answer:
    """What a token may do; known for OAuth tokens only."""
    until = hubspot.access_tokens.get(token)
    if until is None:
        return Answer(404, error("Token not found", "OBJECT_NOT_FOUND"))
    left = int((until - hubspot.clock.now()).total_seconds())
    told: Row = {"token": token, "user": "admin@sandbox.test", "hub_domain": "sandbox.test"}
    told |= {"scopes": hubspot.scopes(), "token_type": "access"}
    numbers = {"hub_id": hubspot.portal_id, "app_id": 1, "expires_in": left, "user_id": 12}
    return Answer(200, told | numbers)


@routes("POST", "/oauth/v2/private-apps/get/access-token-info")
def _private_token(hubspot: HubSpot, request: Request) -> Answer:
    """What the token of a private app may do; from general knowledge."""
    if body(request).get("tokenKey") != hubspot.token:
        return Answer(404, error("Token not found", "OBJECT_NOT_FOUND"))
    told = {"userId": 12, "hubId": hubspot.portal_id, "appId": 1, "scopes": hubspot.scopes()}
    return Answer(200, told)
