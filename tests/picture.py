"""The README's pictures, made from real runs: `python tests/picture.py`."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from rich.console import Console
from rich.style import Style
from rich.text import Text
from terminal import Terminal, environment

MEDIA = Path(__file__).parent.parent / ".github" / "media"
WIDTH = 100


def drawn(terminal: Terminal) -> Text:
    """The terminal's screen, colours and all."""
    lines = []
    used = max((n for n, line in enumerate(terminal.lines) if line), default=-1) + 1
    for y in range(used):
        row, line = terminal.screen.buffer[y], Text()
        for x in range(terminal.screen.columns):
            cell = row[x]
            names = {"brown": "yellow", "default": None}
            color = names.get(cell.fg, cell.fg)
            if color and len(color) == 6 and all(each in "0123456789abcdef" for each in color):
                color = f"#{color}"
            line.append(cell.data, Style(color=color, bold=cell.bold, reverse=cell.reverse))
        line.rstrip()
        lines.append(line)
    return Text("\n").join(lines)


def save(name: str, title: str, shown: list[Text]) -> None:
    """Write one picture."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    for text in shown:
        console.print(text)
    MEDIA.mkdir(parents=True, exist_ok=True)
    console.save_svg(str(MEDIA / name), title=title)


def main() -> None:
    """Run `create` in the sandbox on a terminal, and draw it at work and at its end."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        words = ["--sandbox", "create", "fox in snow", "--duration", "8", "-o", "fox.mp4"]
        terminal = Terminal(words, cwd=home, env=environment(home), columns=WIDTH)
        terminal.until(lambda each: any(f"{n}%" in each.text for n in range(40, 100)))
        prompt = Text('$ airvid --sandbox create "fox in snow" --duration 8 -o fox.mp4', style="bold")
        working = drawn(terminal)
        terminal.end()
        later = Text("\n… and some seconds later\n", style="dim")
        save("create.svg", "airvid", [prompt, working, later, drawn(terminal)])


if __name__ == "__main__":
    main()
