"""Clips that go straight into a store: what is checked before a create is paid, and what a kill leaves."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forked_run import ForkedRun
from object_stores import FailingRelay, Store, store
from program_process import CLIP, User, make_tasks, posts, until
from small_files import tiny_mp4
from terminal import AIRVID

from airvid.sandbox.emulator import Emulator, Pace
from airvid.sandbox.server import Server

obstore = pytest.importorskip("obstore", reason="the extra `cloud` is not installed")
CREATE = ("create", "fox in snow", "-m", "wan-2.6", "-d", "5", "-o")


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with store("s3", tmp_path_factory.mktemp("s3")) as found:
        yield found


class Bucket:
    """A folder of a bucket, as its owner sees it."""

    def __init__(self, s3: Store, folder: str) -> None:
        from obstore.store import S3Store

        names = {"AWS_ACCESS_KEY_ID": "access_key_id", "AWS_SECRET_ACCESS_KEY": "secret_access_key"}
        config: Any = {name: s3.env[variable] for variable, name in names.items()}
        self._store = S3Store(
            "clips",
            prefix=folder,
            endpoint=s3.endpoint,
            region="us-east-1",
            client_options={"allow_http": True},
            **config,
        )
        self.url = f"s3://clips/{folder}"

    @property
    def names(self) -> list[str]:
        return sorted(each["path"] for each in obstore.list(self._store).collect())

    def read(self, name: str) -> bytes:
        return bytes(obstore.get(self._store, name).bytes())

    def remove(self, name: str) -> None:
        obstore.delete(self._store, name)

    def put(self, name: str, content: bytes) -> None:
        obstore.put(self._store, name, content)


@pytest.fixture
def bucket(s3: Store, tmp_path: Path) -> Bucket:
    return Bucket(s3, tmp_path.name)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(Emulator(pace=Pace(queued=0, processing=0), render=lambda _: CLIP)) as server:
        yield server


@pytest.fixture
def user(tmp_path: Path, server: Server, s3: Store) -> User:
    return User(tmp_path, server.api_url, **s3.env)


def test_a_clip_goes_into_the_bucket_and_nothing_stays_here(user: User, bucket: Bucket, server: Server) -> None:
    done = user.airvid(*CREATE, f"{bucket.url}/{{slug}}.mp4")
    assert (done.returncode, done.stdout) == (0, f"{bucket.url}/fox-in-snow.mp4\n"), done.stderr
    assert (bucket.names, bucket.read("fox-in-snow.mp4")) == (["fox-in-snow.mp4"], CLIP)
    assert user.left == set()
    assert not list((user.here.parent / "data" / "airvid" / "uploads").iterdir())
    [row] = json.loads(user.airvid("list", "--local", "--json").stdout)
    assert (row["airvid"]["output"], row["airvid"]["bytes"]) == (f"{bucket.url}/fox-in-snow.mp4", len(CLIP))
    assert posts(server) == 1


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("s3://", "cannot be the name of a bucket"),
        ("s3://B_A/x.mp4", "cannot be the name of a bucket"),
        ("s3://clips/../x.mp4", "cannot be a key"),
        ("s3://clips/a\x07.mp4", "cannot be a key"),
        ("ftp://clips/x.mp4", "s3://, gs://, az://"),
        ("s3://clips/{prompt}.mp4", "no field {prompt}"),
        ("s3://AKIA:HIDDEN@clips/x.mp4", "do not belong in an address"),
        ("az://clips/x.mp4?sv=1&sig=HIDDEN", "do not belong in an address"),
    ],
)
def test_an_address_that_cannot_be_costs_nothing(user: User, server: Server, output: str, words: str) -> None:
    done = user.airvid(*CREATE, output)
    assert (done.returncode, words in done.stderr, "HIDDEN" in done.stderr) == (2, True, False), done.stderr
    assert (posts(server), user.left) == (0, set())


@pytest.mark.parametrize(
    ("output", "env", "words"),
    [
        ("s3://no-such-bucket/x.mp4", {}, "there is no s3://no-such-bucket"),
        ("s3://clips/x.mp4", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "it does not answer"),
        ("s3://clips/x.mp4", {"AWS_ACCESS_KEY_ID": "", "AWS_PROFILE": "none"}, "there is no AWS profile none"),
        ("s3://clips/x.mp4", {"AWS_ENDPOINT_URL": "localhost:9000"}, "AWS_ENDPOINT_URL holds no address"),
        ("s3://clips/x.mp4", {"AWS_ACCESS_KEY_ID": "A\nHIDDEN"}, "AWS_ACCESS_KEY_ID holds a line break"),
        ("az://clips/x.mp4", {}, "AZURE_STORAGE_ACCOUNT_NAME"),
        (
            "az://clips/x.mp4",
            {"AZURE_STORAGE_ACCOUNT_NAME": "a", "AZURE_STORAGE_ACCOUNT_KEY": "HIDDEN!"},
            "its settings are not valid",
        ),
        ("gs://clips/x.mp4", {"GOOGLE_SERVICE_ACCOUNT": "/none.json"}, "no credentials for it were found"),
    ],
)
def test_a_store_that_cannot_take_it_costs_nothing(
    user: User, server: Server, output: str, env: dict[str, str], words: str
) -> None:
    done = user.airvid(*CREATE, output, **env)
    assert (done.returncode, words in done.stderr, "HIDDEN" in done.stderr) == (11, True, False), done.stderr
    assert (posts(server), "panicked" in done.stderr) == (0, False)


@pytest.mark.parametrize("keys", ["sso_session = work", "role_arn = arn:aws:iam::1:role/clips\nsource_profile = other"])
@pytest.mark.parametrize("name", ["", "work"])
def test_a_profile_whose_keys_are_fetched_costs_nothing(
    user: User, server: Server, bucket: Bucket, name: str, keys: str
) -> None:
    _write_profile(user, f"profile {name}" if name else "default", keys)
    done = user.airvid(*CREATE, f"{bucket.url}/x.mp4", AWS_ACCESS_KEY_ID="", AWS_PROFILE=name)
    assert (done.returncode, posts(server)) == (11, 0), done.stderr
    assert done.stderr.endswith('hint: eval "$(aws configure export-credentials --format env)"\n')


def test_the_environment_counts_more_than_a_profile(user: User, bucket: Bucket) -> None:
    """Blanks around a variable do not count, and an empty one is none."""
    keys = "\n".join(f"{name.lower()} = {user.env[name]}" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    _write_profile(user, "profile work", f"{keys}\nregion = nowhere\nendpoint_url = http://127.0.0.1:9")
    env = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "work"}
    env |= {"AWS_ENDPOINT_URL_S3": "", "AWS_ENDPOINT_URL": f" {user.env['AWS_ENDPOINT_URL']}\n"}
    done = user.airvid(*CREATE, f"{bucket.url}/x.mp4", **env)
    assert (done.returncode, bucket.names) == (0, ["x.mp4"]), done.stderr


def _write_profile(user: User, section: str, lines: str) -> None:
    config = user.here.parent / "aws-config"
    config.write_text(f"[{section}]\n{lines}\n")
    user.env["AWS_CONFIG_FILE"] = str(config)


def test_keys_that_may_not_read_cost_nothing(user: User, server: Server, s3: Store, bucket: Bucket) -> None:
    """A clip that was sent could not be confirmed."""
    with FailingRelay(s3.endpoint) as relay:
        relay.trouble.answer = b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        relay.trouble.methods = (b"HEAD",)
        done = user.airvid(*CREATE, f"{bucket.url}/x.mp4", "--force", AWS_ENDPOINT_URL=relay.url)
    assert (done.returncode, "cannot be read: 403" in done.stderr) == (11, True), done.stderr
    assert (posts(server), bucket.names) == (0, [])


def test_keys_that_are_refused_after_the_create(tmp_path: Path, s3: Store, bucket: Bucket) -> None:
    body = b"<Error><Code>ExpiredToken</Code><Message>AKIA</Message></Error>"
    with (
        Server(Emulator(pace=Pace(queued=0, processing=1), render=lambda _: CLIP)) as server,
        FailingRelay(s3.endpoint) as relay,
    ):
        user = User(tmp_path, server.api_url, **s3.env)
        with user.running(*CREATE, f"{bucket.url}/x.mp4", AWS_ENDPOINT_URL=relay.url) as process:
            until(lambda: posts(server), "the POST")
            head = b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
            relay.trouble.answer = head % len(body) + body
            said = process.communicate(timeout=30)[1]
        assert (process.returncode, "ExpiredToken" in said, "AKIA" in said) == (11, True, False), said
        assert "hint: set AWS_ACCESS_KEY_ID" in said
        done = user.airvid(*said.rpartition("; then airvid ")[2].split())
        assert (done.returncode, bucket.read("x.mp4")) == (0, CLIP), done.stderr
        assert sum(each.call.startswith("storage") for _, each in server.emulator.requests) == 1


def test_ctrl_c_ends_an_upload_to_a_store_that_hangs(user: User, server: Server, s3: Store, bucket: Bucket) -> None:
    [task] = make_tasks(server)
    with FailingRelay(s3.endpoint) as relay:
        relay.trouble.hangs = True
        command = ("download", task, "-o", f"{bucket.url}/fox.mp4", "--force")
        with user.running(*command, AWS_ENDPOINT_URL=relay.url) as process:
            until(lambda: relay.trouble.hanging, "the upload")
            _interrupt(process)
    assert user.airvid(*command).returncode == 0
    assert (bucket.names, bucket.read("fox.mp4")) == (["fox.mp4"], CLIP)


def _interrupt(process: subprocess.Popen[str]) -> None:
    """Ctrl-C; the requests that hang would take a minute and more."""
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=20)[1]
    assert (process.returncode, "Traceback" in said, "never retrieved" in said) == (130, False, False), said


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"])
def test_a_refusal_is_told_by_its_code_before_anything_is_spent(
    user: User, server: Server, s3: Store, code: str
) -> None:
    """A bucket that may be read and not written, wrong keys, and a session that is over."""
    body = f"<Error><Code>{code}</Code><Message>secret AKIA</Message></Error>".encode()
    with FailingRelay(s3.endpoint) as relay:
        head = b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        relay.trouble.answer = head % len(body) + body
        done = user.airvid(*CREATE, "s3://clips/x.mp4", AWS_ENDPOINT_URL=relay.url)
    assert (done.returncode, code in done.stderr, "AKIA" in done.stderr) == (11, True, False), done.stderr
    assert posts(server) == 0


def test_an_object_that_is_there_is_left_alone_and_force_replaces_it(
    user: User, bucket: Bucket, server: Server
) -> None:
    bucket.put("fox.mp4", b"mine")
    done = user.airvid(*CREATE, f"{bucket.url}/fox.mp4")
    assert (done.returncode, "exists" in done.stderr, posts(server)) == (11, True, 0), done.stderr
    assert bucket.read("fox.mp4") == b"mine"
    assert user.airvid(*CREATE, f"{bucket.url}/fox.mp4", "--force").returncode == 0
    assert bucket.read("fox.mp4") == CLIP


def test_a_failed_upload_keeps_the_clip_and_names_the_command(
    user: User, server: Server, s3: Store, bucket: Bucket
) -> None:
    [task] = make_tasks(server)
    with FailingRelay(s3.endpoint) as relay:
        relay.trouble.answer = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        done = user.airvid("download", task, "-o", f"{bucket.url}/fox.mp4", AWS_ENDPOINT_URL=relay.url)
    assert (done.returncode, "the clip is whole in" in done.stderr) == (11, True), done.stderr
    hint = done.stderr.partition("hint: airvid ")[2].split()
    fetched = len(server.emulator.requests)
    done = user.airvid(*hint)
    assert (done.returncode, bucket.read("fox.mp4")) == (0, CLIP), done.stderr
    assert not [each for _, each in server.emulator.requests[fetched:] if each.call.startswith("storage")]


def test_a_film_that_cannot_be_sent_is_kept_and_the_command_is_named(user: User, s3: Store, bucket: Bucket) -> None:
    av_clips = pytest.importorskip("pyav_clips", reason="PyAV (the extra media) is not installed")
    av_clips.numbered(user.here / "shot.mp4")
    with FailingRelay(s3.endpoint) as relay:
        relay.trouble.answer = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        relay.trouble.passes = 4  # what is asked before the film is made
        done = user.airvid("join", "shot.mp4", "-o", f"{bucket.url}/film.mp4", AWS_ENDPOINT_URL=relay.url)
    assert (done.returncode, done.stdout) == (11, ""), done.stderr
    film = Path(done.stderr.partition("the film is whole in ")[2].splitlines()[0])
    content = film.read_bytes()
    done = user.airvid(*done.stderr.partition("hint: airvid ")[2].split())
    assert (done.returncode, bucket.read("film.mp4"), film.exists()) == (0, content, False), done.stderr


def test_of_two_processes_that_send_one_key_one_wins(tmp_path: Path, server: Server, s3: Store, bucket: Bucket) -> None:
    tasks, runs = make_tasks(server, 2), []
    for n, task in enumerate(tasks):
        (tmp_path / str(n)).mkdir()
        user = User(tmp_path / str(n), server.api_url, **s3.env)
        command = [*AIRVID, "download", task, "-o", f"{bucket.url}/fox.mp4"]
        runs.append(subprocess.Popen(command, cwd=user.here, env=user.env, stderr=subprocess.PIPE, text=True))
    ends = [(*run.communicate(timeout=60)[1:], run.returncode) for run in runs]
    # The clips have the same bytes: the second one is there already, or it lost the race for the name.
    assert {code for _, code in ends} <= {0, 11}
    assert [said for said, code in ends if code == 11] == [said for said, code in ends if "exists" in said]
    assert (bucket.names, bucket.read("fox.mp4")) == (["fox.mp4"], CLIP)


def test_a_full_disk_keeps_the_task_and_sends_nothing(user: User, server: Server, bucket: Bucket) -> None:
    user.customise("import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))")
    done = user.airvid(*CREATE, f"{bucket.url}/fox.mp4")
    assert (done.returncode, "cannot be written" in done.stderr, bucket.names) == (11, True, []), done.stderr
    (user.here.parent / "site" / "sitecustomize.py").write_text("")
    again = User(user.here.parent, server.api_url, **{name: user.env[name] for name in user.env if "AWS" in name})
    assert again.airvid("watch", "last", "-o", f"{bucket.url}/fox.mp4").returncode == 0
    assert (posts(server), bucket.read("fox.mp4")) == (1, CLIP)


def test_download_all_moves_what_is_there_once(user: User, server: Server, bucket: Bucket) -> None:
    tasks = make_tasks(server, 3)
    where = f"{bucket.url}/{{id}}.mp4"
    assert user.airvid("download", "--all", "-o", where).returncode == 0
    assert bucket.names == sorted(f"{task}.mp4" for task in tasks)
    assert "nothing to download" in user.airvid("download", "--all", "-o", where).stderr
    assert user.airvid("download", tasks[0], "-o", where, "--skip-existing").returncode == 0
    assert user.airvid("download", tasks[0], "-o", where).returncode == 11


# ---------------------------------------------------------------------- batch


def _rows(user: User, count: int) -> None:
    rows = [{"id": f"r{n}", "prompt": f"fox {n}", "model": "wan-2.6", "duration": 5} for n in range(count)]
    (user.here / "clips.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def _without_home(user: User) -> None:
    for kind in ("config", "data", "cache"):
        shutil.rmtree(user.here.parent / kind, ignore_errors=True)


def test_a_batch_goes_on_with_nothing_but_the_bucket(user: User, bucket: Bucket, server: Server) -> None:
    _rows(user, 3)
    command = ("batch", "clips.jsonl", "-o", f"{bucket.url}/{{row}}.mp4")
    done = user.airvid(*command)
    assert (done.returncode, posts(server)) == (0, 3), done.stderr
    assert bucket.names == ["r0.mp4", "r1.mp4", "r2.mp4", "results.jsonl"]
    assert user.left == {"clips.jsonl"}
    lines = [json.loads(line) for line in bucket.read("results.jsonl").splitlines()]
    assert [line["airvid"]["output"] for line in lines] == [f"{bucket.url}/r{n}.mp4" for n in range(3)]
    _without_home(user)
    bucket.remove("r1.mp4")
    again = user.airvid(*command)
    assert (again.returncode, posts(server), bucket.read("r1.mp4")) == (0, 3, CLIP), again.stderr


def test_an_object_that_was_sent_but_not_noted_as_saved_is_the_clip(user: User, bucket: Bucket, server: Server) -> None:
    _rows(user, 2)
    command = ("batch", "clips.jsonl", "-o", f"{bucket.url}/{{row}}.mp4")
    assert user.airvid(*command).returncode == 0
    lines = [json.loads(line) for line in bucket.read("results.jsonl").splitlines()]
    lines[0]["airvid"]["saved_at"] = None
    bucket.put("results.jsonl", b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    _without_home(user)
    done = user.airvid(*command)
    assert (done.returncode, posts(server)) == (0, 2), done.stderr
    assert "2 done" in done.stderr


def test_lines_that_an_editor_has_left_without_a_newline_are_kept(user: User, bucket: Bucket, server: Server) -> None:
    _rows(user, 2)
    command = ("batch", "clips.jsonl", "-o", f"{bucket.url}/{{row}}.mp4")
    assert user.airvid(*command, "--only", "r0").returncode == 0
    bucket.put("results.jsonl", bucket.read("results.jsonl").rstrip())
    with user.running(*command):  # killed before it has written the results anew
        until(lambda: posts(server) == 2, "the second POST")
    _without_home(user)
    done = user.airvid(*command)
    assert (done.returncode, posts(server)) == (0, 2), done.stderr


def test_two_shards_lose_no_line_of_each_other(tmp_path: Path, s3: Store, server: Server, bucket: Bucket) -> None:
    runs = []
    for shard in ("1/2", "2/2"):
        home = tmp_path / shard[0]
        home.mkdir()
        user = User(home, server.api_url, **s3.env)
        _rows(user, 8)
        command = ("batch", "clips.jsonl", "-o", f"{bucket.url}/{{row}}.mp4", "--shard", shard)
        runs.append(subprocess.Popen([*AIRVID, *command], cwd=user.here, env=user.env, stderr=subprocess.PIPE))
    for run in runs:
        assert run.stderr
        said = run.stderr.read().decode()
        run.stderr.close()
        assert run.wait(60) == 0, said
    rows = [json.loads(line)["airvid"]["row"] for line in bucket.read("results.jsonl").splitlines()]
    assert (set(rows), posts(server)) == ({f"r{n}" for n in range(8)}, 8)


def test_a_killed_batch_pays_once_with_nothing_but_the_bucket(user: User, bucket: Bucket, server: Server) -> None:
    _rows(user, 4)
    command = ("batch", "clips.jsonl", "-o", f"{bucket.url}/{{row}}.mp4", "-j", "2")
    for count in range(1, 4):
        with user.running(*command) as process:
            until(lambda count=count: posts(server) >= count or process.poll() is not None, "a POST")  # type: ignore[misc]
        _without_home(user)
    done = user.airvid(*command)
    assert (done.returncode, posts(server)) == (0, 4), done.stderr
    assert bucket.names == ["r0.mp4", "r1.mp4", "r2.mp4", "r3.mp4", "results.jsonl"]


def test_ctrl_c_ends_a_batch_whose_store_hangs(user: User, server: Server, s3: Store, bucket: Bucket) -> None:
    _rows(user, 4)
    command = ("batch", "clips.jsonl", "-o", f"{bucket.url}/{{row}}.mp4")
    with FailingRelay(s3.endpoint) as relay:
        with user.running(*command, AWS_ENDPOINT_URL=relay.url) as process:
            until(lambda: relay.connections >= 20, "the store")
            relay.trouble.hangs = True
            until(lambda: relay.trouble.hanging, "a request that hangs")
            _interrupt(process)
    done = user.airvid(*command)
    assert (done.returncode, posts(server)) == (0, 4), done.stderr


@pytest.mark.parametrize("what", [".probe", "results.jsonl", "r1.mp4"])
def test_an_answer_of_the_store_that_is_lost_stops_no_row(
    user: User, server: Server, s3: Store, bucket: Bucket, what: str
) -> None:
    _rows(user, 3)
    with FailingRelay(s3.endpoint) as relay:
        relay.trouble.loses = what.encode()
        command = ("batch", "clips.jsonl", "-o", f"{bucket.url}/{{row}}.mp4")
        done = user.airvid(*command, AWS_ENDPOINT_URL=relay.url)
    assert (done.returncode, relay.trouble.lost > 0, posts(server)) == (0, True, 3), done.stderr
    assert len(bucket.read("results.jsonl").splitlines()) == 3


def test_a_gallery_shows_clips_of_a_bucket(user: User, bucket: Bucket) -> None:
    pytest.importorskip("av", reason="PyAV (the extra media) is not installed")
    names = ("a/x.mp4", "a-x.mp4")
    rows = [{"prompt": name, "model": "wan-2.6", "duration": 5, "output": f"{bucket.url}/{name}"} for name in names]
    (user.here / "clips.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert user.airvid("batch", "clips.jsonl", "--results", f"{bucket.url}/results.jsonl").returncode == 0
    done = user.airvid("gallery", f"{bucket.url}/")
    assert done.returncode == 0, done.stderr
    page = (user.here / "gallery.html").read_text()
    stored = sorted(each.name for each in (user.here / "gallery-clips").iterdir() if each.suffix == ".mp4")
    assert len(stored) == 2
    assert all(f"gallery-clips/{name}" in page for name in stored)


def test_a_clip_in_a_bucket_is_gone_on_from(user: User, bucket: Bucket, s3: Store) -> None:
    av_clips = pytest.importorskip("pyav_clips", reason="PyAV (the extra media) is not installed")
    path = user.here / "shot.mp4"
    av_clips.numbered(path)
    bucket.put("shot.mp4", path.read_bytes())
    done = user.airvid("create", "on", "--extend", f"{bucket.url}/shot.mp4", "--dry-run", "--json", **s3.env)
    assert (done.returncode, "input_images" in done.stdout) == (0, True), done.stderr
    assert json.loads(user.airvid("preview", f"{bucket.url}/shot.mp4", "--json").stdout)["frames"] > 0
    bucket.put("notes.txt", b"no video")
    done = user.airvid("create", "on", "--extend", f"{bucket.url}/notes.txt", "-o", f"{bucket.url}/on.mp4")
    assert (done.returncode, "notes.txt is no video" in done.stderr) == (11, True), done.stderr
    made = user.airvid("create", "on", "--extend", f"{bucket.url}/shot.mp4", "--json", **s3.env)
    assert json.loads(made.stdout)["airvid"]["extends"] == f"{bucket.url}/shot.mp4"


def test_a_storyboard_in_a_bucket_becomes_a_film_there(tmp_path: Path, s3: Store, bucket: Bucket) -> None:
    av_clips = pytest.importorskip("pyav_clips", reason="PyAV (the extra media) is not installed")
    clip = av_clips.numbered(tmp_path / "clip.mp4").read_bytes()
    with Server(Emulator(pace=Pace(queued=0, processing=0), render=lambda _: clip)) as server:
        user = User(tmp_path, server.api_url, **s3.env)
        (user.here / "m.jsonl").write_text('{"id": "a", "prompt": "x"}\n{"id": "b", "prompt": "y", "extend": "a"}\n')
        batch = ("batch", "m.jsonl", "-m", "dune-lite", "-o", f"{bucket.url}/{{row}}.mp4", "--join")
        for film in ("film.mp4", f"{bucket.url}/film.mp4", f"{bucket.url}/film.mp4"):
            done = user.airvid(*batch, film)
            assert (done.returncode, done.stdout.splitlines()[-1]) == (0, film), done.stderr
        assert bucket.read("film.mp4") == (user.here / "film.mp4").read_bytes()
        before = bucket.read("a.mp4")
        onto_a_clip = ("join", "last", f"{bucket.url}/a.mp4", "-o", f"{bucket.url}/a.mp4", "--force")
        for output in (onto_a_clip, (*batch, f"{bucket.url}/a.mp4")):
            refused = user.airvid(*output)
            assert (refused.returncode, refused.stdout, bucket.read("a.mp4")) == (11, "", before), refused.stderr
        assert user.airvid(*batch, "s3://no-such-bucket/film.mp4").returncode == 11
        bucket.put("film.mp4", clip)  # a clip, and no earlier film
        assert user.airvid(*batch, f"{bucket.url}/film.mp4").returncode == 11
        assert (posts(server), bucket.read("film.mp4"), user.left) == (2, clip, {"m.jsonl", "film.mp4"})


# ---------------------------------------------------------------------- kills


def test_kills_end_in_one_post_and_one_object(tmp_path: Path, s3: Store, bucket: Bucket) -> None:
    clip = tiny_mp4(random.Random(3).randbytes(12_000_000))
    with Server(Emulator(pace=Pace(queued=0, processing=0), render=lambda _: clip)) as server:
        for n in range(20):
            home = tmp_path / str(n)
            home.mkdir()
            _kill_and_go_on(User(home, server.api_url, **s3.env), server, bucket, f"{n}.mp4", n)
            assert bucket.read(f"{n}.mp4") == clip
            assert bucket.names == [f"{n}.mp4"]
            bucket.remove(f"{n}.mp4")
            shutil.rmtree(home)
        fetched = [each for _, each in server.emulator.requests if each.call.startswith("storage")]
        assert 20 <= sum("range" not in each.headers for each in fetched) <= 26


def _kill_and_go_on(user: User, server: Server, bucket: Bucket, name: str, n: int) -> None:
    """Kill -9 a create at an instant of its own; then follow until the clip is in the bucket."""
    before, where = posts(server), f"{bucket.url}/{name}"
    run = ForkedRun([*CREATE, where], user.here, user.env)
    until(lambda: posts(server) > before or not run.is_alive, "the POST")
    run.join(0.05 + n * 0.12)  # the instant of the kill
    run.end()
    done = user.airvid("watch", "last", "-o", where)
    assert done.returncode == 0 or "exists" in done.stderr, done.stderr
    assert posts(server) == before + 1
