"""The program with all of its modules, as a process that others are forked from holds it (forked_run.py)."""

import concurrent.futures.thread  # noqa: F401
import gc

import anyio._backends._asyncio  # noqa: F401
import httpcore  # noqa: F401
import httpx_sse  # noqa: F401
import missing_modules
import truststore  # noqa: F401

from airvid import model_cache  # noqa: F401
from airvid.api import http  # noqa: F401
from airvid.cli import app, main  # noqa: F401
from airvid.clips import part  # noqa: F401
from airvid.commands import batch, create, download, watch  # noqa: F401

app.program()
missing_modules.remember()
# The collector would write to every object, and so copy the memory that forked processes share.
gc.collect()
gc.freeze()
