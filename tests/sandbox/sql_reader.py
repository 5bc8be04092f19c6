"""The text of a query, read into a Select."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

from tests.sandbox.sql import Column, Compare, Dialect, Logic, Order, Select, SelectError, Where

KEYWORDS = {"FROM", "WHERE", "ORDER", "GROUP", "HAVING", "LIMIT", "OFFSET", "AS", "FOR", "WITH"}
TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |`(?P<quoted>[^`]+)`
    |(?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))
    |(?P<date>\d{4}-\d\d-\d\d)
    |(?P<number>[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<name>@?[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?::\d+)?)
    |(?P<sign><=|>=|!=|<>|[=<>(),*]))""",
    re.VERBOSE | re.DOTALL,
)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}  # the rest mean themselves


def read(text: str, dialect: Dialect) -> Select:
    """The query that the text says, or SelectError."""
    return _Reader(text, dialect).select()


class _Reader:
    def __init__(self, text: str, dialect: Dialect) -> None:
        self.dialect = dialect
        self.tokens: list[tuple[str, str]] = []
        position, text = 0, text.strip().removesuffix(";").rstrip()
        while position < len(text):
            match = TOKEN.match(text, position)
            if match is None:
                raise SelectError(f"unexpected token: '{text[position:].split()[0]}'")
            self.tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
            position = match.end()
        self.tokens.append(("end", "<EOF>"))
        self.at = 0

    def select(self) -> Select:
        self.demand("SELECT")
        columns = [self.column()]
        while self.take(","):
            columns.append(self.column())
        self.demand("FROM")
        source, where, order = self.name(), None, []
        if self.take("WHERE"):
            where = self.condition()
        if self.take("ORDER"):
            self.demand("BY")
            order = [self.by()]
            while self.take(","):
                order.append(self.by())
        limit = self.whole() if self.take("LIMIT") else None
        offset = self.whole() if self.take("OFFSET") else 0
        if self.tokens[self.at][0] != "end":
            raise self.unexpected()
        return Select(tuple(columns), source, where, tuple(order), limit, offset)

    def column(self) -> Column:
        if self.take("*"):
            return Column("*")
        name, function = self.name(), ""
        if self.take("("):
            function, name = name.upper(), "*"
            if not self.take(")"):
                name = "*" if self.take("*") else self.name()
                self.demand(")")
        said = self.take("AS")
        kind, word = self.tokens[self.at]
        alias = kind in {"name", "quoted"} and (said or word.upper() not in KEYWORDS)
        return Column(name, function, self.name() if alias else "")

    def condition(self) -> Where:
        parts, words = [self.part()], []
        while word := self.take("AND") or self.take("OR"):
            words.append(word)
            parts.append(self.part())
        if len(set(words)) > 1 and not self.dialect.mixes:
            raise SelectError("unexpected token: AND and OR are mixed without parentheses")
        if len(set(words)) < 2:
            return Logic(words[0], tuple(parts)) if words else parts[0]
        sums: list[list[Where]] = [[parts[0]]]  # AND binds closer
        for word, part in zip(words, parts[1:], strict=True):
            if word == "AND":
                sums[-1].append(part)
            else:
                sums.append([part])
        return Logic("OR", tuple(Logic("AND", tuple(one)) for one in sums))

    def part(self) -> Where:
        if self.take("NOT"):
            return Logic("NOT", (self.part(),))
        if self.take("("):
            inside = self.condition()
            self.demand(")")
            return inside
        name = self.name()
        if self.take("IS"):
            sign = "IS NOT" if self.take("NOT") else "IS"
            self.demand("NULL")
            return Compare(name, sign, None)
        sign = "NOT " if self.take("NOT") else ""
        if self.take("IN"):
            return Compare(name, sign + "IN", self.values())
        if self.take("LIKE"):
            return Compare(name, sign + "LIKE", self.value())
        if self.take("BETWEEN"):
            low = self.value()
            self.demand("AND")
            between = Compare(name, "BETWEEN", [low, self.value()])
            return Logic("NOT", (between,)) if sign else between
        found = self.take("=", "!=", "<>", "<", "<=", ">", ">=")
        if not found or sign:
            raise self.unexpected()
        return Compare(name, "!=" if found == "<>" else found, self.value())

    def values(self) -> list[Any]:
        self.demand("(")
        values = [self.value()]
        while self.take(","):
            values.append(self.value())
        self.demand(")")
        return values

    def value(self) -> Any:
        kind, word = self.tokens[self.at]
        if kind in {"sign", "end", "quoted"}:
            raise self.unexpected()
        self.at += 1
        if kind == "text":
            return re.sub(r"\\(.)", lambda m: ESCAPES.get(m[1], m[1]), word[1:-1], flags=re.DOTALL)
        if kind == "datetime":
            return datetime.fromisoformat(word)
        if kind == "date":
            return date.fromisoformat(word)
        if kind == "number":
            return float(word) if re.search(r"[.eE]", word) else int(word)
        if word.upper() in {"TRUE", "FALSE", "NULL"}:
            return {"TRUE": True, "FALSE": False, "NULL": None}[word.upper()]
        if word in self.dialect.params:
            return self.dialect.params[word]
        raise SelectError(f"unexpected token: '{word}'")

    def by(self) -> Order:
        name = self.name()
        descending = self.take("DESC", "ASC") == "DESC"
        nulls = self.take("NULLS") and self.take("FIRST", "LAST")
        return Order(name, descending, None if not nulls else nulls == "FIRST")

    def name(self) -> str:
        kind, word = self.tokens[self.at]
        if kind not in {"name", "quoted"}:
            raise self.unexpected()
        self.at += 1
        return word

    def whole(self) -> int:
        kind, word = self.tokens[self.at]
        if kind != "number" or not word.isdigit():
            raise self.unexpected()
        self.at += 1
        return int(word)

    def take(self, *words: str) -> str:
        kind, word = self.tokens[self.at]
        if kind in {"name", "sign"} and word.upper() in words:
            self.at += 1
            return word.upper()
        return ""

    def demand(self, word: str) -> None:
        if not self.take(word):
            raise self.unexpected()

    def unexpected(self) -> SelectError:
        return SelectError(f"unexpected token: '{self.tokens[self.at][1]}'")
