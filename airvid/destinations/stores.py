"""How a store is opened, with the settings of its own tools, and what its refusals mean.

obstore reads the environment, instance roles and Google's and Azure's files. This module reads what obstore does not:
an AWS profile's keys, region and endpoint, and the variables of Azure's command line. None of it is kept, logged or
shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airvid import system
from airvid.errors import FileError, UsageError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or run gcloud auth application-default login",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN",
}
_VARIABLES = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
# Keys of an AWS profile that let AWS's own tools fetch credentials.
_FETCHED = {"sso_session", "sso_start_url", "role_arn", "credential_process", "login_session"}


def tidy_environment() -> None:
    """Remove blanks around the variables of the stores' tools, and empty ones: obstore does neither."""
    for name, value in list(os.environ.items()):
        if not name.startswith(tuple(_VARIABLES.values())):
            continue
        if not value.strip():
            del os.environ[name]
        elif value != value.strip():
            os.environ[name] = value.strip()


def open_store(scheme: str, bucket: str, *, patience: float, timeout: float) -> ObjectStore:
    """Open a store. `timeout`: seconds for one request; `patience`: seconds for which one that fails is repeated.

    Raises: FileError.
    """
    try:
        from obstore.store import AzureStore, GCSStore, S3Store
    except ImportError:
        hint = system.install_command("airvid[cloud]")
        raise FileError(f"{scheme}://{bucket} needs one more package", hint=hint) from None
    _check_environment(scheme)
    options: dict[str, Any] = {
        "client_options": {
            "timeout": f"{timeout}s",
            "connect_timeout": "10s",
            "default_content_type": "video/mp4",
            "allow_http": True,
        },
        "retry_config": {
            "max_retries": 100,
            "retry_timeout": timedelta(seconds=patience),
            "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=3), "base": 2},
        },
    }
    config: Any
    with errors(scheme, bucket, "opened"):
        if scheme == "gs":
            return GCSStore(bucket, **options)
        if scheme == "az":
            config = _azure()
            return AzureStore(bucket, config=config, **options)
        config = _aws_profile() | {"copy_if_not_exists": "multipart", "checksum_algorithm": "SHA256"}
        return S3Store(bucket, config=config, **options)


def _check_environment(scheme: str) -> None:
    """Raises: FileError for a variable with which obstore panics."""
    for name, value in os.environ.items():
        if not name.startswith(_VARIABLES[scheme]):
            continue
        if not value.isprintable():
            raise FileError(f"{name} holds a line break or another control character")
        if re.search(r"_ENDPOINT(_URL)?(_S3)?$|_BASE_URL$", name) and not re.fullmatch(r"https?://[!-~]+", value):
            raise FileError(f"{name} holds no address", hint=f"export {name}=https://HOST")


def _aws_profile() -> dict[str, str]:
    """Keys, region and endpoint of the AWS profile in use, without those in the environment. Raises: FileError."""
    import configparser

    given = os.environ.get
    home, name = Path.home() / ".aws", given("AWS_PROFILE") or "default"
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read(
            [given("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials", given("AWS_CONFIG_FILE") or home / "config"],
            "utf-8",
        )
    except (configparser.Error, UnicodeDecodeError) as error:
        raise FileError(f"the AWS configuration cannot be read: {type(error).__name__}") from None
    sections = [each for each in (f"profile {name}", name) if parser.has_section(each)]
    found = {key: value for each in sections for key, value in parser[each].items()}
    names: dict[str, str] = {}
    if not (given("AWS_ACCESS_KEY_ID") or given("AWS_WEB_IDENTITY_TOKEN_FILE")):
        if given("AWS_PROFILE") and not sections:
            raise FileError(f"there is no AWS profile {name}", hint="aws configure list-profiles")
        if "aws_access_key_id" not in found and _FETCHED & set(found):
            raise FileError(
                f"the AWS profile {name} has no keys of its own",
                hint='eval "$(aws configure export-credentials --format env)"',
            )
        names = {f"aws_{each}": each for each in ("access_key_id", "secret_access_key", "session_token")}
    if not (given("AWS_REGION") or given("AWS_DEFAULT_REGION")):
        names["region"] = "region"
    if not (given("AWS_ENDPOINT_URL") or given("AWS_ENDPOINT_URL_S3") or given("AWS_ENDPOINT")):
        names["endpoint_url"] = "endpoint"
    return {ours: found[theirs] for theirs, ours in names.items() if found.get(theirs)}


def _azure() -> dict[str, str]:
    """What Azure's command line reads and obstore does not, where obstore's own variables are not set."""
    given: Mapping[str, str] = os.environ
    if given.get("AZURE_STORAGE_ACCOUNT_NAME"):
        return {}
    told = dict(each.partition("=")[::2] for each in given.get("AZURE_STORAGE_CONNECTION_STRING", "").split(";"))
    found = {
        "account_name": given.get("AZURE_STORAGE_ACCOUNT") or told.get("AccountName"),
        "account_key": given.get("AZURE_STORAGE_KEY") or told.get("AccountKey"),
        "sas_token": told.get("SharedAccessSignature"),
        "endpoint": told.get("BlobEndpoint"),
    }
    return {name: value for name, value in found.items() if value}


# ---------------------------------------------------------------------- refusals


@contextmanager
def errors(scheme: str, bucket: str, done: str) -> Iterator[None]:
    """Turn a refusal into a FileError, without the answer's text: it may contain names of keys.

    The caller handles a missing object, so that FileNotFoundError means a missing bucket here.
    """
    try:
        yield
    except (FileError, UsageError):
        raise
    except BaseException as error:
        is_panic = type(error).__name__ == "PanicException"
        if isinstance(error, FileNotFoundError):
            raise FileError(f"there is no {scheme}://{bucket}") from None
        if not is_panic and type(error).__module__.partition(".")[0] != "obstore":
            raise
        reason = "its settings are not valid" if is_panic else _reason(error, bucket)
        is_about_credentials = re.search(r"credential|settings|\b40[13]\b|Token|Key", reason)
        hint = CREDENTIALS[scheme] if is_about_credentials else None
        raise FileError(f"{scheme}://{bucket} cannot be {done}: {reason}", hint=hint) from None


def _reason(error: BaseException, bucket: str) -> str:
    """Why a store refused. Only the code of its answer is used."""
    text = re.sub(rf"/{re.escape(bucket)}/\S*", "", str(error))  # a key may hold any word
    code = re.search(r"<Code>(\w{1,60})</Code>", text)
    status = re.search(r"status code: (\d{3} [A-Za-z ]{1,40})", text)
    if not code and re.search(r"credential|token|service account|metadata|Account must be", text, re.IGNORECASE):
        return "no credentials for it were found"
    if code or status:
        return " ".join(each[1] for each in (status, code) if each)
    return "it does not answer" if "error performing" in text.lower() else "its settings are not valid"
