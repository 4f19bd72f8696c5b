"""airvid create (contract §5), on the emulator and a virtual clock."""

from __future__ import annotations

from conftest import World


def test_prints_the_id_alone(world: World) -> None:
    result = world.airvid("create", "fox in snow", "-m", "wan-2.6")
    assert result.code == 0
    assert len(result.lines) == 1
    assert world.posts == [{"model": "wan-2.6", "prompt": "fox in snow", "mode": "text"}]


def test_waits_and_saves(world: World) -> None:
    result = world.airvid("create", "fox in snow", "-d", "8", "-o", "fox.mp4")
    assert (result.code, result.out) == (0, "fox.mp4\n")
    assert (world.folder / "fox.mp4").read_bytes()[4:8] == b"ftyp"
    assert len(world.posts) == 1
