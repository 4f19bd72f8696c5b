"""Settings and the key: from an option, the environment, the config file, or a default, in this order."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from airvid import files, places, values
from airvid.errors import AuthError, FileError, UsageError
from airvid.places import SANDBOX_KEY
from airvid.values import bare

# Variables that hold the key. Programs that airvid starts do not get them.
KEY_VARIABLES = ("AIRVID_API_KEY", "AIRFORCE_API_KEY")
# The variable that names a file with the key, such as a secret that a container mounts.
KEY_FILE_VARIABLE = "AIRVID_API_KEY_FILE"
_BASE_URL_VARIABLES = ("AIRVID_BASE_URL", "AIRFORCE_BASE_URL")
# Bounds of numbers: larger ones are typing errors.
_MOST_CLIPS = 1000
_MOST_JOBS = 64
_MOST_SEED = 2**63 - 1


@dataclass
class Common:
    """The options that every command takes."""

    json: bool = False
    quiet: bool = False
    debug: bool = False
    sandbox: bool = False
    base_url: str | None = None
    no_color: bool = False
    # The whole command line, for a hint that repeats it.
    line: Sequence[str] = ()
    fault: list[str] = field(default_factory=list)


class Definition(NamedTuple):
    """A setting: how a value is checked, and its key in the body of a create, where it is sent unchanged."""

    check: Callable[[object], Any]
    sent_as: str | None = None


# Every setting by its name, which is also the long name of its option. A line here makes the environment variable, the
# key in the config file and the check. A setting with `sent_as` is sent under that key, which --set may not set.
# The option is a parameter of that name in cli/app.py (`aspect_ratio` for `aspect-ratio`); `create` needs nothing else.
SETTINGS: dict[str, Definition] = {
    "base-url": Definition(values.normal_base_url),
    "model": Definition(values.text),
    "mode": Definition(values.mode),
    "duration": Definition(values.clip_seconds),
    "aspect-ratio": Definition(values.text),
    "quality": Definition(values.text),
    "seed": Definition(values.whole(-_MOST_SEED, _MOST_SEED), sent_as="seed"),
    "sound": Definition(values.switch, sent_as="sound"),
    "count": Definition(values.whole(1, _MOST_CLIPS)),
    "max-cost": Definition(values.money),
    "wait": Definition(values.switch),
    "output": Definition(values.text),
    "timeout": Definition(values.seconds),
    "force": Definition(values.switch),
    "open": Definition(values.switch),
    "bell": Definition(values.switch),
    "jobs": Definition(values.whole(1, _MOST_JOBS)),
    "connect-timeout": Definition(values.patience),
    "read-timeout": Definition(values.patience),
    "create-timeout": Definition(values.patience),
    "budget.day": Definition(values.money),
    "budget.month": Definition(values.money),
}


class Setting(NamedTuple):
    """One setting's value, and where it comes from."""

    name: str
    value: Any
    source: str


