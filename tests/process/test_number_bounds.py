"""Numbers on the command line and in the config file have bounds, which a usage error names."""

from __future__ import annotations

from pathlib import Path

import pytest
from program_process import User


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path, "http://127.0.0.1:9/v1")


@pytest.mark.parametrize(
    ("line", "bound"),
    [
        ("list --page 999999999999999999 -L 9 --local", "1000000"),
        ("list --page 1 -L 999999999999999999", "1000000"),
        ("list --since 99999999999d", "3d"),
        ("--sandbox create fox -n 2000000", "1000"),
        ("--sandbox create fox --duration 99999999", "86400"),
        ("--sandbox create fox --seed 99999999999999999999999", "9223372036854775807"),
        ("--sandbox create fox --max-cost 1e300", "1000000"),
        ("--sandbox create fox --wait --timeout 9999999999d", "3650d"),
        ("models --max-price 1e300", "1000000"),
        ("models --duration 99999999", "86400"),
        ("download last --jobs 999999", "64"),
        ("delete -y --older-than 99999999999d", "3650d"),
        ("config set budget.day 1e300", "1000000"),
        ("config set jobs 100000", "64"),
        ("sandbox --port 99999999999999999999999", "65535"),
    ],
)
def test_numbers_have_bounds(user: User, line: str, bound: str) -> None:
    result = user.airvid(*line.split())
    assert result.returncode == 2, result.stderr
    assert bound in result.stderr


@pytest.mark.parametrize("number", ["9" * 5000, "0x" + "f" * 5000])
def test_a_number_in_the_config_file_has_bounds(user: User, number: str) -> None:
    config = user.here.parent / "config" / "airvid" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f"count = {number}\n")
    for command in (("config", "list"), ("--sandbox", "create", "fox")):
        result = user.airvid(*command)
        assert result.returncode in (2, 11), result.stderr
        assert "a bug" not in result.stderr
