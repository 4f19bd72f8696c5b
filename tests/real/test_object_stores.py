"""Objects in stores of three kinds: what arrives, what is left alone, and what a store that fails makes of it."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from object_stores import FailingRelay, Store, s3_environment, store

from airvid.destinations.cloud import CloudObject
from airvid.errors import FileError, UsageError

pytest.importorskip("obstore", reason="the extra `cloud` is not installed")
SMALL, LARGE = random.Random(1).randbytes(300_000), random.Random(2).randbytes(12 << 20)


@pytest.fixture(scope="module", params=["s3", "az", "gs"])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with store(request.param, tmp_path_factory.mktemp(request.param)) as found:
        yield found


@pytest.fixture
def bucket(kept: Store, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a folder of this test alone."""
    for name, value in kept.env.items():
        monkeypatch.setenv(name, value)
    return f"{kept.bucket}/{os.urandom(4).hex()}"


@pytest.fixture
def relay(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[FailingRelay]:
    with store("s3", tmp_path_factory.mktemp("s3")) as found, FailingRelay(found.endpoint) as relay:
        for name, value in s3_environment(relay.url).items():
            monkeypatch.setenv(name, value)
        yield relay


def send(url: str, path: Path, *, force: bool = False) -> list[int]:
    async def run() -> list[int]:
        return [count async for count in CloudObject(url).deliver(path, force=force)]

    return asyncio.run(run())


def fetched(url: str, folder: Path) -> bytes:
    path = folder / os.urandom(4).hex()
    asyncio.run(CloudObject(url).fetch(path))
    return path.read_bytes()


def file_of(folder: Path, content: bytes) -> Path:
    path = folder / f"{os.urandom(4).hex()}.mp4"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
def test_an_object_has_the_bytes_of_the_file(bucket: str, tmp_path: Path, content: bytes) -> None:
    url = f"{bucket}/füchse im schnee/fox #1 100%.mp4"
    send(url, file_of(tmp_path, content))
    assert fetched(url, tmp_path) == content
    assert asyncio.run(_names(bucket)) == [url.removeprefix(f"{bucket}/")]
    assert asyncio.run(_kind(url)) == "video/mp4"


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
def test_an_object_that_is_there_is_left_alone(bucket: str, tmp_path: Path, content: bytes) -> None:
    url, other = f"{bucket}/fox.mp4", bytes(reversed(content))
    send(url, file_of(tmp_path, content))
    send(url, file_of(tmp_path, content))  # the same clip again: it is there
    with pytest.raises(FileError, match="exists") as raised:
        send(url, file_of(tmp_path, other))
    assert "--force" in str(raised.value.hint)
    assert fetched(url, tmp_path) == content
    send(url, file_of(tmp_path, other), force=True)
    assert fetched(url, tmp_path) == other
    assert asyncio.run(_names(bucket)) == ["fox.mp4"]


@pytest.mark.parametrize("size", [1000, 9 << 20])
def test_of_two_at_once_one_wins(bucket: str, tmp_path: Path, size: int) -> None:
    url = f"{bucket}/fox.mp4"
    files = [file_of(tmp_path, bytes([n]) * size) for n in range(2)]

    async def race() -> list[BaseException | None]:
        async def one(path: Path) -> None:
            async for _ in CloudObject(url).deliver(path, force=False):
                pass

        return await asyncio.gather(*map(one, files), return_exceptions=True)

    outcomes = asyncio.run(race())
    [winner] = [n for n, outcome in enumerate(outcomes) if outcome is None]
    assert isinstance(outcomes[1 - winner], FileError)
    assert fetched(url, tmp_path) == bytes([winner]) * size
    assert asyncio.run(_names(bucket)) == ["fox.mp4"]


def test_of_two_that_replace_one_version_one_wins(bucket: str) -> None:
    kept = CloudObject(f"{bucket}/results.jsonl")
    assert kept.read() == (b"", None)
    assert [kept.replace(b"a", None), kept.replace(b"b", None)] == [True, False]
    content, version = kept.read()
    assert (content, version is None) == (b"a", False)
    assert [kept.replace(b"ab", version), kept.replace(b"ac", version)] == [True, False]
    assert kept.read()[0] == b"ab"
    assert asyncio.run(_kind(kept.url)) == "application/x-ndjson"


def test_the_right_to_write_is_tried_and_leaves_nothing(bucket: str) -> None:
    url = f"{bucket}/fox.mp4"
    asyncio.run(CloudObject(url).check_writable())
    assert asyncio.run(_names(bucket)) == []
    assert asyncio.run(CloudObject(url).size()) is None


# The double of Google's store has one bucket for every name.
@pytest.mark.parametrize("kept", ["s3", "az"], indirect=True)
def test_a_bucket_that_is_not_there(bucket: str) -> None:
    scheme = bucket.partition(":")[0]
    with pytest.raises(FileError, match=r"there is no|cannot be written"):
        asyncio.run(CloudObject(f"{scheme}://no-such-bucket/fox.mp4").check_writable())


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
def test_a_store_that_is_busy_for_a_while(relay: FailingRelay, tmp_path: Path, content: bytes) -> None:
    relay.trouble.refusals = 3
    send("s3://clips/fox.mp4", file_of(tmp_path, content))
    assert fetched("s3://clips/fox.mp4", tmp_path) == content


def test_no_byte_is_told_as_sent_that_waits(relay: FailingRelay, tmp_path: Path) -> None:
    relay.trouble.refusals = 3
    assert set(send("s3://clips/fox.mp4", file_of(tmp_path, SMALL))) == {0}


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
def test_a_store_that_dies_in_the_middle_and_comes_back(relay: FailingRelay, tmp_path: Path, content: bytes) -> None:
    relay.trouble.bytes_left, relay.trouble.deaths = len(content) // 2, 2
    send("s3://clips/fox.mp4", file_of(tmp_path, content))
    assert relay.trouble.bytes_left == 0
    assert fetched("s3://clips/fox.mp4", tmp_path) == content


@pytest.mark.parametrize("kept", ["az"], indirect=True)
@pytest.mark.parametrize("names", ["AZURE_STORAGE_ACCOUNT AZURE_STORAGE_KEY", "AZURE_STORAGE_CONNECTION_STRING"])
def test_what_azure_s_command_line_reads(kept: Store, monkeypatch: pytest.MonkeyPatch, names: str) -> None:
    account, key = kept.env["AZURE_STORAGE_ACCOUNT_NAME"], kept.env["AZURE_STORAGE_ACCOUNT_KEY"]
    told = f"AccountName={account};AccountKey={key};BlobEndpoint={kept.endpoint}"
    values = (account, key) if " " in names else (f"DefaultEndpointsProtocol=http;{told};",)
    for name, value in zip(names.split(), values, strict=True):
        monkeypatch.setenv(name, value)
    if " " in names:
        monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", kept.endpoint)
    asyncio.run(CloudObject(f"{kept.bucket}/fox.mp4").check_writable())


async def _names(bucket: str) -> list[str]:
    import obstore

    found = CloudObject(f"{bucket}/any")
    prefix = found.key.rpartition("/")[0]
    listed = await obstore.list(found._store, prefix=prefix).collect_async()
    return sorted(each["path"].removeprefix(f"{prefix}/") for each in listed)


async def _kind(url: str) -> object:
    import obstore

    found = CloudObject(url)
    return (await obstore.get_async(found._store, found.key)).attributes["Content-Type"]


@pytest.mark.parametrize(
    "url",
    [
        *("s3://", "s3:///key", "s3://Fox/a.mp4", "s3://a/b.mp4", "s3://clips", "s3://clips/", "s3://clips/a//b.mp4"),
        *("s3://clips/../b.mp4", "s3://clips/a\x1b.mp4", "s3://clips/\u202egp4.mp4", "az://a_b/c.mp4", "ftp://c/a.mp4"),
        *(f"gs://clips/{'a' * 1025}", "s3://clips/./a.mp4", "file:///a.mp4", "https://clips/a.mp4", "s3://u:p@clips/a"),
        *("az://clips/a.mp4?sv=1&sig=a%2Fb", "s3://clips/a.mp4?X-Amz-Signature=ab", f"s3://clips/{'a' * 990}"),
    ],
)
def test_an_address_that_cannot_be(url: str) -> None:
    with pytest.raises(UsageError):
        CloudObject(url)
