"""The errors, as one tree; cli/topics.py says when each happens. Each class has its code name and exit code.

AirvidError 1
├ UsageError 2, AuthError 3, NotFoundError 4, TaskFailedError 5, ExpiredError 6, PaymentError 7, LimitedError 8
├ UnavailableError 9
│ └ UnknownFateError 9
├ WaitTimeoutError 10, FileError 11 (InUseError as well), BugError 1
└ SeveralErrors: the code that they share, else 1
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence


class AirvidError(Exception):
    """A failure: a sentence for the user, and as `hint` the command that helps, where there is one."""

    code = "failure"
    exit_code = 1
    # The status of the answer to a create that it stands for.
    http_status: int | None = None
    # The line of the manifest that it is about; 0 for none.
    line = 0

    def __init__(
        self, message: str, *, hint: str | None = None, request_id: str | None = None, task_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.request_id = request_id
        self.task_id = task_id

    def record(self) -> dict[str, object]:
        """The object that `--json` prints."""
        names = ("code", "message", "hint", "exit_code", "request_id", "task_id")
        record = {name: getattr(self, name) for name in names}
        return {name: value for name, value in record.items() if value or not name.endswith("_id")}


class UsageError(AirvidError):
    code = "usage"
    exit_code = 2


class AuthError(AirvidError):
    code = "auth"
    exit_code = 3


class NotFoundError(AirvidError):
    code = "not_found"
    exit_code = 4


class TaskFailedError(AirvidError):
    code = "task_failed"
    exit_code = 5


class ExpiredError(AirvidError):
    code = "expired"
    exit_code = 6


class PaymentError(AirvidError):
    code = "payment"
    exit_code = 7


class LimitedError(AirvidError):
    """Refused by a limit. `retry_after` is the server's own hint in seconds, or None; `concurrency`: the limit
    is on tasks that run at once; `is_guess`: only the words say that it is a limit, the HTTP status does not.
    """

    code = "limited"
    exit_code = 8

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        concurrency: bool = False,
        is_guess: bool = False,
        **more: str | None,
    ) -> None:
        super().__init__(message, **more)
        self.retry_after = retry_after
        self.concurrency = concurrency
        self.is_guess = is_guess


class UnavailableError(AirvidError):
    """The server or the network failed. `sent` is False only where the server surely never got the request; `is_final`:
    asking again will not change that.
    """

    code = "unavailable"
    exit_code = 9

    def __init__(
        self,
        message: str,
        *,
        sent: bool = True,
        is_final: bool = False,
        retry_after: float | None = None,
        **more: str | None,
    ) -> None:
        super().__init__(message, **more)
        self.sent = sent
        self.is_final = is_final
        self.retry_after = retry_after


class UnknownFateError(UnavailableError):
    """A POST that may or may not have made a task: `candidates` are the task ids it could have become."""

    def __init__(
        self, message: str, *, candidates: Sequence[str] = (), hint: str | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message, hint=hint, request_id=request_id)
        self.candidates = list(candidates)

    def record(self) -> dict[str, object]:
        return super().record() | {"candidates": self.candidates}


class WaitTimeoutError(AirvidError):
    code = "timeout"
    exit_code = 10


class FileError(AirvidError):
    code = "file"
    exit_code = 11


class NotSentError(FileError):
    """A clip is whole on this disk, and not in the store. The hint is the command that sends it."""


class InUseError(FileError):
    """Another airvid is at work on the same file or clip at this moment."""


class BugError(AirvidError):
    """An exception that is a bug in airvid; `__cause__` is the exception itself."""

    @classmethod
    def of(cls, cause: Exception) -> BugError:
        error = cls(
            f"this is a bug in airvid: {type(cause).__name__}: {cause}",
            hint="run it again with --debug, and report what it shows",
        )
        error.__cause__ = cause
        return error


class SeveralErrors(AirvidError):
    """Several failures at once; the caller gives the exit code for all of them."""

    def __init__(self, errors: Sequence[AirvidError], exit_code: int) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = list(errors)
        self.exit_code = exit_code


class Interrupted(BaseException):
    """A signal ended the program: 128 + its number (130 for Ctrl-C, 143 for TERM, 129 for HUP).

    No AirvidError, nor any Exception, so that no `except` for failures stops it.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number


def as_unavailable(error: Exception) -> UnavailableError:
    """The UnavailableError that any exception of a request stands for where waiting may help."""
    if isinstance(error, UnavailableError):
        return error
    failure = UnavailableError(f"the request failed: {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure


def as_failure(error: Exception) -> AirvidError:
    """The error for the user that an exception of one clip's work stands for: an OSError is a failure of a file."""
    if isinstance(error, AirvidError):
        return error
    if isinstance(error, OSError) and not isinstance(error, TimeoutError | ConnectionError):
        return FileError(f"{error.filename or _unnamed_file()}: {error.strerror or error}")
    return BugError.of(error)


def _unnamed_file() -> str:
    """What an OSError without a file's name is about: the working folder, where it was deleted."""
    try:
        os.getcwd()
    except OSError:
        return "the working folder"
    return "a file"


def complain(complaints: Sequence[AirvidError]) -> None:
    """Raise all complaints about a request as one, if there are any; the first of 2, 11, 7 is the exit code."""
    if len(complaints) == 1:
        raise complaints[0]
    if complaints:
        codes = {error.exit_code for error in complaints}
        raise SeveralErrors(complaints, next((code for code in (2, 11, 7) if code in codes), 1))


def settle(outcomes: Iterable[AirvidError | None]) -> None:
    """Raise the errors of several tasks as one, with the exit code that all of them share, else 1."""
    outcomes = list(outcomes)
    errors = [error for error in outcomes if error]
    if len(outcomes) == 1 and errors:
        raise errors[0]
    if errors:
        codes = {error.exit_code if error else 0 for error in outcomes}
        raise SeveralErrors(errors, codes.pop() if len(codes) == 1 else 1)
