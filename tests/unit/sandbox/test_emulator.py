"""The emulator as a function of request and time: the API as documented, its oddities, and its faults."""

from __future__ import annotations

import base64
import email.utils
import gc
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from airvid.sandbox.catalogue import MODELS, makes_video
from airvid.sandbox.create import frame_size
from airvid.sandbox.emulator import ClipSpec, Emulator, Fault, Pace, Request, Response
from airvid.sandbox.faults import parse_fault

T0 = 1_780_000_000.25
DAY = 86_400
CLIP = bytes(range(250)) * 4
FOX = {"model": "wan-2.6", "prompt": "a fox in snow"}


class Api:
    """A client on a clock of its own."""

    def __init__(self, emulator: Emulator, key: str = "sk-air-one") -> None:
        self.emulator, self.key, self.now = emulator, key, T0

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        request = Request(method, path, {"authorization": f"Bearer {self.key}", **named}, raw)
        return self.emulator.handle(request, self.now)

    def json(self, method: str, path: str, body: Any = None) -> Any:
        response = self.send(method, path, body)
        assert response.status == 200, response.body
        return json.loads(response.body)

    def create(self, **asked: Any) -> Any:
        return self.json("POST", "/v1/video/generations", {**FOX, **asked})

    def refused(self, **asked: Any) -> tuple[int, Any]:
        response = self.send("POST", "/v1/video/generations", {**FOX, **asked})
        return response.status, json.loads(response.body)["error"]

    def task(self, task_id: str) -> Any:
        return self.json("GET", f"/v1/video/tasks/{task_id}")

    def finished(self, **asked: Any) -> Any:
        task_id = self.create(**asked)["task_id"]
        self.now += 10
        return self.task(task_id)

    def fetch(self, url: str, method: str = "GET", **headers: str) -> Response:
        parts = urlsplit(url)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = Request(method, f"{parts.path}?{parts.query}", named, storage=True)
        return self.emulator.handle(request, self.now)


@pytest.fixture
def rendered() -> list[ClipSpec]:
    return []


@pytest.fixture
def api(rendered: list[ClipSpec]) -> Iterator[Api]:
    def render(spec: ClipSpec) -> bytes:
        rendered.append(spec)
        return CLIP

    emulator = Emulator(render=render)
    yield Api(emulator)
    emulator.close()


def events(response: Response) -> list[tuple[float, Any]]:
    assert response.chunks is not None
    return [
        (due, json.loads(chunk.split(b"data: ")[1]))
        for due, chunk in response.chunks
        if chunk.startswith(b"event: state")
    ]


# The catalogue


def test_the_catalogue_is_as_odd_as_the_real_one() -> None:
    video = [model for model in MODELS if makes_video(model)]
    caps = [model.get("video_caps") or {} for model in video]
    assert len(MODELS) >= 40
    assert len(video) >= 10
    assert len({model["id"] for model in MODELS}) == len(MODELS)
    assert any(model["output_modalities"] is None and model["media_type"] == "video" for model in video)
    assert any(not model["output_modalities"] and not model["media_type"] for model in video)
    assert {"down", "degraded", None} <= {model["status"] for model in video}
    assert {"720P", "768P"} & {quality for cap in caps for quality in cap.get("qualities") or ()}
    assert {"2:3", "portrait"} <= {ratio for cap in caps for ratio in cap.get("aspect_ratios") or ()}
    assert {None, 0} <= {cap.get("price_per_second_cents") for cap in caps}
    assert any(cap and cap["modes"] is None and cap["min_duration_s"] is None for cap in caps)


def test_models_are_listed_with_a_key_and_without(api: Api) -> None:
    listed = api.json("GET", "/v1/models")
    assert listed["object"] == "list"
    assert listed["data"][0]["created"] == int(T0)
    assert api.emulator.handle(Request("GET", "/v1/models"), T0).status == 200


# Doors: paths, methods, keys, headers


@pytest.mark.parametrize("path", ["/models", "/v1", "/v1/models/", "/v1/video/tasks/x/y", "/v2/models"])
def test_other_paths_are_not_found(api: Api, path: str) -> None:
    response = api.send("GET", path)
    assert response.status == 404
    assert isinstance(json.loads(response.body)["error"], str)


def test_a_wrong_method_is_told_the_right_one(api: Api) -> None:
    response = api.send("PUT", "/v1/video/tasks/x")
    assert (response.status, response.headers["Allow"]) == (405, "GET, DELETE")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic abc", "Bearer  padded", "Bearer padded "])
