"""What can go wrong, as one tree; topics.py tells when. Each class owns its code name and exit code (contract §3).

AirvidError 1
├ UsageError 2, AuthError 3, NotFoundError 4, TaskFailedError 5, ExpiredError 6, PaymentError 7, LimitedError 8
├ UnavailableError 9
│ └ UnknownFateError 9
├ WaitTimeoutError 10, FileError 11, BugError 1
└ SeveralErrors: the code that they share, else 1
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class AirvidError(Exception):
    """A failure with a sentence for the user, and where something can be done, the very command."""

    code = "failure"
    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        request_id: str | None = None,
        task_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.request_id = request_id
        self.task_id = task_id

    def record(self) -> dict[str, object]:
        """The object that `--json` prints (contract 3.1)."""
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
    """Refused by a limit. `retry_after` is the server's own hint in seconds, where it gave one; `is_guess`: only its
    words speak of a limit, its status does not.
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
        hint: str | None = None,
        request_id: str | None = None,
        task_id: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, request_id=request_id, task_id=task_id)
        self.retry_after = retry_after
        self.concurrency = concurrency
        self.is_guess = is_guess


class UnavailableError(AirvidError):
    """The server or the way to it failed. `sent` is False only where it surely never saw the request; `is_final`:
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
        hint: str | None = None,
        request_id: str | None = None,
        task_id: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, request_id=request_id, task_id=task_id)
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


class BugError(AirvidError):
    """What nobody foresaw, as it is told; `__cause__` is the exception itself."""

    @classmethod
    def of(cls, cause: Exception) -> BugError:
        error = cls(
            f"this is a bug in airvid: {type(cause).__name__}: {cause}",
            hint="run it again with --debug, and report what it shows",
        )
        error.__cause__ = cause
        return error


class SeveralErrors(AirvidError):
    """Several failures at once. The caller says which exit code stands for all of them."""

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
    """The failure that any exception of a request is to those who wait: it may pass."""
    if isinstance(error, UnavailableError):
        return error
    failure = UnavailableError(f"the request failed: {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure


def complain(complaints: Sequence[AirvidError]) -> None:
    """Raise all complaints about a request as one, if there are any; the first of 2, 11, 7 decides (contract §3)."""
    if len(complaints) == 1:
        raise complaints[0]
    if complaints:
        codes = {error.exit_code for error in complaints}
        raise SeveralErrors(complaints, next((code for code in (2, 11, 7) if code in codes), 1))


def settle(outcomes: Iterable[AirvidError | None]) -> None:
    """Raise what several tasks came to: the common exit code where they agree, else 1 (contract 1.2a)."""
    outcomes = list(outcomes)
    errors = [error for error in outcomes if error]
    if len(outcomes) == 1 and errors:
        raise errors[0]
    if errors:
        codes = {error.exit_code if error else 0 for error in outcomes}
        raise SeveralErrors(errors, codes.pop() if len(codes) == 1 else 1)
