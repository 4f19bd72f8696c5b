"""What every command gets: settings, output, journal and API, opened when first needed."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airvid import places
from airvid.api.models import Model
from airvid.config import Common, Setting, Settings, key_hint
from airvid.errors import AirvidError, AuthError, LimitedError, UnavailableError, UsageError
from airvid.journal.journal import Journal
from airvid.places import DEFAULT_BASE_URL, SANDBOX, SANDBOX_KEY
from airvid.ui.output import Output
from airvid.values import normal_base_url

if TYPE_CHECKING:
    from airvid.api.client import Api
    from airvid.clips.follow import Shared
    from airvid.sandbox.faults import Fault
    from airvid.sandbox.server import Server
    from airvid.ui.progress import Progress
    from airvid.ui.task_view import TaskView

# Without a handler Python would write warnings where no command runs, as for a completion.
logging.getLogger("airvid").addHandler(logging.NullHandler())


class _Shown(logging.Handler):
    def __init__(self, out: Output) -> None:
        super().__init__()
        self._shown_by = {logging.DEBUG: out.trace, logging.INFO: out.note, logging.WARNING: out.warn}

    def emit(self, record: logging.LogRecord) -> None:
        self._shown_by[record.levelno](record.getMessage())


@contextmanager
def shown_log(out: Output, *, with_trace: bool) -> Iterator[None]:
    """Show the user what the modules below the commands log during the body."""
    log, shown = logging.getLogger("airvid"), _Shown(out)
    log.setLevel(logging.DEBUG if with_trace else logging.INFO)
    log.addHandler(shown)
    log.propagate = False
    try:
        yield
    finally:
        log.propagate = True
        log.removeHandler(shown)


def account_of(key: str | None) -> str:
    """A name for a key, from which the key cannot be found."""
    import hashlib

    return hashlib.sha256((key or "").encode("utf-8", "replace")).hexdigest()[:16]


class Session:
    """One run of the program. `service` names the API in the journal: its base URL, or the sandbox."""

    def __init__(self, common: Common, out: Output) -> None:
        self.out = out
        self.settings = Settings()
        self._common = common
        # The clips of this run, for its summary.
        self.ended: list[TaskView] = []
        # --bell, None where the line does not say.
        self.bell: bool | None = None
        # The settings that a create took from the environment or the config file, by name.
        self.stored: dict[str, Setting] = {}
        self._api: Api | None = None
        # What tells keys apart in the journal, once `api` was called.
        self.account = ""
        self._server: Server | None = None
        # The address of the sandbox's storage host.
        self._storage = ""
        self.is_sandbox = common.sandbox or self.settings.is_sandbox()
        if common.base_url is not None and self.is_sandbox:
            hint = None if common.sandbox else "unset AIRVID_SANDBOX"
            raise UsageError("the sandbox and --base-url contradict each other", hint=hint)
        # The sandbox's faults. Those of the environment count only there.
        self.faults = self._asked_faults() if common.fault or self.is_sandbox else []
        # A script that uses `airvid sandbox` by its key spends no money either: it has the sandbox's journal, too.
        self.is_play = self.is_sandbox or self.settings.has_sandbox_key()
        self.data = Path(places.sandbox_folder() if self.is_play else places.folder("data"))
        try:
            stored = self.settings.key()
        except AirvidError:
            stored = None  # `api` raises it where the key is needed
        out.secret = stored.value if stored else ""
        if self.settings.has_loose_mode():
            out.warn(f"others can read {self.settings.path}, which holds the API key: chmod 600 it")
        self.journal = Journal(self.data / "journal.db")

    @property
    def service(self) -> str:
        return SANDBOX if self.is_sandbox else self.base_url.value

    @property
    def base_url(self) -> Setting:
        """The API's base, and its source. Raises: UsageError."""
        if self._common.base_url is not None:
            try:
                return Setting("base-url", normal_base_url(self._common.base_url), "--base-url")
            except ValueError as error:
                raise UsageError(f"--base-url {self._common.base_url[:100]!r} is not {error}") from None
        return self.settings.find("base-url") or Setting("base-url", DEFAULT_BASE_URL, "default")

    def api(self, *, need_key: bool = True, key: str | None = None) -> Api:
        """The API. `key` is used instead of the stored one. Raises: AuthError, UsageError, FileError."""
        if self._api is None:
            from airvid.api.client import Api
            from airvid.api.http import HttpClient, Timeouts
            from airvid.ui.display import Countdown

            self.settings.check()
            wait = Countdown(self.out)
            given = {phase: self.settings.get(f"{phase}-timeout") for phase in ("connect", "read", "create")}
            timeouts = Timeouts(**{phase: seconds for phase, seconds in given.items() if seconds is not None})
            how: dict[str, Any] = {"timeouts": timeouts, "wait": wait, "while_silent": wait.while_silent}
            if self.is_sandbox:
                http = HttpClient(self._sandbox(), SANDBOX_KEY, use_proxies=False, **how)
            else:
                if self.faults:
                    raise UsageError("--fault is for the sandbox alone", hint="add --sandbox")
                if not key and (stored := self.settings.key()):
                    key = stored.value
                if not key and need_key:
                    why = "no API key, neither stored nor in AIRVID_API_KEY; --sandbox needs none"
                    raise AuthError(why, hint="airvid auth login")
                self.out.secret = key or ""
                http = HttpClient(self.base_url.value, key, **how)
            self._api = Api(http)
            self.account = account_of(SANDBOX_KEY if self.is_sandbox else key)
        return self._api

    def _sandbox(self) -> str:
        """The address of the sandbox: of the server that runs, else of one of this command's own.

        A command with faults of its own always has its own. Raises: UsageError, FileError.
        """
        from airvid import local_sandbox

        if not self.faults and (running := local_sandbox.running_server(self.data)):
            api_url, self._storage = running
            return api_url
        seed = os.environ.get("AIRVID_SANDBOX_SEED")
        self._server = local_sandbox.make_server(self.data, faults=self.faults, seed=seed).start()
        self._storage = self._server.storage_url
        return self._server.api_url

    def _asked_faults(self) -> list[Fault]:
        from airvid.local_sandbox import asked_faults

        return asked_faults(self._common.fault)

    def current_link(self, url: str) -> str:
        """A link that the journal kept, for this run: the sandbox's storage host has another port in each."""
        return f"{self._storage}/{url.split('/', 3)[3]}" if self._storage else url

    async def models(self, *, need_key: bool = True) -> list[Model]:
        """The video models, kept for completion. Raises: as `Api.models` and `api`."""
        from airvid import model_cache

        models = await self.api(need_key=need_key).models()
        model_cache.keep(self.service, models)
        return models

    def command(self, *words: str) -> str:
        """A command line to paste, for this run's API."""
        import shlex

        where = ["--sandbox"] if self._common.sandbox else []
        if self._common.base_url is not None:
            where = ["--base-url", self._common.base_url]
        return shlex.join(["airvid", *where, *words])

    def for_this_api(self, hint: str) -> str:
        """A hint whose commands go to this run's API."""
        ours = f"{self.command()} "
        return re.sub(r"(^|\| |; )airvid (?!auth|config|sandbox|-)", lambda found: found[1] + ours, hint)

    def same_command(self, *more: str, without: str = "") -> str:
        """This run's own command line, to paste, with `more` words and without an option and its value.

        The options for its API come first, as in `command`: `for_this_api` adds none to it.
        """
        import shlex

        words, left = shlex.split(self.command()), iter(self._common.line)
        for word in left:
            name, equals, _ = word.partition("=")
            if name and name in ("--base-url", without):
                if not equals:
                    next(left, None)
            elif word != "--sandbox":
                words.append(word)
        end = words.index("--") if "--" in words else len(words)
        return shlex.join([*words[:end], *more, *words[end:]])

    @cached_property
    def shared(self) -> Shared:
        """What all followed tasks of this run share."""
        from airvid.clips.follow import Shared

        return Shared(self.api())

    def progress(self, count: int | None = None) -> Progress:
        """The display of progress for `count` clips."""
        from airvid.ui import display

        return display.choose(self.out, count, rings=bool(self.settings.choose("bell", self.bell)))

    @asynccontextmanager
    async def time_limit(self, seconds: float | None) -> AsyncIterator[None]:
        """Limit a block that follows no task to so many seconds; None and 0 are no limit. Raises: as `time_up`."""
        import asyncio

        try:
            async with asyncio.timeout(seconds or None):
                yield
        except TimeoutError:
            raise self.time_up("the time was up") from None

    def time_up(self, what: str, refusal: AirvidError | None = None) -> AirvidError:
        """The error for a time limit that ends a request, with the last failure as its cause.

        `refusal`: the error of the last POST, which comes before other failures.
        """
        trouble = refusal or (self._api.http.trouble if self._api else None)
        error = LimitedError if isinstance(trouble, LimitedError) else UnavailableError
        return error(f"{what}: {trouble.message}", hint=trouble.hint) if trouble else error(what)

    def cause_of(self, error: AirvidError) -> AirvidError:
        """The error itself, or the sandbox's own where the sandbox is broken.

        A message about an option that was not on the line also says where its value comes from. A hint fits the source
        of the key and this run's API.
        """
        for each in getattr(error, "errors", [error]):
            for name, (_, value, source) in self.stored.items():
                if f"--{name} " in each.message or (name == "model" and repr(value) in each.message):
                    each.message += f" (--{name} is what {source} says)"
            if isinstance(each, AuthError) and each.hint == "airvid auth login":
                each.hint = key_hint(self.settings.other_key_source() or "")
            each.hint = self.for_this_api(each.hint) if each.hint else None
        trouble = self._server.emulator.trouble if self._server else None
        if not trouble:
            return error
        from airvid.local_sandbox import broken_sandbox

        return broken_sandbox(trouble)

    async def aclose(self) -> None:
        if self._api is not None:
            await self._api.http.aclose()
        if self._server is not None:
            self._server.close()
        self.journal.close()
