"""Budgets: what was spent or reserved on this machine in a day or a month, and whether more clips fit."""

from __future__ import annotations

from datetime import datetime

from airvid.errors import PaymentError
from airvid.journal.schema import Database, counted_cents


def hold_budget(
    database: Database, period: str, dollars: float, estimate: float | None, count: int, now: float
) -> None:
    """See that `count` clips of `estimate` cents fit into a budget of `dollars` for `period`, `day` or `month`.

    Called within a transaction. `now`: Unix seconds. Raises: PaymentError.
    """
    if estimate is None:
        raise PaymentError(
            f"this model's price is unknown, and budget.{period} is set: nothing was sent",
            hint="name a model with a price; airvid models",
        )
    today = datetime.fromtimestamp(now)
    _count_today(database, today.strftime("%Y-%m-%d"), now)
    begin = today.replace(day=1) if period == "month" else today
    spent = database.execute(
        "SELECT coalesce(sum(cents), 0) FROM spending WHERE day >= ?", (begin.strftime("%Y-%m-%d"),)
    ).fetchone()[0]
    if spent + estimate * count > dollars * 100 + 1e-6:
        raise PaymentError(
            f"budget.{period} of ${dollars:g} would be passed: ${spent / 100:g} is spent or reserved on this machine,"
            f" this is estimated at ${estimate * count / 100:g}; nothing was sent",
            hint=f"airvid config set budget.{period} USD",
        )


def _count_today(database: Database, today: str, now: float) -> None:
    """Count rows that were made while the clock was ahead for today: else no budget counts them until their day."""
    ahead = database.execute(
        f"SELECT id, day, {counted_cents('clip')} AS cents FROM clip WHERE intended_at > ? AND day > ?", (now, today)
    ).fetchall()
    for row in ahead:
        database.execute("UPDATE spending SET cents = cents - ? WHERE day = ?", (row["cents"], row["day"]))
        database.execute(
            "INSERT INTO spending VALUES (?, ?) ON CONFLICT (day) DO UPDATE SET cents = cents + excluded.cents",
            (today, row["cents"]),
        )
        database.execute("UPDATE clip SET day = ? WHERE id = ?", (today, row["id"]))
