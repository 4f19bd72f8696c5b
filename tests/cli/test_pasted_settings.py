"""Keys, addresses and ids as people paste them: with quotes, `Bearer`, a byte order mark, an endpoint behind them."""

from __future__ import annotations

from pathlib import Path

import pytest
from program import API, KEY, World

BOM = "\ufeff"
PASTED = [f'"{KEY}"', f"'{KEY}'\n", f"“{KEY}”", f"Bearer {KEY}", f'"bearer {KEY}"', f"Authorization: Bearer {KEY}"]
PASTED += [BOM + KEY, f'{BOM}"{KEY}"\r\n']


@pytest.mark.parametrize("place", ["AIRVID_API_KEY", "AIRFORCE_API_KEY", "AIRVID_API_KEY_FILE", "config", "login"])
@pytest.mark.parametrize("given", PASTED)
def test_a_key_is_taken_out_of_what_was_pasted(world: World, tmp_path: Path, place: str, given: str) -> None:
    world.emulator.keys = {KEY}
    world.env.delenv("AIRVID_API_KEY")
    file = tmp_path / "config" / "airvid" / "config.toml"
    if place == "login":
        assert world.airvid("auth", "login", stdin=given.encode()).code == 0
        assert file.read_text() == f'api-key = "{KEY}"\n'
    elif place == "config":
        file.parent.mkdir(parents=True)
        file.touch(0o600)
        file.write_text(f"api-key = '''{given}'''\n")
    elif place == "AIRVID_API_KEY_FILE":
        (tmp_path / "secret").write_text(given)
        world.env.setenv(place, str(tmp_path / "secret"))
    else:
        world.env.setenv(place, given)
    assert world.airvid("list").code == 0


def test_a_key_s_variables_go_before_its_file_and_that_before_the_stored_one(world: World, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("sk-air-from-the-file-1234\n")
    world.env.setenv("AIRVID_API_KEY_FILE", str(tmp_path / "secret"))
    assert world.airvid("auth", "status", "--json", "--offline").json["source"] == "AIRVID_API_KEY"
    world.env.delenv("AIRVID_API_KEY")
    assert world.airvid("auth", "login", "--no-verify", stdin=KEY.encode()).code == 0
    shown = world.airvid("auth", "status", "--json", "--offline").json
    assert (shown["source"], shown["key"]) == ("AIRVID_API_KEY_FILE", "sk-air-…1234")


@pytest.mark.parametrize(("content", "code"), [(None, 11), ("", 3), ("two words\n", 3)])
def test_a_file_without_a_key_is_named(world: World, tmp_path: Path, content: str | None, code: int) -> None:
    world.env.delenv("AIRVID_API_KEY")
    world.env.setenv("AIRVID_API_KEY_FILE", str(tmp_path / "secret"))
    if content is not None:
        (tmp_path / "secret").write_text(content)
    result = world.airvid("list")
    assert (result.code, world.calls) == (code, [])
    assert "AIRVID_API_KEY_FILE" in result.err


@pytest.mark.parametrize(
    "behind", ["/video/generations", "/video/tasks", "/video/tasks/abc/stream", "/models", "/", ""]
)
@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("place", ["variable", "option", "setting"])
def test_an_endpoint_behind_the_base_url_is_left_out(world: World, behind: str, quote: str, place: str) -> None:
    given = f"{quote}{API}{behind}{quote}"
    options = []
    if place == "option":
        options = ["--base-url", given]
    elif place == "variable":
        world.env.setenv("AIRVID_BASE_URL", given)
    else:
        world.env.delenv("AIRVID_BASE_URL")
        assert world.airvid("config", "set", "base-url", given).code == 0
    assert world.airvid("list", *options).code == 0
    assert world.calls == ["GET /v1/video/tasks"]


@pytest.mark.parametrize("command", [["list"], ["models"], ["create", "x", "-m", "wan-2.6"]])
def test_a_base_url_without_the_api_is_named_in_the_error(world: World, command: list[str]) -> None:
    result = world.airvid("--base-url", API.replace("/v1", "/other"), *command)
    assert result.code == 4
    assert API.replace("/v1", "/other/v1") in result.err
    assert "hint: airvid config list" in result.err


@pytest.mark.parametrize("form", ["{}", BOM + "{}", '"{}"', "'{}'"])
def test_an_id_is_taken_out_of_what_was_pasted(world: World, form: str) -> None:
    task = world.airvid("create", "a fox", "-m", "wan-2.6").lines[0]
    assert world.airvid("status", form.format(task)).code == 0
    assert world.airvid("status", "-", stdin=f"{form.format(task)}\r\n".encode()).code == 0
