"""The sources this tap reads: one line each."""

from tap_journeys.sources.base import Source
from tap_journeys.sources.files import Files
from tap_journeys.sources.ga4 import GA4
from tap_journeys.sources.hubspot import HubSpot
from tap_journeys.sources.rest import Rest
from tap_journeys.sources.salesforce import Salesforce
from tap_journeys.sources.zendesk import Zendesk

SOURCES: dict[str, type[Source]] = {
    "files": Files,
    "ga4": GA4,
    "hubspot": HubSpot,
    "rest": Rest,
    "salesforce": Salesforce,
    "zendesk": Zendesk,
}
