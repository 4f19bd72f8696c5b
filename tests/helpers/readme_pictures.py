"""The README's pictures, made from real runs in the sandbox.

Run `python tests/helpers/readme_pictures.py [FOLDER [light]]`.
"""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

from terminal import Terminal, environment

MEDIA = Path(__file__).parents[2] / ".github" / "media"
COLUMNS = 80
# Size of a cell and of the window's edge, pixels.
WIDTH, HEIGHT, EDGE = 8.4, 19, 16
# Ground, text, and the colours that airvid uses, on a dark terminal and on a light one.
THEMES = {
    "dark": ("#11151c", "#d5dae3", {"red": "#ff6b6b", "green": "#6bd68a", "brown": "#e6c35c", "cyan": "#56c8d8"}),
    "light": ("#fbfbf8", "#24292f", {"red": "#c5221f", "green": "#1a7f37", "brown": "#8a6100", "cyan": "#0b7285"}),
}
DIM = "brightblack"


class Screenshot(Terminal):
    """A run of the program as it is to be drawn. The emulator knows no dim text: grey stands for it."""

    def shown(self, chunk: bytes) -> bytes:
        return super().shown(chunk).replace(b"\x1b[2m", b"\x1b[90m").replace(b"\x1b[2;", b"\x1b[90;")

    def runs(self) -> list[list[tuple[int, str, str, bool]]]:
        """The screen's lines as pieces of one style: column, text, colour, bold."""
        used = max((n for n, line in enumerate(self.lines) if line), default=-1) + 1
        return [list(self._pieces(y)) for y in range(used)]

    def _pieces(self, y: int) -> Iterator[tuple[int, str, str, bool]]:
        row = self.screen.buffer[y]
        cells = [(x, row[x]) for x in range(self.screen.columns) if row[x].data]
        for (color, bold), run in groupby(cells, key=lambda cell: (cell[1].fg, cell[1].bold)):
            piece = list(run)
            text = "".join(cell.data for _, cell in piece)
            if text.strip():
                yield piece[0][0], text.rstrip(), color, bold


def draw(lines: list[list[tuple[int, str, str, bool]]], theme: str) -> str:
    """An SVG of a terminal's screen."""
    ground, text, colors = THEMES[theme]
    width, height = COLUMNS * WIDTH + 2 * EDGE, len(lines) * HEIGHT + 2 * EDGE
    drawn = []
    for y, line in enumerate(lines):
        for x, told, color, bold in line:
            look = f' fill="{colors[color]}"' if color in colors else ' opacity=".55"' if color == DIM else ""
            look += ' font-weight="bold"' if bold else ""
            place = f'x="{EDGE + x * WIDTH:.1f}" y="{EDGE + y * HEIGHT + 14}"'
            # Told how long it is, a run keeps its columns in any font.
            span = sum(2 if ord(each) > 0x2E80 else 1 for each in told) * WIDTH
            drawn.append(f'<text {place} textLength="{span:.1f}" xml:space="preserve"{look}>{escape(told)}</text>')
    font = "ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}">'
        f'<rect width="100%" height="100%" rx="8" fill="{ground}" stroke="#8884"/>'
        f'<g font-family="{font}" font-size="14" fill="{text}">\n' + "\n".join(drawn) + "\n</g></svg>\n"
    )


class Sandbox:
    """A user's empty home with a sandbox in it."""

    def __init__(self, home: Path, media: Path, theme: str) -> None:
        self._home, self._media, self._theme = home, media, theme
        self._media.mkdir(parents=True, exist_ok=True)

    def play(self, *words: str) -> Screenshot:
        env = environment(self._home, AIRVID_SANDBOX="1")
        return Screenshot(words, cwd=self._home, env=env, columns=COLUMNS, rows=40)

    def take(self, name: str, *words: str, at: Callable[[Terminal], bool] | None = None) -> Screenshot:
        """Run the program to its end, or to a moment, and draw the screen."""
        scene = self.play(*words)
        if at:
            scene.until(at)
        else:
            scene.end()
        prompt = [(0, "$", DIM, False), (2, shlex.join(["airvid", *words]), "default", True)]
        (self._media / f"{name}.svg").write_text(draw([prompt, *scene.runs()], self._theme), "utf-8")
        return scene


def main(media: Path = MEDIA, theme: str = "dark") -> None:
    """Draw the six main screens."""
    with tempfile.TemporaryDirectory() as folder:
        studio = Sandbox(Path(folder), media, theme)
        for seconds in ("2", "3", "4"):  # after these it is known how long a clip takes
            studio.play("-q", "create", "warming up", "-m", "wan-2.6", "-d", seconds, "--wait").end()
        studio.take("models", "models", "--duration", "8")
        create = ("create", "fox in snow", "-m", "wan-2.6", "-d", "8", "-o", "fox.mp4")
        studio.take("create", *create, at=lambda each: any(f"{n}%" in each.text for n in range(30, 80))).end()
        studio.take("created", *create, "--force")
        studio.take("error", "create", "a fox", "-m", "wan-2.6", "-d", "20", "-a", "4:3", "-o", "fox.mp4")
        for prompt in ("a paper boat in the rain", "a wolf in the mist", "city of glass, slow pan", "雪の中のキツネ"):
            studio.play("-q", "create", prompt, "-m", "wan-2.6", "-d", "4").end()
        studio.take("watch", "watch", at=lambda each: any(f"{n}%" in each.text for n in range(20, 80))).end()
        studio.play("-q", "create", "a lighthouse at night", "-m", "dune-lite", "-d", "4").end()
        studio.take("list", "list", "-L", "7")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else MEDIA, *sys.argv[2:3])
