"""What the mapper says about settings and rules that it cannot use."""

import pytest
from singer_sdk.exceptions import ConfigValidationError

from mapper_journeys.settings import load

RULE = {"name": "r", "streams": ["s"], "event_type": "ad_seen", "occurred_at": "$.at"}
PRODUCT = {"name": "p", "streams": ["s"], "emit": "product", "product_id": "$.id"}


def without(key: str) -> dict:
    return {name: value for name, value in RULE.items() if name != key}


BAD_RULES = [
    (
        {**RULE, "whn": {}},
        "Rule 'r' of `rules`: unknown key `whn` (did you mean 'when'?); allowed are name, streams, "
        "emit, when, each, event_type, occurred_at, recorded_at, date_format, timezone, subject, "
        "account, scopes, channel, visibility, observability, value, currency, properties, "
        "supersedes.",
    ),
    (without("streams"), "Rule 'r' of `rules`: `streams` is missing."),
    (without("event_type"), "Rule 'r' of `rules`: `event_type` is missing."),
    (without("occurred_at"), "Rule 'r' of `rules`: `occurred_at` is missing."),
    (without("name"), "Rule number 1 of `rules`: `name` is missing."),
    ({**RULE, "streams": "s"}, "Rule 'r' of `rules`: `streams` must be a valid list."),
    (
        {**RULE, "event_type": "add_seen"},
        "Rule 'r': `event_type` is 'add_seen', which is neither in the vocabulary "
        "(did you mean 'ad_seen'?) nor declared under `stage_model.event_types`.",
    ),
    (
        {**RULE, "event_type": "cart_abandoned"},
        "Rule 'r': `event_type` is 'cart_abandoned', which the engine concludes itself; "
        "no rule may emit it.",
    ),
    (
        {**RULE, "event_type": {"from": "$.a", "map": {"x": "ad_sen"}}},
        "Rule 'r': `event_type` is 'ad_sen', which is neither in the vocabulary "
        "(did you mean 'ad_seen'?) nor declared under `stage_model.event_types`.",
    ),
    (
        {**RULE, "occurred_at": "created"},
        "Rule 'r': `occurred_at` must be a path such as $.created_at.",
    ),
    (
        {**RULE, "timezone": "Europe/Londn"},
        "Rule 'r': `timezone` is 'Europe/Londn', which is no IANA time zone such as Europe/London "
        "(did you mean 'Europe/London'?).",
    ),
    (
        {**RULE, "date_format": "ISO"},
        "Rule 'r': `date_format` must be epoch_s, epoch_ms, epoch_us or a strptime pattern with a "
        "year, such as %d/%m/%Y %H:%M; ISO 8601 needs none.",
    ),
    (
        {**RULE, "date_format": "%H:%M"},
        "Rule 'r': `date_format` must be epoch_s, epoch_ms, epoch_us or a strptime pattern with a "
        "year, such as %d/%m/%Y %H:%M; ISO 8601 needs none.",
    ),
    (
        {**RULE, "when": {"a": {"matches": "("}}},
        "Rule 'r': `when.a.matches` is no regular expression: missing ), unterminated subpattern "
        "at position 0.",
    ),
    (
        {**RULE, "when": {"a": {"equals": 1}}},
        "Rule 'r': `when.a` has the unknown condition 'equals'; allowed are in, prefix, suffix, "
        "contains, matches, gt, gte, lt, lte, exists, not.",
    ),
    (
        {**RULE, "when": {"a": {"gt": 1, "lt": 3}}},
        "Rule 'r': `when.a` must hold exactly one condition of in, prefix, suffix, contains, "
        "matches, gt, gte, lt, lte, exists, not.",
    ),
    (
        {**RULE, "when": {"a": {"exists": "yes"}}},
        "Rule 'r': `when.a.exists` must be true or false.",
    ),
    ({**RULE, "when": {"a": {"in": 1}}}, "Rule 'r': `when.a.in` must be a list of literals."),
    (
        {**RULE, "when": {"$.a": 1}},
        "Rule 'r': `when` writes its keys without $., not as '$.a'.",
    ),
    (
        {**RULE, "when": {"@.a": 1}},
        "Rule 'r': `when.@.a` reads @.a, but there is no `each` around it; write $. instead.",
    ),
    (
        {**RULE, "value": "@.price"},
        "Rule 'r': `value` reads @.price, but there is no `each` around it; write $. instead.",
    ),
    ({**RULE, "value": "$.a..b"}, "Rule 'r': `value` has an empty name in its path $.a..b."),
    ({**RULE, "each": "lines"}, "Rule 'r': `each` must be a path such as $.field."),
    (
        {**RULE, "each": {"entries": "$.a", "prefixes": "x"}},
        "Rule 'r': `each` must be a path such as $.field, {entries: $.field, prefix: …} "
        "or {split: $.field, by: …}.",
    ),
    (
        {**RULE, "each": {"split": "$.a", "by": ""}},
        "Rule 'r': `each.by` must be the text that stands between the parts.",
    ),
    (
        {**RULE, "each": {"entries": "$.a", "prefix": 1}},
        "Rule 'r': `each.prefix` must be a text or a list of texts.",
    ),
    (
        {**RULE, "each": {"entries": "a"}},
        "Rule 'r': `each.entries` must be a path such as $.field.",
    ),
    (
        {**RULE, "scopes": [{"grain": "planet", "id": "$.x"}]},
        "Rule 'r': `scopes[0].grain` is 'planet', but must be one of category, product, item.",
    ),
    (
        {**RULE, "scopes": [{"grain": "item", "id": "$.x", "role": "main"}]},
        "Rule 'r': `scopes[0].role` is 'main', but must be one of primary, candidate, mentioned.",
    ),
    (
        {**RULE, "scopes": [{"grain": "item", "key": "$.x"}]},
        "Rule 'r' of `rules`: `scopes[0].id` is missing.",
    ),
    (
        {**RULE, "visibility": "hidden"},
        "Rule 'r': `visibility` is 'hidden', but must be one of owned, partner, earned, "
        "third_party, buyer_internal.",
    ),
    (
        {**RULE, "observability": "guessed"},
        "Rule 'r': `observability` is 'guessed', but must be one of observed, reported, inferred.",
    ),
    (
        {**RULE, "subject": "$.email"},
        "Rule 'r': `subject` must be a mapping {namespace: $.path}.",
    ),
    (
        {**RULE, "subject": {"a b": "$.email"}},
        "Rule 'r': `subject` has a namespace that is empty or holds a space or a colon.",
    ),
    (
        {**RULE, "properties": {"a": ["$.x"]}},
        "Rule 'r': `properties.a` must be a path such as $.field, a literal, "
        "{from: $.field, map: {theirs: ours}, default: …}, {first: [$.field, $.other]} "
        "or {join: [$.field, $.other], by: /}.",
    ),
    (
        {**RULE, "channel": {"first": ["$.a"], "default": "web"}},
        "Rule 'r': `channel` must be {first: [$.field, …]}, with nothing beside the list.",
    ),
    (
        {**RULE, "channel": {"join": ["$.a", "$.b"]}},
        "Rule 'r': `channel` must be {join: [$.field, …], by: text}, and nothing beside.",
    ),
    (
        {**RULE, "channel": "$.a[k=v]..b"},
        "Rule 'r': `channel` has an empty name in its path $.a[k=v]..b.",
    ),
    (
        {**RULE, "currency": {"first": []}},
        "Rule 'r': `currency` must be {first: [$.field, …]}, with nothing beside the list.",
    ),
    (
        {**RULE, "observability": {"first": ["$.a", "hidden"]}},
        "Rule 'r': `observability` is 'hidden', but must be one of observed, reported, inferred.",
    ),
    (
        {**RULE, "channel": {"from": "$.a", "to": {}}},
        "Rule 'r': `channel` has the unknown key 'to'; allowed are from, map and default.",
    ),
    (
        {**RULE, "value": {"minor_units": "$.amount"}},
        "Rule 'r': `value` must be {minor_units: $.amount, currency: $.currency}, with `digits` at "
        "most beside them.",
    ),
    (
        {**RULE, "value": {"minor_units": "$.amount", "currency": "euro"}},
        "Rule 'r': `value.currency` must be a code of ISO 4217, such as EUR.",
    ),
    (
        {**RULE, "value": {"minor_units": "$.amount", "currency": "$.c", "digits": {"ISK": 9}}},
        "Rule 'r': `value.digits` must be a mapping of codes to 0 to 4, {ISK: 2}.",
    ),
    (
        {**RULE, "channel": {"from": "a", "map": {}}},
        "Rule 'r': `channel.from` must be a path such as $.field.",
    ),
    (
        {**RULE, "supersedes": {"rule": "q", "key": "$.a", "occurred_at": "$.b"}},
        "Rule 'r': `supersedes.rule` is 'q', but no rule has that name.",
    ),
    (
        {**RULE, "emit": "products"},
        "Rule 'r' of `rules`: `emit` must be 'event'.",
    ),
    (
        {**PRODUCT, "fields": {"x": 1}},
        "Rule 'p' of `rules`: unknown key `fields.x`; allowed are name, category, aliases, "
        "relations, attributes.",
    ),
    (
        {**PRODUCT, "fields": {"relations": {"friends": "$.x"}}},
        "Rule 'p': `fields.relations` has the unknown relation 'friends'; allowed are "
        "substitutes, accessories, consumables.",
    ),
]