def test_a_key_is_needed(api: Api, header: str) -> None:
    request = Request("GET", "/v1/video/tasks", {"authorization": header})
    assert api.emulator.handle(request, T0).status == 401


def test_only_known_keys_are_let_in(api: Api) -> None:
    api.emulator.keys = {"sk-air-one"}
    assert api.send("GET", "/v1/video/tasks").status == 200
    assert Api(api.emulator, "sk-air-two").send("GET", "/v1/video/tasks").status == 401
    assert Api(api.emulator, "sk-air-two").send("GET", "/v1/models").status == 401


def test_every_answer_carries_date_and_request_id(api: Api) -> None:
    responses = [api.send("GET", path) for path in ("/v1/models", "/v1/video/tasks/none")]
    assert len({response.headers["X-Request-ID"] for response in responses}) == 2
    for response in responses:
        date = email.utils.parsedate_to_datetime(response.headers["Date"])
        assert date.timestamp() == int(T0)


def test_head_is_get_without_a_body(api: Api) -> None:
    whole, head = api.send("GET", "/v1/models"), api.send("HEAD", "/v1/models")
    assert head.body == b""
    assert head.headers["Content-Length"] == whole.headers["Content-Length"] == str(len(whole.body))


# Create


def test_a_create_answers_with_the_new_task(api: Api) -> None:
    created = api.create(duration_seconds=4)
    assert created == {
        "task_id": created["task_id"],
        "status": "queued",
        "model": "wan-2.6",
        "created": int(T0),
        "expires_at": int(T0) + DAY,
        "progress": 0,
        "cost_cents": 9.0,
    }


def test_unset_options_take_the_models_defaults(api: Api) -> None:
    task = api.task(api.create()["task_id"])
    assert (task["duration_seconds"], task["mode"]) == (2, "text")
    assert (task["aspect_ratio"], task["quality"]) == ("16:9", "720p")
    assert api.task(api.create(model="mochi-1")["task_id"])["quality"] == "480p"


def test_caps_are_compared_without_case_and_shown_in_the_models_spelling(api: Api) -> None:
    created = api.create(model="seedance-2.0", aspect_ratio="2:3", quality="720p", mode="TEXT")
    task = api.task(created["task_id"])
    assert (task["aspect_ratio"], task["quality"], task["mode"]) == ("2:3", "720P", "text")


def test_a_missing_cap_allows_anything(api: Api) -> None:
    task = api.task(api.create(model="ltx-2", aspect_ratio="5:4", quality="900p")["task_id"])
    assert (task["aspect_ratio"], task["quality"], task["duration_seconds"]) == ("5:4", "900p", 5)


def test_an_unknown_price_is_no_price(api: Api) -> None:
    assert api.create(model="mochi-1")["cost_cents"] is None
    assert api.create(model="hunyuan-video")["cost_cents"] == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", "  "),
        ("prompt", 7),
        ("model", ""),
        ("mode", "reference"),
        ("mode", 1),
        ("duration_seconds", 1),
        ("duration_seconds", 16),
        ("duration_seconds", "4"),
        ("duration_seconds", True),
        ("aspect_ratio", "4:3"),
        ("quality", "4k"),
        ("seed", None),
        ("input_images", {}),
    ],
)
def test_a_malformed_field_is_named(api: Api, field: str, value: Any) -> None:
    status, error = api.refused(**{field: value})
    assert (status, error["param"]) == (400, field)
    assert field in error["message"]


@pytest.mark.parametrize("model", ["WAN-2.6", "gpt-5", "no-such"])
def test_an_unknown_model_is_refused(api: Api, model: str) -> None:
    status, error = api.refused(model=model)
    assert (status, error["code"]) == (400, "unknown_model")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_refused(api: Api, body: bytes) -> None:
    response = api.send("POST", "/v1/video/generations", body)
    assert (response.status, json.loads(response.body)["error"]["code"]) == (400, "invalid_json")


def test_a_body_over_20_mb_is_refused(api: Api) -> None:
    assert api.send("POST", "/v1/video/generations", bytes(20 * 2**20 + 1)).status == 413


def test_anything_else_is_passed_on_unread(api: Api, rendered: list[ClipSpec]) -> None:
    api.fetch(api.finished(seed="lucky", camera={"pan": [1, 2]}, sound=True)["result_url"])
    assert (rendered[0].seed, rendered[0].sound) == (None, True)


