"""Budgets: what this machine has spent or reserved in a day or a month, held against what the user allows (5.10)."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from airvid.errors import PaymentError


def hold(
    database: sqlite3.Connection, period: str, dollars: float, estimate: float | None, count: int, now: float
) -> None:
    """See that `count` clips of `estimate` cents fit into a budget. Raises: PaymentError."""
    if estimate is None:
        raise PaymentError(
            f"this model's price is unknown, and budget.{period} is set: nothing was sent",
            hint="name a model with a price; airvid models",
        )
    today = datetime.fromtimestamp(now)
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