def errors_of(config: dict) -> list[str]:
    with pytest.raises(ConfigValidationError) as caught:
        load(config)
    return caught.value.errors


@pytest.mark.parametrize(("rule", "message"), BAD_RULES, ids=[text[:60] for _, text in BAD_RULES])
def test_a_bad_rule_is_named_with_the_key_and_what_is_allowed(rule, message):
    assert message in errors_of({"rules": [rule]})


def test_all_bad_rules_are_told_at_once():
    assert len(errors_of({"rules": [rule for rule, _ in BAD_RULES[6:]]})) >= len(BAD_RULES[6:])


def test_a_name_may_be_used_once():
    (error,) = errors_of({"rules": [RULE, RULE]})
    assert error.startswith("Rule 'r': the `name` is used more than once")


def test_an_unknown_preset_is_told_with_those_that_there_are():
    (error,) = errors_of({"presets": ["touchpoint"]})
    assert error.startswith(
        "`presets`: there is no preset 'touchpoint' (did you mean 'touchpoints'?); there are "
    )


def test_other_plugins_settings_and_the_sdks_may_stand_beside_ours():
    load(
        {
            "presets": ["touchpoints"],
            "sources": {},
            "destinations": {},
            "store": {},
            "start_date": "2026-01-01",
            "stream_maps": {},
            "validate_records": False,
            "batch_size_rows": 5,
        }
    )


