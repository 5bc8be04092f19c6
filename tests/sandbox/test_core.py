"""What all vendors of the sandbox share: connections, limits, faults, clock, log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
import requests

from tests.sandbox.base import Answer, Request, Routes, Vendor
from tests.sandbox.faults import Faults
from tests.sandbox.hubspot import HubSpot
from tests.sandbox.limits import Bucket, Limits
from tests.sandbox.server import Sandbox, _Server
from tests.sandbox.zendesk import Zendesk

PAST = "2026-01-05T00:00:00Z"


class Now:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def owners(
    hubspot: HubSpot, http: requests.Session, path: str = "/crm/v3/owners"
) -> requests.Response:
    return http.get(hubspot.url + path, headers={"Authorization": f"Bearer {hubspot.token}"})


# -- limits --------------------------------------------------------------------------------------


def test_a_rolling_window_looks_back_from_each_request() -> None:
    now = Now()
    limits = Limits([Bucket("burst", 2, 10)], now)
    assert limits.take(["burst"]) is None
    now.seconds += 6
    assert limits.take(["burst"]) is None
    refused = limits.take(["burst"])
    assert refused is not None and refused[1] == pytest.approx(4)
    now.seconds += 4
    assert limits.take(["burst"]) is None
    refused = limits.take(["burst"])
    assert refused is not None and refused[1] == pytest.approx(6)


def test_a_fixed_window_frees_all_places_at_once() -> None:
    now = Now()
    limits = Limits([Bucket("account", 2, 60, "fixed")], now)
    assert [limits.take(["account"]) is None for _ in range(3)] == [True, True, False]
    now.seconds += 60
    assert [limits.take(["account"]) is None for _ in range(3)] == [True, True, False]


def test_a_place_is_taken_in_every_bucket_or_in_none() -> None:
    limits = Limits([Bucket("account", 5, 60), Bucket("export", 1, 60)], Now())
    assert limits.take(["account", "export"]) is None
    refused = limits.take(["account", "export"])
    assert refused is not None and refused[0].name == "export"
    assert limits.use("account").requests == 1
    assert limits.use("export").refused == 1


def test_the_report_tells_which_share_of_the_rate_was_used() -> None:
    now = Now()
    limits = Limits([Bucket("burst", 10, 10), Bucket("daily", 100, 86_400)], now)
    for _ in range(40):  # one request every 1.25 s is 8 in 10 s
        assert limits.take(["burst"]) is None
        now.seconds += 1.25
    use = limits.report()["burst"]
    assert (use.requests, use.refused, use.span_s) == (40, 0, 48.75)
    assert use.share == pytest.approx(40 / 48.75)
    assert "daily" not in limits.report()


def test_a_rate_factor_makes_windows_shorter_and_off_lets_all_through() -> None:
    now = Now()
    limits = Limits([Bucket("burst", 1, 10)], now)
    limits.rate_factor = 100
    assert limits.take(["burst"]) is None
    refused = limits.take(["burst"])
    assert refused is not None and refused[1] == pytest.approx(0.1)
    limits.off = True
    assert limits.take(["burst"]) is None
    assert limits["burst"].requests == 2


def test_limits_hold_when_requests_come_at_once(hubspot: HubSpot) -> None:
    hubspot.limits.off = False

    def ask() -> None:
        with requests.Session() as http:
            for _ in range(30):
                owners(hubspot, http)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (hubspot.count(200), hubspot.count(429)) == (190, 50)
    assert hubspot.limits.use("burst").refused == 50


# -- faults --------------------------------------------------------------------------------------


FAULTS: dict[str, Callable[[requests.Response], bool]] = {
    "error_share": lambda answer: answer.status_code in {500, 502, 503},
    "truncated_share": lambda answer: answer.status_code == 200 and not is_json(answer),
}


def is_json(answer: requests.Response) -> bool:
    try:
        answer.json()
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("name", FAULTS)
def test_an_answer_goes_wrong(name: str, hubspot: HubSpot, http: requests.Session) -> None:
    setattr(hubspot.faults, name, 1.0)
    assert FAULTS[name](owners(hubspot, http))
    setattr(hubspot.faults, name, 0.0)
    assert owners(hubspot, http).json() == {"results": []}


@pytest.mark.parametrize("name", ["reset_share", "cut_share"])
def test_a_connection_is_reset(name: str, hubspot: HubSpot, http: requests.Session) -> None:
    setattr(hubspot.faults, name, 1.0)
    with pytest.raises(requests.RequestException):
        owners(hubspot, http)
    assert [line.status for line in hubspot.requests()] == [0 if name == "reset_share" else 200]
    setattr(hubspot.faults, name, 0.0)
    assert owners(hubspot, http).status_code == 200


def test_503_can_say_how_long_to_wait(hubspot: HubSpot, http: requests.Session) -> None:
    hubspot.faults.error_share, hubspot.faults.error_statuses = 1.0, (503,)
    assert "Retry-After" not in owners(hubspot, http).headers
    hubspot.faults.retry_after_s = 7
    assert owners(hubspot, http).headers["Retry-After"] == "7"


def test_the_same_request_fails_at_most_so_often_in_a_row(
    hubspot: HubSpot, http: requests.Session
) -> None:
    hubspot.faults.error_share, hubspot.faults.in_a_row = 1.0, 3
    statuses = [owners(hubspot, http).status_code for _ in range(8)]
    assert [status == 200 for status in statuses] == [False, False, False, True] * 2


def test_the_plan_depends_on_seed_and_request_and_not_on_the_order() -> None:
    requests_ = [Request("GET", f"/{number}", {}) for number in range(200)]

    def failing(seed: int, order: list[Request]) -> set[str]:
        faults = Faults(seed=seed, error_share=0.2)
        return {each.path for each in order if faults.decide(each, with_token=False).status}

    assert failing(1, requests_) == failing(1, requests_[::-1])
    assert failing(1, requests_) != failing(2, requests_)
    assert 20 < len(failing(1, requests_)) < 60


def test_an_expired_token_is_refused_until_there_is_a_new_one(
    hubspot: HubSpot, http: requests.Session
) -> None:
    login = {
        "grant_type": "refresh_token",
        "client_id": "sandbox-client",
        "client_secret": "sandbox-client-secret",
        "refresh_token": hubspot.refresh_token,
    }

    def ask(token: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return http.get(f"{hubspot.url}/crm/v3/owners", headers=headers)

    token = http.post(f"{hubspot.url}/oauth/v1/token", data=login).json()["access_token"]
    assert ask(token).status_code == 200
    hubspot.faults.expired_share = 1.0
    assert ask(token).json()["category"] == "EXPIRED_AUTHENTICATION"
    hubspot.faults.expired_share = 0.0
    assert ask(token).status_code == 401
    token = http.post(f"{hubspot.url}/oauth/v1/token", data=login).json()["access_token"]
    assert ask(token).status_code == 200
    hubspot.clock.advance(1801)
    assert ask(token).status_code == 401


def test_latency_comes_before_every_answer(hubspot: HubSpot, http: requests.Session) -> None:
    owners(hubspot, http)
    hubspot.faults.latency_ms = 60
    before = time.monotonic()
    owners(hubspot, http)
    assert time.monotonic() - before >= 0.06


def test_something_happens_at_a_request(hubspot: HubSpot, http: requests.Session) -> None:
    seen: list[str] = []
    hubspot.faults.at_request(2, lambda: seen.append("now"))
    owners(hubspot, http)
    assert seen == []
    owners(hubspot, http)
    owners(hubspot, http)
    assert seen == ["now"]


# -- server --------------------------------------------------------------------------------------


def test_the_log_holds_requests_and_bodies_only_when_asked(
    hubspot: HubSpot, http: requests.Session
) -> None:
    owners(hubspot, http, "/crm/v3/owners?limit=3")
    owners(hubspot, http, "/nowhere")
    assert [(line.method, line.path, line.status) for line in hubspot.requests()] == [
        ("GET", "/crm/v3/owners", 200),
        ("GET", "/nowhere", 404),
    ]
    headers = {"Authorization": f"Bearer {hubspot.token}"}
    for keep in (False, True):
        hubspot.keep_bodies = keep
        http.post(f"{hubspot.url}/crm/v3/objects/deals/search", json={}, headers=headers)
    assert [line.body for line in hubspot.requests("search")] == [None, b"{}"]


def test_a_connection_serves_many_requests_and_closes_with_the_sandbox() -> None:
    with Sandbox("hubspot") as sandbox, requests.Session() as http:
        for _ in range(3):
            owners(sandbox.hubspot, http)
        (server,) = sandbox._servers
        assert len(server._open) == 1
        before = time.monotonic()
        sandbox.__exit__(None)
        assert time.monotonic() - before < 1


def test_a_mistake_of_the_sandbox_is_not_taken_for_the_vendors() -> None:
    class Broken(Vendor):
        name = "broken"

        def answer(self, request: Request) -> Answer:
            raise ZeroDivisionError

    server = _Server(Broken(), 0)
    server.start()
    with requests.Session() as http:
        assert http.get(server.url).status_code == 599
    server.stop()
    (mistake,) = server.mistakes
    assert isinstance(mistake, ZeroDivisionError)


def test_links_lead_to_the_address_that_the_client_used(
    zendesk: Zendesk, http: requests.Session
) -> None:
    zendesk.world.add("tickets", at=PAST)
    http.auth = (f"{zendesk.email}/token", zendesk.api_token)
    url = zendesk.url.replace("127.0.0.1", "localhost")
    answer = http.get(f"{url}/api/v2/incremental/tickets/cursor?start_time=0").json()
    assert answer["after_url"].startswith(url)


def test_a_path_gives_a_route_its_arguments() -> None:
    routes = Routes()

    @routes("GET", "/tickets/{id}")
    def _one() -> Answer:
        return Answer()

    found = routes.find("GET", "/tickets/7")
    assert isinstance(found, tuple) and found[1] == {"id": "7"}
    assert routes.find("PUT", "/tickets/7") == ["GET"]
    assert routes.find("GET", "/tickets/7/audits") == []
