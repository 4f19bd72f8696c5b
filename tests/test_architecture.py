"""The layout: which package may import which, and where each library is used."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "airvid"

# Modules that all others may import: what every layer speaks of.
EVERYWHERE = {"airvid", "errors", "clock", "system", "files"}
# The one module of a package that all others may import as well: the API's own terms. It imports no module of ours.
TERMS = "airvid.api.models"
# Calls go down: a package may import those named here, and itself. Nothing is called upwards.
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    "__main__": {"cli"},
    "cli": {"commands", "session", "ui", "config", "values", "journal", "model_cache", "places"},
    "commands": {
        "session",
        "clips",
        "destinations",
        "ui",
        "media",
        "api",
        "journal",
        "config",
        "values",
        "places",
        "local_sandbox",
        "model_cache",
    },
    "session": {
        "clips",
        "ui",
        "api",
        "journal",
        "config",
        "values",
        "places",
        "model_cache",
        "local_sandbox",
        "sandbox",
    },
    "local_sandbox": {"sandbox"},
    "clips": {"destinations", "media", "api", "journal", "config", "ui"},
    "destinations": {"places"},
    "ui": {"config", "api", "journal"},
    "media": {"ui"},
    "api": {"ui"},
    "journal": set(),
    "model_cache": {"places"},
    "config": {"places", "values"},
    "values": set(),
    "places": set(),
    # The emulator repeats nothing of the client's, or it would make the same mistakes.
    "sandbox": set(),
    "errors": set(),
    "clock": set(),
    "system": set(),
    "files": set(),
}
# Where each library is used.
HOME = {
    "typer": {"cli"},
    "httpx": {"api"},
    "truststore": {"system"},
    "httpx_sse": {"api"},
    "rich": {"ui", "media", "commands"},
    "platformdirs": {"places"},
    "tomlkit": {"config"},
    "sqlite3": {"journal", "sandbox"},
    "obstore": {"destinations"},
    "av": {"sandbox", "media"},
    "PIL": {"media"},
}
MODULES = sorted(ROOT.rglob("*.py"))


def package(path: Path) -> str:
    """The name by which the tables call a file: its folder's, or its own at the top."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imports(path: Path) -> set[str]:
    """Every module that a file imports anywhere in it, dotted."""
    tree = ast.parse(path.read_text("utf-8"))
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_calls_go_down(path: Path) -> None:
    own = package(path)
    for name in imports(path):
        if name.split(".")[0] != "airvid":
            continue
        if own != "sandbox" and name.startswith(TERMS):
            continue
        target = name.split(".")[1] if name.split(".")[1] in MAY_IMPORT else "airvid"
        allowed = MAY_IMPORT[own] | {own} | (EVERYWHERE if own != "sandbox" else set())
        assert target in allowed, f"{own} imports {name}"


def test_the_terms_of_the_api_need_nothing_of_ours() -> None:
    path = ROOT.joinpath(*TERMS.split(".")[1:]).with_suffix(".py")
    assert not [name for name in imports(path) if name.startswith("airvid")]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_library_has_one_home(path: Path) -> None:
    for name in imports(path):
        library = name.split(".")[0]
        assert package(path) in HOME.get(library, {package(path)}), f"{path} imports {library}"


def test_the_table_knows_every_package() -> None:
    assert {package(path) for path in MODULES} == set(MAY_IMPORT)


def test_no_modules_import_each_other_in_a_circle() -> None:
    names = {".".join(("airvid", *path.relative_to(ROOT).with_suffix("").parts)): path for path in MODULES}
    graph = {
        name: {each for found in imports(path) for each in (found, found.rpartition(".")[0])} & (names.keys() - {name})
        for name, path in names.items()
    }
    while loaded := [name for name, needed in graph.items() if not needed]:
        for name in loaded:
            del graph[name]
        graph = {name: needed - set(loaded) for name, needed in graph.items()}
    assert not graph


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_do_not_print(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    printed = [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
    assert not printed
