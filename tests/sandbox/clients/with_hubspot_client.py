"""Uses HubSpot's official client on an address; prints what it found as JSON.

Runs in an environment of its own: python with_hubspot_client.py URL TOKEN REFRESH_TOKEN
"""

import json
import sys

from hubspot import HubSpot
from hubspot.crm import contacts, deals
from hubspot.crm.associations import v4
from hubspot.crm.properties import ApiException as PropertyError
from hubspot.crm.properties import PropertyCreate
from hubspot.crm.schemas import (
    ObjectSchemaEgg,
    ObjectTypeDefinitionLabels,
    ObjectTypePropertyCreate,
)
from urllib3.util.retry import Retry

url, token, refresh_token = sys.argv[1:]
retry = Retry(total=5, status_forcelist=(429, 502, 503), allowed_methods=None, backoff_factor=0.2)
client = HubSpot(access_token=token, host=url, retry=retry)
found: dict[str, object] = {}

# lists, with history and associations
rows = client.crm.deals.get_all(
    properties=["dealname", "no_such_property"],
    properties_with_history=["dealstage"],
    associations=["contacts"],
)
found["deals"] = [
    (
        row.id,
        row.properties["dealname"],
        [entry.value for entry in row.properties_with_history["dealstage"]],
        [each.id for each in row.associations["contacts"].results] if row.associations else [],
        row.updated_at.isoformat(),
    )
    for row in rows
]
found["archived"] = [row.id for row in client.crm.contacts.get_all(archived=True)]

# search, page by page
seen, after = [], "0"
while after:
    page = client.crm.contacts.search_api.do_search(
        contacts.PublicObjectSearchRequest(
            filter_groups=[
                contacts.FilterGroup(
                    filters=[
                        contacts.Filter(
                            property_name="lastmodifieddate", operator="GTE", value="1767571200000"
                        )
                    ]
                )
            ],
            sorts=["hs_object_id"],
            properties=["email"],
            limit=100,
            after=after,
        )
    )
    seen += [row.properties["email"] for row in page.results]
    after = page.paging.next.after if page.paging else None
found["searched"] = seen
found["total"] = page.total

# batches
ids = [row.id for row in rows]
batch = client.crm.deals.batch_api.read(
    deals.BatchReadInputSimplePublicObjectId(
        inputs=[deals.SimplePublicObjectId(id=each) for each in [*ids, "404"]],
        properties=["dealname"],
        properties_with_history=[],
    )
)
found["read"] = ([row.id for row in batch.results], batch.num_errors, batch.errors[0].category)

# associations, with a page of their own
items, after = [], None
while True:
    page = client.crm.associations.v4.batch_api.get_page(
        "deals",
        "line_items",
        v4.BatchInputPublicFetchAssociationsBatchRequest(
            inputs=[v4.PublicFetchAssociationsBatchRequest(id=ids[0], after=after)]
        ),
    )
    items += [each.to_object_id for each in page.results[0].to]
    if not page.results[0].paging:
        break
    after = page.results[0].paging.next.after
found["line_items"] = items

# definitions
found["stages"] = [
    stage.id for stage in client.crm.pipelines.pipelines_api.get_all("deals").results[0].stages
]
found["owners"] = [owner.email for owner in client.crm.owners.owners_api.get_page().results]
found["forms"] = [form.id for form in client.marketing.forms.forms_api.get_page().results]
egg = PropertyCreate(
    name="journey_stage",
    label="Journey stage",
    type="string",
    field_type="text",
    group_name="contactinformation",
)
found["property"] = client.crm.properties.core_api.create("contacts", egg).name
try:
    client.crm.properties.core_api.create("contacts", egg)
except PropertyError as error:
    found["property again"] = (error.status, json.loads(error.body)["category"])

# writing
written = client.crm.contacts.batch_api.upsert(
    contacts.BatchInputSimplePublicObjectBatchInputUpsert(
        inputs=[
            contacts.SimplePublicObjectBatchInputUpsert(
                id=email,
                id_property="email",
                object_write_trace_id=trace,
                properties={"journey_stage": "using", **more},
            )
            for email, trace, more in (
                ("contact0@x.test", "t-0", {}),
                ("new@x.test", "t-1", {}),
                ("x", "t-2", {"email": "no address"}),
            )
        ]
    )
)
found["upserted"] = [(row.object_write_trace_id, row.new) for row in written.results]
found["not upserted"] = [error.context for error in written.errors]
client.crm.contacts.basic_api.purge(
    contacts.PublicGdprDeleteInput(object_id="new@x.test", id_property="email")
)
kind = client.crm.schemas.core_api.create(
    ObjectSchemaEgg(
        name="journey_stage",
        labels=ObjectTypeDefinitionLabels(singular="Stage", plural="Stages"),
        required_properties=["journey_key"],
        searchable_properties=[],
        primary_display_property="journey_key",
        associated_objects=["CONTACT"],
        properties=[
            ObjectTypePropertyCreate(
                name="journey_key",
                label="Key",
                type="string",
                field_type="text",
                has_unique_value=True,
            )
        ],
    )
)
found["schema"] = kind.name

# a token that expires, and another
fresh = client.oauth.tokens_api.create(
    grant_type="refresh_token",
    client_id="sandbox-client",
    client_secret="sandbox-client-secret",
    refresh_token=refresh_token,
)
found["token"] = (fresh.token_type, fresh.expires_in)
again = HubSpot(access_token=fresh.access_token, host=url)
found["with it"] = len(again.crm.deals.get_all())
told = client.oauth.access_tokens_api.get(fresh.access_token)
found["scopes"] = "crm.objects.deals.read" in told.scopes
sys.stdout.write(json.dumps(found))