def test_settings_are_refused_without_their_values():
    errors = errors_of(
        {"presest": ["hunter2"], "rules_files": [{"hunter2": 1}], "rules": "hunter2"}
    )
    assert errors[0].startswith("`presest` is not a setting (did you mean 'presets'?)")
    assert "`rules_files[0]` must be a valid string." in errors
    assert "`rules` must be a valid list." in errors
    assert "hunter2" not in str(errors)


@pytest.mark.parametrize("model", [{"event_types": ["danced"]}, {"event_types": {"danced": {}}}])
def test_types_of_the_stage_model_may_be_emitted(model, tmp_path):
    rule = {**RULE, "event_type": "danced"}
    assert load({"rules": [rule], "stage_model": model})
    (tmp_path / "model.yml").write_text("event_types: [danced]")
    assert load({"rules": [rule], "stage_model": str(tmp_path / "model.yml")})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"- name: a\n  when: {secret\n",
            "rules.yml, line 3, column 1: this is not valid YAML (expected … or …, but got …).",
        ),
        (
            b"- name: a\n  name: b\n",
            "rules.yml, line 2, column 3: this is not valid YAML (a key is there twice).",
        ),
        (b"name: a", "rules.yml must hold a list of rules."),
        (b"- name", "Rule number 1 of rules.yml must be a mapping of keys to values."),
        (b"\xff", "rules.yml is not UTF-8 text."),
    ],
)
def test_a_rules_file_that_cannot_be_read(content, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yml").write_bytes(content)
    assert errors_of({"rules_files": ["rules.yml"]}) == [message]


def test_a_rules_file_that_is_not_there():
    assert errors_of({"rules_files": ["nowhere.yml"]}) == [
        "`rules_files`: nowhere.yml cannot be read: No such file or directory."
    ]


def test_words_and_dates_in_yaml_are_text(tmp_path):
    rules = "- {name: r, streams: [s], event_type: ad_seen, occurred_at: $.at, properties: %s}"
    (tmp_path / "rules.yml").write_text(rules % "{a: no, b: 2026-01-02, c: 007, d: on, e: 1}")
    compiled = load({"rules_files": [str(tmp_path / "rules.yml")]})["s"]
    made = []
    compiled.makes[0][2](("2026-01-02T03:04:05Z",), "1", made)
    assert made[0].properties == {"a": "no", "b": "2026-01-02", "c": "007", "d": "on", "e": 1}
