"""The map of a category: what its journeys were like in one period, from their counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from journeys.measures import SEEN, told
from journeys.statistics import CONFIDENCE, Interval, mean, nps, quantile, wilson
from journeys.tallies import HIGHEST_DETRACTOR, LOWEST_PROMOTER, is_good, score_of

MOST = 10  # actions, mishaps and variants that a map lists
DAY = 86_400.0
P50, P90 = 0.5, 0.9
NEAR = 1  # stages that a path may differ in to be close to the modal one
VERSION = 1  # raised when a map says something else of the same counters


@dataclass(slots=True)
class Stop:
    """One stage of a map while its counters are read."""

    entered: int = 0
    left: Counter[str] = field(default_factory=Counter)  # progress, back, loss:<outcome>, open
    moves: Counter[str] = field(default_factory=Counter)  # to which stage
    dwell: Counter[int] = field(default_factory=Counter)  # log-spaced bucket → stays that went on
    conditions: Counter[str] = field(default_factory=Counter)
    actions: Counter[tuple[str, str]] = field(default_factory=Counter)  # type, channel → journeys
    channels: Counter[str] = field(default_factory=Counter)
    mishaps: Counter[tuple[str, str]] = field(default_factory=Counter)  # kind, what
    promises: dict[str, Counter[str]] = field(default_factory=dict)  # name → state → how often
    answers: dict[str, Counter[str]] = field(default_factory=dict)  # nps, csat, ces → score


Counted = Iterable[tuple[Sequence[str], int]]  # key in the order of `Key`, n


def draw(counted: Counted, order: Sequence[str], confidence: float = CONFIDENCE) -> dict[str, Any]:
    """The map, ready for JSON; ``order`` names the stages of the model, first to last.

    The counters are those of one category, persona and period (or of several of these, summed).
    Keys: ``journeys`` (how many, open, bought, how they ended); ``conversion`` (of those that have
    bought or ended: what is still open may yet buy) and ``retention`` (of those that bought), with
    intervals; ``stages`` (entered, left, dwell in days, conditions, actions, pain points, promises,
    answers, channels), ``flows``, ``variants``, ``visibility`` (what could be seen and what could
    not), ``answers`` of all stages, ``detours``, ``goals``.
    """
    stops: dict[str, Stop] = {name: Stop() for name in order}
    whole = _Whole()
    for key, n in counted:
        if key[6]:
            continue  # a product's own sum counts the same journeys once more
        for (_, name, bucket, _, stage, channel, *_), count, _ in told(key, n, 0):
            if stage:
                stop = stops.get(stage)
                if stop is None:
                    stop = stops[stage] = Stop()
                _at(stop, name, bucket, channel, count)
            whole.take(name, bucket, count)
    entered = {name: stop for name, stop in stops.items() if stop.entered}
    waiting = sum(stop.left["open"] for stop in entered.values())
    return {
        "version": VERSION,
        "journeys": {
            "all": whole.journeys.total(),
            "open": whole.open,
            "bought": whole.bought,
            "outcomes": most_first(whole.outcomes),
        },
        "conversion": share(whole.bought, whole.decided, confidence),
        "retention": share(whole.kept, whole.bought, confidence),
        "stages": [_stage(name, stop, confidence) for name, stop in entered.items()],
        "flows": [
            {"from": name, "to": to, "count": count}
            for name, stop in entered.items()
            for to, count in most_first(stop.moves).items()
        ],
        "variants": variants(whole.variants),
        "visibility": whole.visibility(
            share(waiting, sum(stop.entered for stop in entered.values()), confidence)
        ),
        "answers": answers(whole.answers, confidence),
        "detours": most_first(whole.detours),
        "goals": most_first(whole.goals),
    }


def _at(stop: Stop, name: str, bucket: str, channel: str, n: int) -> None:
    """Let one counter of a stage say its part."""
    first, _, rest = bucket.partition("|")
    if name == "entered":
        stop.entered += n
    elif name == "left" and not channel:
        stop.left[bucket] += n
    elif name == "waiting":
        stop.left["open"] += n
    elif name == "move":
        stop.moves[bucket.partition(">")[2]] += n
    elif name == "dwell" and first == "progress":
        stop.dwell[int(rest)] += n
    elif name == "condition":
        stop.conditions[bucket] += n
    elif name == "step":
        stop.actions[first, channel] += n
        stop.channels[channel] += n
        if first in ONCE_IS_ENOUGH and rest.endswith("|again"):
            stop.mishaps["again", first] += n
    elif name == "roadblock":
        stop.mishaps["roadblock", bucket] += n
    elif name == "repeat":
        stop.mishaps["repeat", "information repeated"] += n
    elif name == "promise":
        stop.promises.setdefault(first, Counter())[rest] += n
        if rest == "missed":
            stop.mishaps["promise", first] += n
    elif name in ANSWERS:
        stop.answers.setdefault(name, Counter())[bucket] += n
        if is_good(name, bucket) is False:
            stop.mishaps["feedback", name] += n


ANSWERS = ("nps", "csat", "ces")
# Steps that nobody takes twice for pleasure; to look at a product again, or to buy it, is no pain.
ONCE_IS_ENOUGH = frozenset(
    {"checkout_started", "checkout_step_completed", "payment_entered", "coupon_denied"}
)
LOST_AFTER = frozenset({"churned", "expired", "returned", "order_cancelled"})


class _Whole:
    """What counts for journeys as wholes."""

    def __init__(self) -> None:
        self.journeys: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.open = self.bought = self.kept = self.decided = self.jumps = 0
        self.variants: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self.dark: Counter[int] = Counter()
        self.answers: dict[str, Counter[str]] = {}
        self.detours: Counter[str] = Counter()
        self.goals: Counter[str] = Counter()

    def take(self, name: str, bucket: str, n: int) -> None:
        """Let one counter say its part."""
        if name == "journeys":
            end, _, bought = bucket.partition("|")
            self.journeys[end] += n
            if end == "open":
                self.open += n
            else:
                self.outcomes[end] += n
            if bought or end != "open":
                self.decided += n
            if bought or end == "won":
                self.bought += n
                self.kept += 0 if end in LOST_AFTER else n
        elif name == "variant":
            self.variants[bucket] += n
        elif name == "visibility":
            self.seen[bucket] += n
        elif name == "dark":
            self.dark[int(bucket)] += n
        elif name == "jumps":
            self.jumps += n
        elif name == "detour":
            self.detours[bucket] += n
        elif name == "goal":
            self.goals[bucket] += n
        elif name in ANSWERS:
            self.answers.setdefault(name, Counter())[bucket] += n

    def visibility(self, censored: Mapping[str, Any]) -> dict[str, Any]:
        """What of these journeys was seen, by whom, and what was not."""
        journeys = self.dark.total()
        return {
            "events": {name: self.seen[name] for name in SEEN},
            "dark_share": round(sum(tenth * n for tenth, n in self.dark.items()) / journeys / 10, 3)
            if journeys
            else None,
            "jumps": self.jumps,
            "censored": censored,
        }


def _stage(name: str, stop: Stop, confidence: float) -> dict[str, Any]:
    ended = stop.entered - stop.left["open"]
    losses = {
        word.partition(":")[2]: n for word, n in stop.left.items() if word.startswith("loss:") and n
    }
    return {
        "stage": name,
        "entered": stop.entered,
        "progress": share(stop.left["progress"], ended, confidence),
        "back": stop.left["back"],
        "lost": most_first(Counter(losses)),
        "open": stop.left["open"],
        "dwell_days": {
            "p50": _days(quantile(stop.dwell.items(), P50)),
            "p90": _days(quantile(stop.dwell.items(), P90)),
            "n": stop.dwell.total(),
        },
        "conditions": most_first(stop.conditions),
        "channels": most_first(stop.channels),
        "actions": [
            {"event_type": kind, "channel": channel, "journeys": n}
            for (kind, channel), n in _most(stop.actions)
        ],
        "pain_points": [
            {"kind": kind, "what": what, "count": n} for (kind, what), n in _most(stop.mishaps)
        ],
        "promises": {
            each: {
                "kept": states["kept"],
                "missed": states["missed"],
                "open": states["open"],
                **share(states["kept"], states["kept"] + states["missed"], confidence),
            }
            for each, states in sorted(stop.promises.items())
        },
        "answers": answers(stop.answers, confidence),
    }


def answers(given: Mapping[str, Counter[str]], confidence: float) -> dict[str, Any]:
    """NPS, CSAT and CES with how many answered; CSAT is the share of good answers."""
    found: dict[str, Any] = {}
    for name, buckets in sorted(given.items()):
        scores = [(score_of(bucket), n) for bucket, n in buckets.items()]
        known = [(each[0], n) for each, n in scores if each is not None]
        n = sum(count for _, count in known)
        if not n:
            continue
        if name == "nps":
            up = sum(count for score, count in known if score >= LOWEST_PROMOTER)
            down = sum(count for score, count in known if score <= HIGHEST_DETRACTOR)
            found[name] = _interval(nps(up, down, n, confidence)) | {"n": n}
        elif name == "csat":
            good = sum(count for bucket, count in buckets.items() if is_good(name, bucket))
            found[name] = share(good, n, confidence)
        elif (middle := mean(known, confidence)) is not None:
            found[name] = _interval(middle) | {"n": n}
    return found


def variants(counted: Counter[str]) -> dict[str, Any]:
    """The ways that journeys took, and how far the commonest stands for them.

    ``representativeness`` is the share of journeys that took exactly the commonest way; ``near``
    also counts those that differ by one stage. A map of an average journey may be drawn only
    beside these two.
    """
    n = counted.total()
    if not n:
        return {"n": 0, "distinct": 0, "representativeness": None, "near": None, "most": []}
    modal = min(counted, key=lambda way: (-counted[way], way))
    path = modal.split(">")
    near = sum(count for way, count in counted.items() if within(way.split(">"), path, NEAR))
    return {
        "n": n,
        "distinct": len(counted),
        "representativeness": round(counted[modal] / n, 4),
        "near": round(near / n, 4),
        "most": [
            {"stages": way.split(">"), "journeys": count, "share": round(count / n, 4)}
            for way, count in _most(counted)
        ],
    }


def within(one: Sequence[str], other: Sequence[str], most: int) -> bool:
    """Whether at most so many stages have to be put in, left out or changed (Levenshtein)."""
    if abs(len(one) - len(other)) > most:
        return False
    row = list(range(len(other) + 1))
    for i, stage in enumerate(one, 1):
        corner, row[0] = row[0], i
        for j, wanted in enumerate(other, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (stage != wanted))
    return row[-1] <= most


def share(hits: int, n: int, confidence: float = CONFIDENCE) -> dict[str, Any]:
    """A share of n with Wilson's interval; no value where there is nothing to count."""
    found = _interval(wilson(hits, n, confidence)) | {"n": n}
    return found if n else found | {"value": None}


def _interval(found: Interval) -> dict[str, Any]:
    return {name: round(value, 4) for name, value in found._asdict().items()}


def _days(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds / DAY, 3)


def most_first(counts: Counter[str]) -> dict[str, int]:
    """The same counts without zeros, largest first."""
    return {
        name: n for name, n in sorted(counts.items(), key=lambda each: (-each[1], each[0])) if n
    }


def _most(counts: Counter[Any]) -> list[tuple[Any, int]]:
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:MOST]