@pytest.mark.parametrize(
    ("images", "param"),
    [
        (None, "input_images"),
        ([], "input_images"),
        (["x"], "input_images[0]"),
        ([{}], "input_images[0]"),
        ([{"url": "https://a/b", "b64_json": "aa"}], "input_images[0]"),
        ([{"url": "file:///etc/passwd"}], "input_images[0]"),
        ([{"b64_json": "data:image/png;base64,aaaa"}], "input_images[0]"),
        ([{"url": "data:image/png;base64,aaaa"}], "input_images[0]"),
        ([{"url": "https://a/b"}, {"b64_json": "é"}], "input_images[1]"),
        ([{"b64_json": 5}], "input_images[0]"),
    ],
)
@pytest.mark.parametrize("mode", ["image", "reference"])
def test_images_are_required_and_checked(api: Api, mode: str, images: Any, param: str) -> None:
    given = {} if images is None else {"input_images": images}
    status, error = api.refused(model="dune-lite", mode=mode, **given)
    assert (status, error["param"]) == (400, param)


def test_an_image_reaches_the_renderer_and_an_address_changes_the_look(api: Api, rendered: list[ClipSpec]) -> None:
    picture = base64.b64encode(b"picture").decode()
    api.fetch(api.finished(mode="image", input_images=[{"b64_json": picture}])["result_url"])
    linked = api.finished(mode="image", input_images=[{"url": "https://a/b.png"}])
    assert linked["input_image_url"] == "https://a/b.png"
    api.fetch(linked["result_url"])
    api.fetch(api.finished(model="dune-lite", mode="reference", input_images=[{"b64_json": picture}])["result_url"])
    assert [spec.image for spec in rendered] == [b"picture", None, None]
    assert len({(spec.prompt, spec.image) for spec in rendered}) == 3


def test_an_image_that_cannot_be_decoded_is_refused() -> None:
    pytest.importorskip("av", reason="PyAV (the extra media) is not installed")
    picture = base64.b64encode(b"no picture").decode()
    status, error = Api(Emulator()).refused(mode="image", input_images=[{"b64_json": picture}])
    assert (status, error["code"]) == (400, "invalid_image")


@pytest.mark.parametrize(
    ("ratio", "quality", "size"),
    [
        ("16:9", "480p", (854, 480)),
        ("16:9", "720P", (1280, 720)),
        ("9:16", "1080p", (1080, 1920)),
        ("1:1", "768p", (768, 768)),
        ("2:3", "720p", (720, 1080)),
        ("portrait", "hd", (720, 1280)),
        ("Landscape", "4K", (3840, 2160)),
        ("square", "odd", (720, 720)),
        ("odd", "99999p", (3840, 2160)),
        ("1:99999", "0000p", (16, 64)),
        ("0:0", "720p", (1280, 720)),
    ],
)
def test_frame_sizes(ratio: str, quality: str, size: tuple[int, int]) -> None:
    assert frame_size(ratio, quality) == size


# A task's life


def test_a_task_goes_from_queued_to_completed_by_time_alone(api: Api) -> None:
    api.emulator.pace = Pace(queued=10, processing=100)
    task_id = api.create()["task_id"]
    api.emulator.pace = Pace()  # frozen into the task when it was made
    seen = []
    for api.now in (T0, T0 + 9, T0 + 10, T0 + 60, T0 + 109.9, T0 + 110):
        task = api.task(task_id)
        seen.append((task["status"], task["progress"], bool(task["result_url"])))
    assert seen == [
        ("queued", 0, False),
        ("queued", 0, False),
        ("processing", 0, False),
        ("processing", 50, False),
        ("processing", 99, False),
        ("completed", 100, True),
    ]


def test_a_task_expires_after_a_day_and_is_gone_after_two(api: Api) -> None:
    task = api.finished()
    api.now = task["expires_at"]
    expired = api.task(task["task_id"])
    assert (expired["status"], expired["result_url"], expired["cost_cents"]) == ("expired", None, 4.5)
    api.now = T0 + 2 * DAY
    assert api.send("GET", f"/v1/video/tasks/{task['task_id']}").status == 404
    assert api.json("GET", "/v1/video/tasks") == {"data": []}


def test_failure_is_free(api: Api) -> None:
    outcomes = iter(["failed", "completed"])
    api.emulator.outcome = lambda _: next(outcomes)
    failed, completed = api.finished(), api.finished()
    assert (failed["status"], failed["cost_cents"], failed["result_url"]) == ("failed", 0, None)
    assert isinstance(failed["error"], str)
    assert (completed["status"], completed["error"]) == ("completed", None)


