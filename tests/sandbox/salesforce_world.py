"""What a Salesforce organisation holds: rows by object, with stamps and history of its own.

Values are kept typed (moments, days, numbers) and written as text by whoever answers. As in a real
organisation, stamps have whole seconds, a changed line item does not touch its opportunity, a
deleted row stays for the recycle bin until it is purged, and a formula would change no stamp.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from itertools import count
from typing import Any

from tests.sandbox.base import Clock, RLock, locked, moment
from tests.sandbox.salesforce_objects import Field, SObject, field_of, standard_objects

Row = dict[str, Any]
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CHECKS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
USER = "005000000000001AAA"  # who did everything
STAGES = {  # name: closed, won, probability
    "Prospecting": (False, False, 10.0),
    "Qualification": (False, False, 20.0),
    "Proposal/Price Quote": (False, False, 75.0),
    "Negotiation/Review": (False, False, 90.0),
    "Closed Won": (True, True, 100.0),
    "Closed Lost": (True, False, 0.0),
}
WATCHED = ("StageName", "Amount", "Probability", "CloseDate")  # a change makes OpportunityHistory
TRACKED = {"Opportunity": {"StageName"}, "Case": {"Status", "OwnerId"}}  # field history
HISTORY_OF = {"Opportunity": "OpportunityFieldHistory", "Case": "CaseHistory"}


def full_id(short: str) -> str:
    """The 18 characters of an id of 15: the last three say which letters are capitals."""
    if len(short) != 15:
        return short
    checks = [
        sum(1 << at for at, letter in enumerate(short[start : start + 5]) if letter.isupper())
        for start in (0, 5, 10)
    ]
    return short + "".join(CHECKS[check] for check in checks)


def typed(field: Field, value: Any) -> Any:
    """The value as its field keeps it; raises ValueError where it does not fit."""
    if value is None or value == "":
        return None
    if field.type == "datetime":
        at = value if isinstance(value, datetime) else moment(str(value))
        return at.replace(microsecond=0)
    if field.type == "date":
        return value if isinstance(value, date) else date.fromisoformat(str(value)[:10])
    if field.type == "boolean":
        if str(value).lower() not in {"true", "false"}:
            raise ValueError("not a boolean")
        return str(value).lower() == "true"
    if field.type == "int":
        return int(float(value))
    if field.type in {"double", "currency", "percent"}:
        return float(value)
    if field.type in {"id", "reference"}:
        return full_id(str(value))
    return value if field.type in {"address", "location"} else str(value)


class SalesforceWorld:
    """One organisation."""

    def __init__(self, clock: Clock, lock: RLock) -> None:
        self.clock = clock
        self.lock = lock
        self.objects: dict[str, SObject] = standard_objects()
        self.rows: dict[str, dict[str, Row]] = {name: {} for name in self.objects}
        self._ids_of: dict[tuple[str, str], dict[str, list[str]]] = {}  # external ids → rows
        self.stages = dict(STAGES)
        self._numbers = count(1)
        for order, (stage, (closed, won, share)) in enumerate(STAGES.items(), 1):
            values = {"MasterLabel": stage, "ApiName": stage, "IsActive": True, "SortOrder": order}
            values |= {"IsClosed": closed, "IsWon": won, "DefaultProbability": share}
            self.add("OpportunityStage", **values)
        user = {"Id": USER, "Username": "admin@sandbox.test", "LastName": "Admin", "IsActive": True}
        self.add("User", **user)

    # -- what a test does ------------------------------------------------------------------------

    @locked
    def add_object(self, name: str, fields: str = "") -> SObject:
        """A custom object, its fields written as in the table of standard ones."""
        words = f"Id:id IsDeleted:boolean CreatedDate:datetime CreatedById>User {fields} Name"
        words += " LastModifiedDate:datetime LastModifiedById>User SystemModstamp:datetime"
        made = SObject(name, f"a{len(self.objects):02d}")
        made.fields = {one.name: one for one in map(field_of, words.split())}
        self.objects[name], self.rows[name] = made, {}
        return made

    @locked
    def add_field(self, object_name: str, text: str, *, external_id: bool = False) -> Field:
        """A custom field, such as `Product__c` or `Score__c:double`."""
        made = field_of(text)
        made.external_id = external_id
        return self.objects[object_name].fields.setdefault(made.name, made)

    @locked
    def hide_field(self, object_name: str, field: str) -> None:
        """Field-level security takes the field away from the user of the API."""
        del self.objects[object_name].fields[field]

    @locked
    def add(self, object_name: str, **values: Any) -> str:
        """A row that is there from now on, and its id; its stamps may be given, as for late rows.

        A row that is committed late carries an older SystemModstamp than rows already read.
        """
        made = self.objects[object_name]
        key = full_id(str(values.pop("Id", "") or self._new_id(made.prefix)))
        now = self.clock.now()
        row: Row = {"Id": key}
        for field in made.fields.values():
            row.setdefault(field.name, False if field.type == "boolean" else None)
        row |= self._stamps(made, now, created=True)
        row |= {name: typed(self._field(made, name), value) for name, value in values.items()}
        for name in {"LastModifiedDate", "SystemModstamp"} & row.keys() - values.keys():
            row[name] = row["CreatedDate"] if "CreatedDate" in values else row[name]
        self.rows[object_name][key] = row
        self._note(object_name, row, values)
        self._derive(object_name, row, set(values))
        if object_name == "Opportunity":
            self._keep_history(row, row["CreatedDate"])
        if object_name == "Case" and row.get("CaseNumber") is None:
            row["CaseNumber"] = f"{len(self.rows['Case']):08d}"
        return key

    @locked
    def change(self, object_name: str, key: str, **values: Any) -> None:
        """Change a row; its stamps move to now, and history is written."""
        made, row = self.objects[object_name], self.rows[object_name][full_id(key)]
        before = dict(row)
        row |= self._stamps(made, self.clock.now())
        row |= {name: typed(self._field(made, name), value) for name, value in values.items()}
        self._note(object_name, row, values)
        self._derive(object_name, row, set(values))
        at = row.get("SystemModstamp") or self.clock.now()
        if object_name == "Opportunity" and any(before[name] != row[name] for name in WATCHED):
            self._keep_history(row, at)
        for name in TRACKED.get(object_name, ()):
            if before[name] != row[name]:
                parent = {f"{object_name}Id": row["Id"], "CreatedDate": at}
                values_kept = {"OldValue": before[name], "NewValue": row[name]}
                self.add(HISTORY_OF[object_name], Field=name, **parent, **values_kept)

    @locked
    def delete(self, object_name: str, key: str) -> None:
        """To the recycle bin, with the rows that hang on it: only queryAll sees them."""
        row = self.rows[object_name][full_id(key)]
        row |= self._stamps(self.objects[object_name], self.clock.now()) | {"IsDeleted": True}
        for name, made in self.objects.items():
            for field in made.fields.values():
                if field.cascades and object_name in field.refers_to:
                    for child in list(self.rows[name].values()):
                        if child[field.name] == row["Id"] and not child.get("IsDeleted"):
                            self.delete(name, child["Id"])

    @locked
    def purge(self, object_name: str, key: str) -> None:
        """Hard-deleted: nobody sees the row again."""
        del self.rows[object_name][full_id(key)]

    @locked
    def merge(self, object_name: str, winner: str, loser: str) -> None:
        """The loser goes to the recycle bin and names the winner; what hung on it moves."""
        winner, loser = full_id(winner), full_id(loser)
        for name, made in self.objects.items():
            for field in made.fields.values():
                if object_name in field.refers_to and field.name != "MasterRecordId":
                    for row in list(self.rows[name].values()):
                        if row[field.name] == loser:
                            self.change(name, row["Id"], **{field.name: winner})
        self.delete(object_name, loser)
        self.rows[object_name][loser]["MasterRecordId"] = winner

    @locked
    def convert(self, lead: str, *, contact: str, account: str, opportunity: str = "") -> None:
        """The lead became a contact, and perhaps an opportunity."""
        values = {"ConvertedContactId": contact, "ConvertedAccountId": account, "IsConverted": True}
        values |= {"ConvertedOpportunityId": opportunity, "ConvertedDate": self.clock.now().date()}
        self.change("Lead", lead, Status="Closed - Converted", **values)

    # -- what an answer reads --------------------------------------------------------------------

    @locked
    def visible(self, object_name: str, *, deleted: bool = False) -> list[Row]:
        """The rows of one object, with those in the recycle bin if they are asked for."""
        rows = self.rows[object_name].values()
        return [row for row in rows if deleted or not row.get("IsDeleted")]

    def follow(self, object_name: str, row: Row, path: str) -> Any:
        """The value of `Name`, or of `Account.Owner.Name` through the rows it refers to."""
        head, _, rest = path.partition(".")
        made = self.objects[object_name]
        if not rest:
            return row.get(field.name) if (field := made.named(head)) else None
        _, other, target = self.related(object_name, row, head)
        return self.follow(target, other, rest) if other else None

    def related(self, object_name: str, row: Row, name: str) -> tuple[str, Row | None, str]:
        """Through one relationship: its own spelling, the row there (or none), and its object."""
        field = self.relation(object_name, name)
        assert field is not None and field.relation is not None
        key = row.get(field.name)
        for target in field.refers_to:
            if key in self.rows.get(target, {}):
                return field.relation, self.rows[target][key], target
        return field.relation, None, field.refers_to[0]

    def relation(self, object_name: str, name: str) -> Field | None:
        """The reference field that this relationship name goes through."""
        fields = self.objects[object_name].fields.values()
        folded = name.casefold()
        return next((f for f in fields if f.relation and f.relation.casefold() == folded), None)

    def by(self, object_name: str, field: str, value: Any) -> list[Row]:
        """The rows not deleted that have this value in a field."""
        wanted = str(value).casefold()
        made = self.objects[object_name].named(field)
        if made is None or not made.external_id:
            rows = self.visible(object_name)
        else:
            kept, ids = self.rows[object_name], self._index(object_name, made.name).get(wanted, ())
            found = (kept[key] for key in dict.fromkeys(ids) if key in kept)
            rows = [row for row in found if not row.get("IsDeleted")]
        return [row for row in rows if str(row.get(field) or "").casefold() == wanted]

    def _index(self, object_name: str, field: str) -> dict[str, list[str]]:
        """Value → ids of all rows that have, or had, it; first made when it is asked for."""
        if (object_name, field) not in self._ids_of:
            self._ids_of[object_name, field] = {}
            for row in self.rows[object_name].values():
                self._note(object_name, row, {field})
        return self._ids_of[object_name, field]

    def _note(self, object_name: str, row: Row, names: Iterable[str]) -> None:
        """Keep the external ids of a row findable."""
        for name in names:
            index = self._ids_of.get((object_name, name))
            if index is not None and row.get(name) is not None:
                index.setdefault(str(row[name]).casefold(), []).append(row["Id"])

    # -- what the organisation does itself -------------------------------------------------------

    def _field(self, made: SObject, name: str) -> Field:
        field = made.named(name)
        assert field is not None, f"{made.name} has no field {name}: add_field first"
        return field

    def _new_id(self, prefix: str) -> str:
        number, text = next(self._numbers) * 2311, ""
        while number:
            number, digit = divmod(number, 62)
            text = DIGITS[digit] + text
        return f"{prefix}4S{text:0>10}"

    def _stamps(self, made: SObject, now: datetime, *, created: bool = False) -> Row:
        names = ["LastModifiedDate", "SystemModstamp"] + ["CreatedDate"] * created
        who = ["LastModifiedById"] + ["CreatedById"] * created
        stamps = dict.fromkeys(names, now.replace(microsecond=0)) | dict.fromkeys(who, USER)
        return {name: value for name, value in stamps.items() if name in made.fields}

    def _derive(self, object_name: str, row: Row, given: Iterable[str]) -> None:
        """Set what a real organisation computes from other fields."""
        if object_name == "Opportunity" and "StageName" in given:
            closed, won, share = self.stages.get(row["StageName"], (False, False, 50.0))
            row |= {"IsClosed": closed, "IsWon": won}
            row["Probability"] = row["Probability"] if "Probability" in given else share
        elif object_name == "Case" and "Status" in given:
            row["IsClosed"] = str(row["Status"]).startswith("Closed")
            if row["IsClosed"] and "ClosedDate" not in given:
                row["ClosedDate"] = row["SystemModstamp"]
        elif object_name == "OpportunityLineItem":
            if deal := self.rows["Opportunity"].get(row["OpportunityId"]):
                deal["HasOpportunityLineItem"] = True
        elif object_name in {"Contact", "Lead"} and "Name" not in given:
            names = [row.get("FirstName"), row.get("LastName")]
            row["Name"] = " ".join(name for name in names if name)

    def _keep_history(self, deal: Row, at: datetime) -> None:
        values = {name: deal[name] for name in (*WATCHED, "ExpectedRevenue", "ForecastCategory")}
        stamps = {"CreatedDate": at, "SystemModstamp": at}
        self.add("OpportunityHistory", OpportunityId=deal["Id"], **values, **stamps)
