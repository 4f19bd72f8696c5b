from collections.abc import Callable
from pathlib import Path
import pytest
from completion_scripts import FOLDER, script

@pytest.mark.parametrize("name", ["airvid.bash", "_airvid", "airvid.fish", "airvid.ps1"])
def test_the_scripts_know_the_commands_as_they_are(name: str, golden: Callable[[Path, str], None]) -> None:
    golden(FOLDER / name, script(name))
