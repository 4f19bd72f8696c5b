"""A gallery: clips as one HTML page that needs no network, no server, and for posters and links no script.

Everything on it may be hostile: texts are escaped, and its policy allows no script and no style but its own.
"""

from __future__ import annotations

import base64
import hashlib
import html
import os
import re
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from airvid.ui.text import length, money, plain

MARK = '<meta name="generator" content="airvid gallery">'
"""The mark of a page of this program, within its first START characters."""
START = 2000
POSTER_WIDTH, POSTER_QUALITY = 320, 8
_LONGEST = 2000  # characters of a text


class Tile(NamedTuple):
    """One clip, or one that was not made: its file, its poster (JPEG), and what is known of it.

    `took`: seconds from the create to the end; `created`: Unix seconds.
    """

    state: str
    path: Path | None = None
    poster: bytes | None = None
    prompt: str = ""
    model: str = ""
    seed: str = ""
    seconds: float | None = None
    cents: float | None = None
    took: float | None = None
    created: float | None = None
    error: str = ""


def page(tiles: Sequence[Tile], title: str, folder: Path) -> str:
    """The page, to be written into `folder`."""
    template = resources.files("airvid.media").joinpath("gallery.html").read_text("utf-8")
    groups: dict[str, list[Tile]] = {}
    for tile in tiles:
        groups.setdefault(tile.prompt, []).append(tile)
    sections = "\n".join(_section(prompt, found, folder) for prompt, found in groups.items())
    hashes = {
        kind: " ".join(_hash(each) for each in re.findall(rf"<{kind}>(.*?)</{kind}>", template, re.DOTALL))
        for kind in ("style", "script")
    }
    values = {
        "MARK": MARK,
        "STYLE": hashes["style"],
        "SCRIPT": hashes["script"],
        "TITLE": _escaped(title),
        "COUNT": f"{len(tiles)} {'clip' if len(tiles) == 1 else 'clips'}",
        "MODELS": _options(tile.model for tile in tiles),
        "STATES": _options(tile.state for tile in tiles),
        "SECTIONS": sections,
    }
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda found: values[found[1]], template)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _options(values: Iterable[str]) -> str:
    return "".join(f"<option>{_escaped(each)}</option>" for each in sorted(set(values)) if each)


def _section(prompt: str, tiles: Sequence[Tile], folder: Path) -> str:
    ordered = sorted(tiles, key=lambda tile: (tile.model, len(tile.seed), tile.seed, tile.created or 0))
    shown = "\n".join(_tile(each, folder) for each in ordered)
    heading = _escaped(prompt) or "Without a prompt"
    return f'<section><h2 dir="auto" title="{heading}">{heading}</h2>\n<ul>\n{shown}\n</ul></section>'


def _tile(tile: Tile, folder: Path) -> str:
    name = tile.path.name if tile.path else ""
    seed = tile.seed and f"seed {tile.seed}"
    facts = {
        "seed": seed,
        "length": "" if tile.seconds is None else f"{tile.seconds:.3g} s",
        "cost": "" if tile.cents is None else money(tile.cents),
        "took": "" if tile.took is None else f"made in {length(tile.took)}",
    }
    shown = (
        f'<p class="head">{_spans({"model": tile.model, "state": tile.state})}</p><p class="facts">{_spans(facts)}</p>'
    )
    label = _escaped(", ".join(each for each in (tile.prompt or name, tile.model, seed, tile.state) if each))
    picture = f'<span class="none">no {"picture" if tile.path else "clip"}</span>'
    if tile.poster:
        encoded = base64.b64encode(tile.poster).decode()
        picture = f'<img src="data:image/jpeg;base64,{encoded}" alt="" loading="lazy" decoding="async">'
    if tile.path:
        frame = f'<a class="frame" href="{_link(tile.path, folder)}" aria-label="{label}">{picture}</a>'
    else:
        frame = f'<div class="frame" tabindex="0" role="img" aria-label="{label}">{picture}</div>'
    told = [f'<p class="error" dir="auto">{_escaped(tile.error)}</p>'] if tile.error else []
    told += [f'<p class="file" dir="auto" title="{_escaped(name)}">{_escaped(name)}</p>'] if name else []
    data = {
        "model": tile.model,
        "state": tile.state,
        "cost": "" if tile.cents is None else f"{tile.cents:g}",
        "created": "" if tile.created is None else f"{tile.created:.0f}",
        "text": f"{tile.prompt} {tile.model} {tile.seed} {name} {tile.error}".lower(),
    }
    attributes = " ".join(f'data-{key}="{_escaped(value)}"' for key, value in data.items())
    prompt = f'<p class="prompt" dir="auto">{_escaped(tile.prompt)}</p>'
    return f'<li class="tile" {attributes}>{frame}{shown}{prompt}{"".join(told)}</li>'


def _spans(texts: dict[str, str]) -> str:
    return " ".join(f'<span class="{key}">{_escaped(text)}</span>' for key, text in texts.items() if text)


def _escaped(text: str) -> str:
    return html.escape(plain(text, _LONGEST))


def _link(path: Path, folder: Path) -> str:
    """The clip's address relative to the page: both can be moved together."""
    try:
        # With `:` and `%` escaped, no name is taken for an address of another kind.
        return quote(os.fsencode(os.path.relpath(path, folder).replace(os.sep, "/")), safe="/")
    except ValueError:  # another drive of Windows
        return path.absolute().as_uri()
