"""A folder of clips with what is known of them, some of it hostile."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from pyav_clips import numbered

HOSTILE = "<b>bold</b><script>alert(1)</script> \"quotes\" & 'more' <img src=x onerror=alert(2)>"
PROMPTS = ("A red fox runs through deep snow", HOSTILE)
MODELS = ("wan-2.6", "dune-lite", '"><script>alert(3)</script>')
NAME = '"><script>alert(4)<:%41#?&.mp4'
REASON = "rejected: <i>no</i></p><script>alert(5)</script>"


def make_folder(folder: Path) -> None:
    """Six clips, three of each prompt, the cost of the nth n cents; one that failed; one that is no video."""
    folder.mkdir()
    clip = numbered(folder / "clip-1.mp4", frames=30)
    rows = []
    for n in range(1, 7):
        name = NAME if n == 4 else f"clip-{n}.mp4"
        if n > 1:
            shutil.copy(clip, folder / name)
        known = {
            "status": "completed",
            "prompt": PROMPTS[n > 3],
            "request": {"seed": n},
            "output": name,
            "took": 40 + n,
        }
        record = {"task_id": f"t{n}", "model": MODELS[n % 3], "cost_cents": n, "created": 1_790_000_000 + n}
        rows.append(record | {"status": "completed", "airvid": known})
    failed: dict[str, object] = {"status": "failed", "prompt": PROMPTS[0], "output": None, "request": {}}
    rows.append({"task_id": "t7", "model": MODELS[0], "error": {"message": REASON}, "airvid": failed})
    (folder / "broken.mp4").write_text("no video")
    (folder / "results.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows) + '{"task_id": "half')
