"""A headless Chromium, driven by its DevTools protocol through a pipe."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from program_process import until

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """One page. `events` are those of the protocol so far: requests, dialogs, messages of the console."""

    def __init__(self, read: int, write: int) -> None:
        self._from, self._to = os.fdopen(read, "rb", buffering=0), os.fdopen(write, "wb", buffering=0)
        self._received, self._count, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.send(f"{domain}.enable")
        note = "(event) => violations.push(event.violatedDirective)"
        script = f"window.violations = []; document.addEventListener('securitypolicyviolation', {note})"
        self.send("Page.addScriptToEvaluateOnNewDocument", source=script)

    def close(self) -> None:
        self._from.close()
        self._to.close()

    def send(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol; its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        self._to.write(json.dumps(message | ({"sessionId": self._session} if self._session else {})).encode() + b"\0")
        while True:
            while b"\0" not in self._received:
                chunk = self._from.read(1 << 16)
                assert chunk, "Chromium has ended"
                self._received += chunk
            line, _, self._received = self._received.partition(b"\0")
            answer = json.loads(line)
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def open(self, page: Path) -> None:
        self.send("Page.navigate", url=page.absolute().as_uri())
        until(lambda: self.value("document.readyState") == "complete", "the page")

    def value(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        text = {"text": key} if len(key) == 1 else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key)

    def hover(self, selector: str) -> None:
        """Move the mouse onto an element."""
        self.value(f"document.querySelector({selector!r}).scrollIntoView({{block: 'center'}})")
        place = self.value(f"document.querySelector({selector!r}).getBoundingClientRect().toJSON()")
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=place["x"] + 20, y=place["y"] + 20)

    def told(self, method: str) -> list[dict[str, Any]]:
        """The parameters of events of this name."""
        return [event["params"] for event in self.events if event["method"] == method]


@contextmanager
def browser(home: Path) -> Iterator[Browser]:
    assert PROGRAM
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--window-size=1300,900"]
    command = [
        "bash",
        "-c",
        f'exec "$@" 3<&{to_read} 4>&{from_write}',
        "bash",
        PROGRAM,
        *options,
        f"--user-data-dir={home}",
    ]
    with subprocess.Popen(command, pass_fds=(to_read, from_write), stderr=subprocess.DEVNULL) as process:
        os.close(to_read)
        os.close(from_write)
        page = Browser(from_read, to_write)
        try:
            yield page
        finally:
            page.close()
            process.kill()