def test_outcomes_can_depend_on_the_task(api: Api) -> None:
    api.emulator.outcome = lambda record: "failed" if "dog" in record["prompt"] else "completed"
    assert api.finished()["status"] == "completed"
    assert api.finished(prompt="a dog")["status"] == "failed"


def test_pace_may_be_nothing() -> None:
    api = Api(Emulator(pace=Pace(1, 0)))
    task_id = api.create()["task_id"]
    assert api.task(task_id)["progress"] == 0
    api.now += 1
    assert api.task(task_id)["status"] == "completed"


# Owners, lists, deletion


def test_a_foreign_task_looks_like_a_missing_one(api: Api) -> None:
    task_id = api.create()["task_id"]
    other = Api(api.emulator, "sk-air-two")
    foreign = other.send("GET", f"/v1/video/tasks/{task_id}")
    missing = other.send("GET", "/v1/video/tasks/6a204bd8-0000-4000-8000-000000000000")
    assert (foreign.status, foreign.body) == (missing.status, missing.body)
    assert foreign.status == 404
    assert other.send("GET", f"/v1/video/tasks/{task_id}/stream").status == 404
    assert other.json("GET", "/v1/video/tasks") == {"data": []}
    assert other.json("DELETE", f"/v1/video/tasks/{task_id}") == {"deleted": True}
    assert api.task(task_id)["task_id"] == task_id


def test_the_list_is_newest_first_and_ends_at_a_hundred() -> None:
    api = Api(Emulator(slots=1000))
    made = []
    for _ in range(102):
        api.now += 1
        made.append(api.create()["task_id"])
    listed = api.json("GET", "/v1/video/tasks?limit=5")["data"]
    assert [task["task_id"] for task in listed] == made[:1:-1]


def test_deleting_removes_the_entry_and_nothing_else(api: Api) -> None:
    task = api.finished()
    for _ in range(2):
        assert api.json("DELETE", f"/v1/video/tasks/{task['task_id']}") == {"deleted": True}
    assert api.send("GET", f"/v1/video/tasks/{task['task_id']}").status == 404
    assert api.json("GET", "/v1/video/tasks") == {"data": []}
    assert api.fetch(task["result_url"]).body == CLIP


# Slots


def test_four_tasks_at_once_and_the_fifth_is_told_when(api: Api) -> None:
    api.emulator.pace = Pace(10, 50)
    first = api.create()["task_id"]
    api.now += 20
    for _ in range(3):
        api.create()
    api.json("DELETE", f"/v1/video/tasks/{first}")  # which frees no slot
    response = api.send("POST", "/v1/video/generations", FOX)
    assert (response.status, response.headers["Retry-After"]) == (429, "40")
    assert "concurren" in json.loads(response.body)["error"]["message"].lower()
    assert Api(api.emulator, "sk-air-two").create()["status"] == "queued"
    api.now += 40
    api.create()


def test_a_refused_create_takes_no_outcome() -> None:
    api, outcomes = Api(Emulator(slots=1)), iter(["completed", "failed"])
    api.emulator.outcome = lambda _: next(outcomes)
    api.create()
    assert api.refused()[0] == 429
    api.now += 10
    assert api.finished()["status"] == "failed"


def test_emulators_on_one_file_share_tasks_slots_and_clips(tmp_path: Path) -> None:
    path = tmp_path / "state" / "sandbox.db"
    renderings: list[ClipSpec] = []

    def render(spec: ClipSpec) -> bytes:
        renderings.append(spec)
        return CLIP

    apis = [Api(Emulator(path=path, storage=f"http://127.0.0.1:{port}", render=render)) for port in (7, 8)]
    statuses: list[int] = []

    def create(api: Api) -> None:
        for _ in range(5):
            statuses.append(api.send("POST", "/v1/video/generations", FOX).status)

    threads = [threading.Thread(target=create, args=(api,)) for api in apis]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 4 + [429] * 6
    listings = []
    for api in apis:
        api.now += 10
        listings.append(api.json("GET", "/v1/video/tasks")["data"])
    assert [task["task_id"] for task in listings[0]] == [task["task_id"] for task in listings[1]]
    assert listings[1][0]["result_url"].startswith("http://127.0.0.1:8/clips/")
    assert [api.fetch(listing[0]["result_url"]).body for api, listing in zip(apis, listings, strict=True)] == [
        CLIP,
        CLIP,
    ]
    assert len(renderings) == 1
    with closing(sqlite3.connect(path)) as base:
        kept = "SELECT length(clip) FROM clips"
        assert base.execute(kept).fetchall() == [(len(CLIP),)]
        apis[0].now += 2 * DAY
        apis[0].create()
        assert base.execute(kept).fetchall() == []
    for api in apis:
        api.emulator.close()