class Settings:
    """The environment and the config file, which is read when first needed."""

    def __init__(self) -> None:
        self.path = Path(places.folder("config"), "config.toml")

    def get(self, name: str) -> Any:
        """The value of a setting, checked; None where it is not set. Raises: UsageError, FileError."""
        found = self.find(name)
        return found.value if found else None

    def choose(self, name: str, given: object) -> Any:
        """The value of an option where one is `given`, else that of the setting. Raises: UsageError, FileError."""
        return self.get(name) if given is None else checked(name, given, f"--{name}")

    def find(self, name: str) -> Setting | None:
        if source := self.overriding(name):
            return Setting(name, checked(name, bare(os.environ[source]), source, hint=f"unset {source}"), source)
        value = self.file.get(name)
        if value is None:
            return None
        return Setting(name, self._checked(name, value), str(self.path))

    def _checked(self, name: str, value: object) -> Any:
        """A value of the file, checked."""
        return checked(name, value, f"{self.path}: {name}", hint=f"airvid config unset {name}")

    def overriding(self, name: str) -> str | None:
        """The variable that overrides the stored setting, if one is set."""
        return self._first_set(_BASE_URL_VARIABLES if name == "base-url" else (variable(name),))

    def _first_set(self, variables: Sequence[str]) -> str | None:
        return next((each for each in variables if os.environ.get(each, "").strip()), None)

    @functools.cached_property
    def file(self) -> dict[str, Any]:
        """The config file's values, tables flattened to `a.b`, `_` read as `-`. Raises: FileError."""
        return _flat(self._parse())

    def _parse(self) -> dict[str, Any]:
        try:
            content = files.read_trusted(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise FileError(f"the config file {self.path} cannot be read: {error.strerror}") from None
        import tomllib

        try:
            return tomllib.loads(content.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            why = f"no UTF-8 text {_place(content[: error.start])}"
        except ValueError as error:  # TOMLDecodeError, and Python's own for a number with thousands of digits
            why = str(error).replace("(at end of document)", _place(content.rstrip()))
        except RecursionError:
            why = "its tables are nested too deeply"
        raise FileError(
            f"the config file {self.path} is broken: {why}",
            hint="correct that line, or move the file away; airvid config path shows where it is",
        )

    def check(self) -> None:
        """Check all of the file, also what the environment overrides. Raises: FileError, UsageError."""
        for name, value in self.file.items():
            if name in SETTINGS:
                self._checked(name, value)

    @property
    def unknown(self) -> list[str]:
        """Keys in the config file that this version does not know."""
        return sorted(set(self.file) - SETTINGS.keys() - {"api-key"})

    def key(self) -> Setting | None:
        """The API key and where it comes from. Raises: AuthError for what is no key; FileError for its own file."""
        if source := self.other_key_source():
            given = self._key_from_file if source == KEY_FILE_VARIABLE else os.environ[source]
            return Setting("api-key", sound_key(given, source), source)
        stored = self.file.get("api-key")
        if isinstance(stored, str) and stored.strip():
            return Setting("api-key", sound_key(stored, str(self.path)), str(self.path))
        return None

    def other_key_source(self) -> str | None:
        """The variable whose key overrides the stored one, if one is set."""
        return self._first_set((*KEY_VARIABLES, KEY_FILE_VARIABLE))

    @functools.cached_property
    def _key_from_file(self) -> str:
        path = os.path.expanduser(os.environ[KEY_FILE_VARIABLE].strip())
        try:
            with open(path, "rb") as file:
                return file.read(1 << 16).decode("utf-8", "replace")
        except OSError as error:
            why = f"{KEY_FILE_VARIABLE} names {path}, which cannot be read: {error.strerror}"
            raise FileError(why, hint=f"unset {KEY_FILE_VARIABLE}, or name a file with the key") from None

    def has_sandbox_key(self) -> bool:
        """Whether the environment holds what `airvid sandbox` prints to export."""
        try:
            found = self.key() if self.other_key_source() else None
        except (AuthError, FileError):
            return False  # the error comes where the key is needed
        return found is not None and found.value == SANDBOX_KEY

    def is_sandbox(self) -> bool:
        given = os.environ.get("AIRVID_SANDBOX", "").strip()
        return bool(given) and bool(checked("AIRVID_SANDBOX", given, parse=values.switch))

    def has_loose_mode(self) -> bool:
        """Whether others can read a config file that holds the key."""
        from airvid import system

        try:
            return system.others_can_read(self.path) and "api-key" in self.file
        except (OSError, FileError):
            return False  # the error comes where the file is needed

    def unset(self, name: str) -> bool:
        """Remove one setting; False where it was not there. Raises: FileError."""
        if name not in self.file:
            return False
        self.set(name, None)
        return True

    def set(self, name: str, value: object) -> None:
        """Store one setting (or `api-key`), or remove it (None). The rest of the file stays. Raises: FileError."""
        import tomlkit

        from airvid import system

        self._parse()  # raises for a broken file
        document = tomlkit.parse(self.path.read_bytes().decode("utf-8-sig") if self.path.exists() else "")
        is_quoted = any(key.replace("_", "-") == name for key in document)  # "budget.day" = 20, at the top
        *tables, last = [name] if is_quoted else name.split(".")
        place: Any = document
        for table in tables:
            if table not in place:
                place[table] = tomlkit.table()
            place = place[table]
            if not isinstance(place, dict):
                raise FileError(f"{self.path} has a value under the name {table}, where a table [{table}] belongs")
        spelled = next((key for key in place if key.replace("_", "-") == last), last)
        if value is None:
            del place[spelled]
            if tables and not place and "#" not in place.as_string() + place.trivia.comment:
                del document[tables[0]]
        else:
            place[spelled] = value
        try:
            system.write_private(self.path, tomlkit.dumps(document).encode())
        except UnicodeEncodeError:
            raise UsageError(f"{name} cannot be stored: the config file takes only UTF-8 text") from None
        except OSError as error:
            raise FileError(f"the config file {self.path} cannot be written: {error.strerror}") from None
        self.__dict__.pop("file", None)  # it is read again


def _place(before: bytes) -> str:
    """The place in a file after these bytes, in tomllib's own words."""
    return f"(at line {before.count(10) + 1}, column {len(before) - before.rfind(10)})"


def setting_name(given: str) -> str:
    """The setting that `given` names, `-` and `_` alike. Raises: UsageError with the nearest name."""
    name = given.strip().lower().replace("_", "-")
    if name in SETTINGS:
        return name
    if name == "api-key":
        raise UsageError(
            "the API key is not set here, so that it stays out of your shell's history", hint="airvid auth login"
        )
    import difflib

    near = difflib.get_close_matches(name, SETTINGS, n=3)
    also = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(SETTINGS)}"
    raise UsageError(f"no setting {given!r}; {also}", hint="airvid config list")


def checked(
    name: str,
    value: object,
    source: str | None = None,
    parse: Callable[[object], Any] | None = None,
    hint: str | None = None,
) -> Any:
    """The value, checked for the setting `name`. Raises: UsageError that says what is allowed."""
    if isinstance(value, int) and value.bit_length() > 64:
        value = hex(value)  # Python does not write numbers with thousands of digits
    try:
        return (parse or SETTINGS[name].check)(value)
    except ValueError as error:
        if not str(value).strip():
            raise UsageError(f"{source or name}: it is empty; it takes {error}", hint=hint) from None
        raise UsageError(f"{source or name}: {str(value)[:100]!r} is not {error}", hint=hint) from None


def variable(name: str) -> str:
    """`AIRVID_ASPECT_RATIO` for `aspect-ratio`."""
    return "AIRVID_" + re.sub("[-.]", "_", name.upper())


def key_hint(source: str) -> str:
    """The hint for a wrong key from `source`: a key in the environment overrides the stored one."""
    is_variable = source in (*KEY_VARIABLES, KEY_FILE_VARIABLE)
    return f"unset {source}, or set it to the right key" if is_variable else "airvid auth login"


def sound_key(key: str, source: str) -> str:
    """The key without quotes, `Bearer` and blanks. Raises: AuthError, which does not show it, for what is no key."""
    key = bare(re.sub(r"(?i)^(authorization:\s*)?bearer\s+", "", bare(key)))
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        what = "holds spaces or characters that no key has" if key else "is empty"
        raise AuthError(f"the API key in {source} {what}", hint=key_hint(source))
    return key


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        name = prefix + key.replace("_", "-")
        if isinstance(value, dict):
            flat |= _flat(value, name + ".")
        else:
            flat[name] = value
    return flat
