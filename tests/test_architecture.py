"""The house on one page: who may import whom, which library lives where."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "airvid"

# The nouns of a task, the errors, the clock and the operating system are for everyone; a room may use itself.
EVERYWHERE = {"airvid", "ids", "tasks", "errors", "clock", "system", "files"}
INSTRUMENTS = {"follow", "transfer", "part", "part_file", "submit", "output", "progress", "journal", "config"}
# Words flow down: a module may import those named here, and nothing else of airvid.
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    "__main__": {"cli"},
    "cli": {"commands", "session", "output", "config", "model_cache", "ledger"},
    "commands": {
        "session",
        "api",
        "http",
        "request",
        "naming",
        "sandbox",
        "places",
        "retry",
        "text",
        "views",
        "media",
        "terminal",
    }
    | INSTRUMENTS,
    "session": {
        "api",
        "http",
        "config",
        "follow",
        "journal",
        "model_cache",
        "output",
        "places",
        "progress",
        "sandbox",
    },
    "model_cache": {"config"},
    "places": set(),
    "follow": {"api", "retry", "text"},
    "submit": {"api", "http", "retry", "journal"},
    "transfer": {"http", "retry", "part", "part_file", "text"},
    "part": {"http", "retry", "media", "part_file"},
    "part_file": set(),
    "media": set(),
    "progress": {"output", "live", "terminal", "text"},
    "live": {"progress", "output", "terminal", "text", "retry"},
    "output": {"progress", "views", "tables", "terminal", "text"},  # the bars that stand aside for a line
    "tables": {"views", "terminal"},
    "views": {"terminal", "text"},
    "terminal": {"text"},
    "text": set(),
    "journal": {"ledger", "store", "entries"},
    "store": {"ledger"},
    "entries": {"ledger"},
    "ledger": set(),
    "config": {"places"},
    "naming": set(),
    "request": {"config"},
    "api": {"http", "answers", "retry"},
    "http": {"retry", "answers", "text", "connections", "redact"},
    "connections": {"redact"},
    "redact": set(),
    "answers": {"retry", "redact"},
    "retry": set(),
    "ids": set(),
    "tasks": set(),
    "errors": set(),
    "clock": set(),
    "system": set(),
    "files": set(),
    "sandbox": set(),  # of airvid nothing but itself, or it would repeat our mistakes and agree with them
}
# One home for each library.
HOME = {
    "typer": {"cli"},
    "httpx": {"http", "connections"},
    "truststore": {"system"},
    "httpx_sse": {"http"},
    "rich": {"live", "tables", "output", "media", "commands"},
    "platformdirs": {"places"},
    "tomlkit": {"config"},
    "sqlite3": {"journal", "store", "entries", "ledger", "sandbox"},
    "av": {"sandbox", "media"},
}
MODULES = sorted(ROOT.rglob("*.py"))


def room(path: Path) -> str:
    """The name by which the tables call a file: its own, or its folder's."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0]


def imports(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it, dotted."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_words_flow_down(path: Path) -> None:
    own = room(path)
    rooms = {path.stem for path in ROOT.glob("*.py")} | {"commands", "media", "sandbox"}
    rooms = {path.stem for path in ROOT.glob("*.py")} | {"cli", "commands", "sandbox"}
    for name in imports(path):
        if name.split(".")[0] != "airvid":
            continue
        target = name.split(".")[1] if name.split(".")[1] in rooms else "airvid"
        allowed = MAY_IMPORT[own] | {own} | (EVERYWHERE if own != "sandbox" else set())
        assert target in allowed, f"{own} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_library_has_one_home(path: Path) -> None:
    for name in imports(path):
        library = name.split(".")[0]
        assert room(path) in HOME.get(library, {room(path)}), f"{path} imports {library}"


def test_only_typer_reads_the_command_line() -> None:
    """What is declared in cli/ is all there is: no command has a second list of its options."""
    for path in (ROOT / "commands").rglob("*.py"):
        assert "class Options" not in path.read_text("utf-8")
        assert "typer" not in imports(path)


def test_the_table_knows_every_room() -> None:
    assert {room(path) for path in MODULES} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_stories_do_not_print(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    printed = [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
    assert not printed