def test_a_clip_that_cannot_be_kept_is_served_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.db"
    api = Api(Emulator(path=path, render=lambda _: CLIP))
    with closing(sqlite3.connect(path)) as base:
        base.execute("CREATE TRIGGER full BEFORE INSERT ON clips BEGIN SELECT RAISE(ABORT, 'full'); END")
    assert api.fetch(api.finished()["result_url"]).body == CLIP
    api.emulator.close()


def test_an_emulator_lets_go_of_its_file_when_it_is_forgotten(tmp_path: Path) -> None:
    Emulator(path=tmp_path / "sandbox.db")
    gc.collect()  # Python 3.13 would warn here of a connection left open


# The stream


def test_the_stream_tells_each_step_when_it_is_due(api: Api) -> None:
    api.emulator.pace = Pace(25, 100)
    task_id = api.create()["task_id"]
    response = api.send("GET", f"/v1/video/tasks/{task_id}/stream")
    assert response.headers["Content-Type"] == "text/event-stream"
    states = events(response)
    assert states[0][1]["prompt"] == FOX["prompt"]
    assert states[1] == (T0 + 25, {"task_id": task_id, "status": "processing", "progress": 0})
    assert [state["progress"] for _, state in states[1:]] == [*range(0, 100, 8), 100]
    assert states[-1] == (T0 + 125, {"task_id": task_id, "status": "completed", "progress": 100})
    assert response.chunks is not None
    assert response.chunks[-1] == (T0 + 125, b"event: done\ndata: [DONE]\n\n")
    dues = [due for due, _ in response.chunks]
    assert dues == sorted(dues)
    assert [due for due, chunk in response.chunks if chunk == b": keepalive\n\n"] == [T0 + 10, T0 + 20]


def test_a_state_seen_in_the_stream_is_what_a_get_then_tells(api: Api) -> None:
    task_id = api.create()["task_id"]
    for due, state in events(api.send("GET", f"/v1/video/tasks/{task_id}/stream")):
        api.now = due
        assert api.task(task_id)["status"] == state["status"]


def test_a_stream_joined_late_starts_from_the_current_state(api: Api) -> None:
    api.emulator.pace = Pace(0, 100)
    task_id = api.create()["task_id"]
    api.now += 50
    states = events(api.send("GET", f"/v1/video/tasks/{task_id}/stream"))
    assert [state["progress"] for _, state in states][:2] == [50, 56]
    api.now += 60
    ended = api.send("GET", f"/v1/video/tasks/{task_id}/stream").chunks
    assert ended is not None
    assert [due for due, _ in ended] == [api.now, api.now]


def test_a_task_that_never_ends_expires_in_its_stream(api: Api) -> None:
    api.emulator.pace = Pace(0, 10 * DAY)
    task_id = api.create()["task_id"]
    api.now += DAY - 100
    assert events(api.send("GET", f"/v1/video/tasks/{task_id}/stream"))[-1][1]["status"] == "expired"


# Storage


def test_a_clip_is_served_with_validators(api: Api) -> None:
    url = api.finished()["result_url"]
    response = api.fetch(url)
    assert (response.status, response.body) == (200, CLIP)
    assert response.headers["Content-Type"] == "video/mp4"
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["Content-Length"] == str(len(CLIP))
    assert response.headers["ETag"].strip('"').isalnum()
    head = api.fetch(url, "HEAD")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(CLIP)))
    assert api.fetch(url, "PUT").status == 405


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-9", 206, slice(0, 10)),
        ("bytes=990-", 206, slice(990, 1000)),
        ("bytes=-10", 206, slice(990, 1000)),
        ("bytes=-5000", 206, slice(0, 1000)),
        ("bytes=900-5000", 206, slice(900, 1000)),
        ("bytes=0-1,4-5", 200, slice(0, 1000)),
        ("bytes=9-1", 200, slice(0, 1000)),
        ("bytes=-", 200, slice(0, 1000)),
        ("lines=1-2", 200, slice(0, 1000)),
        ("bytes=1000-", 416, slice(0, 0)),
        ("bytes=-0", 416, slice(0, 0)),
    ],
)
def test_ranges(api: Api, asked: str, status: int, part: slice) -> None:
    response = api.fetch(api.finished()["result_url"], range=asked)
    assert (response.status, response.body) == (status, CLIP[part])
    if status == 206:
        assert response.headers["Content-Range"] == f"bytes {part.start}-{part.stop - 1}/1000"
    if status == 416:
        assert response.headers["Content-Range"] == "bytes */1000"


