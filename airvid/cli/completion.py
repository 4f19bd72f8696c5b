"""What TAB offers: models and their caps, tasks with their prompts, settings; and the scripts for the shells.

Typer's scripts put a candidate into the command line unquoted, and zsh evaluates its description. Names and prompts may
be hostile: only names that are one plain word for a shell are offered, and descriptions lose all special characters.
Everything comes from the cache and the journal: no network, no new file, no message.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import typer
from typer import completion as typers

from airvid.api.models import COMPLETED, EXPIRED, FAILED, MODES, STATUSES, Model
from airvid.cli import topics
from airvid.config import SETTINGS
from airvid.errors import FileError, UsageError
from airvid.values import switch

if TYPE_CHECKING:
    from airvid.session import Session

SHELLS = ("bash", "zsh", "fish", "powershell")
# A candidate and its description.
Offer = tuple[str, str]
Completer = Callable[[typer.Context, str], list[Offer]]
# Candidates of one kind, and characters of a description, at most.
_MOST, _LONGEST = 50, 60
_SAFE_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@+-]{0,199}")
_UNSAFE = re.compile(r"""["'`$\\\[\]{}()<>|&;*?~#!^=%:]""")
# The states of tasks that a command cannot use.
_UNUSABLE = {"watch": (COMPLETED, FAILED, EXPIRED)} | dict.fromkeys(("download", "preview", "join"), (FAILED, EXPIRED))


def _offered(find: Callable[[typer.Context, str], Iterable[Offer]]) -> Completer:
    """A completer for Typer: the safe candidates of `find`, none where it fails."""

    def offer(ctx: typer.Context, incomplete: str) -> list[Offer]:
        try:
            return [(word, _tame(about)) for word, about in find(ctx, incomplete) if _SAFE_WORD.fullmatch(word)]
        except Exception:
            return []

    return offer


def _tame(text: str) -> str:
    """A short line without characters that a shell, a terminal or Rich interprets."""
    text = "".join(each if each.isprintable() else " " for each in _UNSAFE.sub(" ", text[:1000]))
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


# ---------------------------------------------------------------------- models


@_offered
def models(ctx: typer.Context, _: str) -> Iterable[Offer]:
    return [(model.id, _about(model)) for model in sorted(_kept(ctx), key=lambda model: model.id)]


@_offered
def durations(ctx: typer.Context, _: str) -> Iterable[Offer]:
    found = _chosen(ctx)
    price = found[0].caps.cents_per_second if len(found) == 1 else None
    seconds = sorted({each for model in found for each in _lengths(model)[:_MOST]})[:_MOST]
    return [(str(each), f"{each * price / 100:.2f} USD" if price else "") for each in seconds]


def _capability(cap: str, default: Sequence[str] = ()) -> Completer:
    """The values of a cap of the chosen models."""

    def find(ctx: typer.Context, _: str) -> Iterable[Offer]:
        values = dict.fromkeys(each for model in _chosen(ctx) for each in getattr(model.caps, cap))
        return [(each, "") for each in values or default]

    return _offered(find)


modes = _capability("modes", MODES)
aspect_ratios = _capability("aspect_ratios")
qualities = _capability("qualities")


def _chosen(ctx: typer.Context) -> list[Model]:
    """The model on the line, for `create` also the one that is set; all models where there is none."""
    found = _kept(ctx)
    name = ctx.params.get("model") or (_session(ctx).settings.get("model") if ctx.info_name == "create" else None)
    return [model for model in found if model.id == name] or found


def _kept(ctx: typer.Context) -> list[Model]:
    from airvid import model_cache

    return model_cache.kept(_session(ctx).service)


def _about(model: Model) -> str:
    """`text, image · 4-10 s · 0.05 USD/s`, without what is unknown."""
    lengths, cents = _lengths(model), model.caps.cents_per_second
    parts = [
        ", ".join(model.caps.modes),
        f"{lengths[0]}-{lengths[-1]} s" if lengths else "",
        f"{cents / 100:.4g} USD/s" if cents else "",
    ]
    return " · ".join(part for part in parts if part)


def _lengths(model: Model) -> range:
    """The lengths in whole seconds that a model allows."""
    least, most = model.caps.min_seconds, model.caps.max_seconds
    return range(0) if least is None or most is None else range(-int(-least // 1), int(most) + 1)


# ---------------------------------------------------------------------- tasks


@_offered
def tasks(ctx: typer.Context, incomplete: str) -> Iterable[Offer]:
    """The newest tasks of the journal that the command can use (all where it can use none); `last` first."""
    from airvid.journal.reader import newest_tasks

    session = _session(ctx)
    rows = newest_tasks(session.journal.path, session.service, incomplete, _MOST)
    rows = [row for row in rows if row[1] not in _UNUSABLE.get(str(ctx.info_name), ())] or rows
    last = [("last", "the newest")] if rows or "last".startswith(incomplete) else []
    return last + [(task_id, f"{state}, {prompt}".strip(", ")) for task_id, state, prompt in rows]


def _session(ctx: typer.Context) -> Session:
    """A session for the options on the line, without messages."""
    from airvid.session import Session

    ctx.obj.common.quiet = True
    return Session(ctx.obj.common, ctx.obj.out)


# ---------------------------------------------------------------------- fixed words


def _words(words: Iterable[str]) -> Completer:
    return _offered(lambda _ctx, _incomplete: [(each, "") for each in words])


statuses = _words(STATUSES)
sorts = _words(("price", "name"))
settings = _words(SETTINGS)
shells = _words(SHELLS)
sandbox_actions = _words(("faults", "reset"))


@_offered
def values(ctx: typer.Context, _: str) -> Iterable[Offer]:
    """The values of the setting on the line."""
    key = ctx.params.get("key")
    if key == "model":
        return models(ctx, "")
    is_switch = key in SETTINGS and SETTINGS[key].check is switch
    return [(each, "") for each in (MODES if key == "mode" else ("true", "false") if is_switch else ())]


@_offered
def topics_(ctx: typer.Context, _: str) -> Iterable[Offer]:
    commands = getattr(ctx.find_root().command, "commands", {})
    return [*topics.SUMMARIES.items(), *((name, each.get_short_help_str()) for name, each in commands.items())]


# ---------------------------------------------------------------------- scripts for shells


def _run_typer(act: Callable[..., Any]) -> Callable[..., None]:
    """A callback that runs Typer's own one, for the named shell or the one that Typer detects.

    It ends the program. Raises: UsageError for an unknown shell; FileError where a start-up file cannot be written.
    """

    def callback(ctx: typer.Context, param: typer.CallbackParam, value: str | None) -> None:
        if value is None or ctx.resilient_parsing:
            return
        try:
            if value in (*SHELLS, "pwsh", ""):
                act(ctx, param, value or True)
        except typer.Exit:
            pass  # Typer has not detected the shell
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            raise FileError(f"the completion cannot be installed: {error}") from None
        raise UsageError(
            f"no completion for {value or 'this shell'}: there is {', '.join(SHELLS)}",
            hint="airvid --install-completion bash",
        )

    return callback


install = _run_typer(typers.install_callback)  # start-up files included
show = _run_typer(typers.show_callback)
