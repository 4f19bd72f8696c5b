"""The sandbox as this process runs it: `airvid sandbox` for others, `--sandbox` for one command."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airvid import files, system
from airvid.errors import FileError, UsageError

if TYPE_CHECKING:
    from airvid.sandbox.faults import Fault
    from airvid.sandbox.server import Server


def asked_faults(given: Sequence[str]) -> list[Fault]:
    """The faults of the options, else of the environment. Raises: UsageError."""
    from airvid.sandbox.faults import FaultError, parse_fault

    in_environment = os.environ.get("AIRVID_SANDBOX_FAULTS", "").split(";")
    specs = list(given) or [each.strip() for each in in_environment if each.strip()]
    try:
        return [parse_fault(spec) for spec in specs]
    except FaultError as error:
        source = "--fault" if given else "AIRVID_SANDBOX_FAULTS"
        raise UsageError(f"{source}: {error}", hint="airvid sandbox faults") from None


def check_prompt(prompt: str) -> None:
    """See that the faults that a prompt asks for are known. Raises: UsageError."""
    from airvid.sandbox.faults import FaultError, prompt_faults

    try:
        prompt_faults(prompt)
    except FaultError as error:
        raise UsageError(f"in the prompt, {error}", hint="airvid sandbox faults") from None


def known_faults() -> list[tuple[str, Any]]:
    """Every kind of fault by its name: what it does, an example, and where it may happen."""
    from airvid.sandbox.faults import KINDS

    return list(KINDS.items())


def make_server(
    folder: Path,
    port: int = 0,
    *,
    faults: Sequence[Fault],
    log: Callable[[str], object] = lambda _: None,
    render: float | None = None,
    **options: Any,
) -> Server:
    """A server for the tasks that are kept in `folder`. `render`: seconds that a task takes; `options`: Emulator's.

    Raises: UsageError, FileError.
    """
    from airvid.sandbox.emulator import Emulator, Pace
    from airvid.sandbox.server import Server
    from airvid.sandbox.state import StateError

    if find_spec("av") is None:
        raise UsageError("the sandbox needs PyAV to render its clips", hint=system.install_command("airvid[media]"))
    pace = Pace() if render is None else Pace(queued=min(0.5, render / 8), processing=max(render - 0.5, render * 7 / 8))
    try:
        system.make_private_folder(folder)
        emulator = Emulator(path=folder / "server.db", pace=pace, faults=faults, **options)
        return Server(emulator, port, log)
    except StateError as error:
        raise broken_sandbox(str(error)) from None
    except OSError as error:
        where, hint = f"on port {port}", "airvid sandbox, without --port, takes a free one" if port else None
        if error.filename:
            where, hint = f"in {error.filename}", "set AIRVID_SANDBOX_DIR to a folder that can be written"
        why = error.strerror or error
        raise FileError(f"the sandbox cannot be started {where}: {why}", hint=hint) from None


def broken_sandbox(why: str) -> FileError:
    return FileError(f"the sandbox is broken: {why}", hint="airvid sandbox reset")


def read_models(path: str) -> list[dict[str, Any]]:
    """The models of a file: the answer of `GET /models`, or its list alone. Raises: FileError."""
    try:
        found = json.loads(Path(path).expanduser().read_bytes())
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        found = None
    models = found.get("data") if isinstance(found, dict) else found
    if not isinstance(models, list) or not models or not all(_is_model(each) for each in models):
        raise FileError(
            f'{path} is no listing of models, such as {{"data": [{{"id": "wan-2.6", "video_caps": {{…}}}}, …]}}',
            hint="airvid --sandbox models --json > models.json",
        )
    return models


def _is_model(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
        return False
    caps = entry.get("video_caps") or {}
    if not isinstance(caps, dict):
        return False
    numbers = [caps.get(name) for name in ("min_duration_s", "max_duration_s", "price_per_second_cents")]
    lists = [entry.get("output_modalities"), *(caps.get(name) for name in ("modes", "aspect_ratios", "qualities"))]
    return all(each is None or (type(each) in (int, float) and 0 <= each < math.inf) for each in numbers) and all(
        each is None or (isinstance(each, list) and all(isinstance(word, str) for word in each)) for each in lists
    )


# ---------------------------------------------------------------------- servers that run

# A server holds a file of this name locked while it runs; its two ports are in the name.
_RUNNING = "server-{}-{}.lock"


@contextmanager
def announced(folder: Path, server: Server) -> Iterator[None]:
    """Let other commands find the server."""
    path = folder / _RUNNING.format(urlsplit(server.api_url).port, urlsplit(server.storage_url).port)
    with path.open("wb") as file:
        with suppress(system.NoLocksError):
            system.try_lock(file)
        try:
            yield
        finally:
            file.close()
            path.unlink(missing_ok=True)


def running_server(folder: Path) -> tuple[str, str] | None:
    """The addresses of the API and of the storage host of a server that runs for this folder."""
    for path in sorted(folder.glob(_RUNNING.format("*", "*"))):
        try:
            with files.open_existing(path) as file:
                if not system.try_lock(file):
                    _, api, storage = path.stem.split("-")
                    return f"http://127.0.0.1:{api}/v1", f"http://127.0.0.1:{storage}"
            path.unlink(missing_ok=True)  # its server was killed
        except OSError:
            pass
    return None