def test_if_range_gives_a_part_of_the_same_file_only(api: Api) -> None:
    url = api.finished()["result_url"]
    whole = api.fetch(url)
    for header in ("ETag", "Last-Modified"):
        assert api.fetch(url, range="bytes=5-", if_range=whole.headers[header]).status == 206
    for other in ('"other"', "W/" + whole.headers["ETag"]):
        assert api.fetch(url, range="bytes=5-", if_range=other).status == 200


def test_storage_refuses_the_api_key(api: Api) -> None:
    response = api.fetch(api.finished()["result_url"], authorization="Bearer sk-air-one")
    assert response.status == 400
    assert response.headers["Content-Type"] == "application/xml"
    assert b"<Code>InvalidArgument</Code>" in response.body


def test_storage_refuses_what_is_not_signed_for_now(api: Api) -> None:
    task = api.finished()
    url = task["result_url"]
    later = url.replace(str(task["expires_at"]), str(task["expires_at"] + 1))
    for bad in (
        url[:-1] + "g",
        later,
        url.split("?")[0],
        url.split("&")[0],
        url.replace("expires=", "expires=x"),
    ):
        assert api.fetch(bad).status == 403
    other = api.finished()["result_url"]
    assert api.fetch(other.split("?")[0] + "?" + url.split("?")[1]).status == 403
    assert api.fetch("http://127.0.0.1:2/elsewhere").status == 404
    api.now = task["expires_at"]
    assert b"expired" in api.fetch(url).body
    assert Emulator().handle(Request("GET", urlsplit(url).path, storage=True), T0).status == 403


# Faults


def test_the_record_shows_what_was_received(api: Api) -> None:
    api.create()
    ((now, request),) = api.emulator.requests
    assert (now, request.method, json.loads(request.body)) == (T0, "POST", FOX)


def test_a_refusal_before_changes_nothing(api: Api) -> None:
    api.emulator.faults.append(parse_fault("status=503"))
    assert api.send("POST", "/v1/video/generations", FOX).status == 503
    assert api.json("GET", "/v1/video/tasks") == {"data": []}
    assert api.create()["status"] == "queued"


def test_an_answer_lost_afterwards_leaves_a_task(api: Api) -> None:
    api.emulator.faults += [
        parse_fault("lost-reply"),
        Fault("POST /video/generations", answer=Response(502, body=b"<html>"), delay=3),
    ]
    assert api.send("POST", "/v1/video/generations", FOX).ending == "reset"
    response = api.send("POST", "/v1/video/generations", FOX)
    assert (response.status, response.body, response.delay) == (502, b"<html>", 3)
    assert len(api.json("GET", "/v1/video/tasks")["data"]) == 2


def test_faults_skip_and_repeat(api: Api) -> None:
    api.emulator.faults.append(Fault("GET /models", before=True, skip=1, times=2))
    assert [api.send("GET", "/v1/models").status for _ in range(4)] == [200, 503, 503, 200]
    assert api.emulator.faults == []


def test_faults_tell_polls_lists_streams_and_storage_apart(api: Api) -> None:
    task = api.finished()
    path = f"/v1/video/tasks/{task['task_id']}"
    for on in ("GET /video/tasks/", "GET /video/tasks$", "stream", "storage"):
        api.emulator.faults = [Fault(on, before=True, times=9)]
        hit = [api.send("GET", url).status == 503 for url in (path, "/v1/video/tasks", f"{path}/stream")]
        hit.append(api.fetch(task["result_url"]).status == 503)
        assert hit.count(True) == 1, on


@pytest.mark.parametrize("ending", ["truncate", "cut"])
def test_a_stream_broken_off_never_tells_the_end(api: Api, ending: Any) -> None:
    task_id = api.create()["task_id"]
    api.emulator.faults.append(Fault("stream", ending=ending))
    response = api.send("GET", f"/v1/video/tasks/{task_id}/stream")
    assert response.ending == ending
    assert 0 < len(events(response)) < 13
    assert response.chunks is not None
    assert b"done" not in response.chunks[-1][1]
