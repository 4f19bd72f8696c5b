"""The lowest versions of the run-time packages that pyproject.toml allows, as constraints for pip."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
for requirement in project["dependencies"] + project["optional-dependencies"]["media"]:
    if lowest := re.match(r"([\w-]+)>=([\d.]+)", requirement):
        print(f"{lowest[1]}=={lowest[2]}")
