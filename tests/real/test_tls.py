"""A private authority, made by trustme, and certificates that are wrong in each of the usual ways."""

from __future__ import annotations

import datetime
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nginx import Nginx, needs_nginx
from program_process import CLIP, LinkedEmulator, User, free_port, make_tasks, moved, posts, result_url
from proxies import Relay, certificate, pem

from airvid.sandbox.emulator import Fault
from airvid.sandbox.server import Server

trustme = pytest.importorskip("trustme", reason="trustme is not installed")
CREATE = ["create", "fox", "-m", "wan-2.6", "-o", "fox.mp4"]
OPENSSL = shutil.which("openssl")
ROOT = trustme.CA()  # keys take their time


@pytest.fixture
def api(server: Server) -> Iterator[Relay]:
    """The API over TLS, its authority private."""
    with Relay(server.api_url, tls=certificate(ROOT.issue_cert("localhost")), name="localhost") as relay:
        yield relay


@pytest.fixture
def roots(tmp_path: Path) -> str:
    return pem(tmp_path, ROOT)


@pytest.fixture
def user(tmp_path: Path, api: Relay) -> User:
    return User(tmp_path, api.url)


def self_signed() -> ssl.SSLContext:
    """A server whose certificate is its own authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own = trustme.CA()
    with trustme.Blob(own.private_key_pem.bytes() + own.cert_pem.bytes()).tempfile() as path:
        context.load_cert_chain(path)
    return context


def hashed(folder: Path, *authorities: Any) -> str:
    """A folder of roots by hash, as SSL_CERT_DIR wants it."""
    assert OPENSSL
    folder.mkdir()
    for authority in authorities:
        content = authority.cert_pem.bytes()
        command = [OPENSSL, "x509", "-noout", "-subject_hash"]
        name = subprocess.run(command, input=content, capture_output=True, check=True).stdout.decode().strip()
        (folder / f"{name}.0").write_bytes(content)
    return str(folder)


# ---------------------------------------------------------------------- who is trusted


def test_an_unknown_authority_is_told_at_once_with_the_remedy(server: Server, api: Relay, user: User) -> None:
    code, said = user.first_words(*CREATE)
    assert (code, user.left, posts(server)) == (9, set(), 0), said
    assert f"the certificate of localhost:{api.port} cannot be trusted: " in said
    assert "unable to get local issuer certificate" in said
    assert "SSL_CERT_FILE=" in said


def test_the_error_is_an_object_for_a_script(user: User) -> None:
    code, said = user.first_words("models", "--json")
    assert code == 9
    assert '"code":"unavailable"' in said
    assert "SSL_CERT_FILE=" in said


def test_with_ssl_cert_file_it_works_and_the_key_stays_with_the_api(server: Server, user: User, roots: str) -> None:
    # Of the same host name, but another port: that is another origin.
    with Relay(server.storage_url, tls=certificate(ROOT.issue_cert("localhost")), name="localhost") as storage:
        server.emulator.storage = storage.url
        done = user.airvid(*CREATE, SSL_CERT_FILE=roots)
        assert done.returncode == 0, done.stderr
        assert storage.connections
    assert (user.target.read_bytes(), user.left) == (CLIP, {"fox.mp4"})
    for _, request in server.emulator.requests:
        assert ("authorization" in request.headers) is not request.storage


def test_one_trust_store_serves_all_connections(user: User, roots: str, tmp_path: Path) -> None:
    """The clips', the list's, and each POST's own: it takes longer to read than a request."""
    user.customise(
        f"""
import truststore
make = truststore.SSLContext.__init__
def counted(*rest, **more):
    with open({str(tmp_path / "made")!r}, "a") as note:
        note.write("one")
    make(*rest, **more)
truststore.SSLContext.__init__ = counted
"""
    )
    done = user.airvid("create", "fox", "-m", "wan-2.6", "-n", "2", "-o", "{n}.mp4", SSL_CERT_FILE=roots)
    assert (done.returncode, user.left) == (0, {"1.mp4", "2.mp4"}), done.stderr
    assert (tmp_path / "made").read_text() == "one"


@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")
def test_ssl_cert_dir_works_too(user: User, tmp_path: Path) -> None:
    done = user.airvid("models", SSL_CERT_DIR=hashed(tmp_path / "roots", ROOT))
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")
def test_file_and_folder_add_up(server: Server, user: User, roots: str, tmp_path: Path) -> None:
    other = trustme.CA()
    folder = hashed(tmp_path / "roots", other)
    with Relay(server.storage_url, tls=certificate(other.issue_cert("localhost")), name="localhost") as storage:
        server.emulator.storage = storage.url
        done = user.airvid(*CREATE, SSL_CERT_FILE=roots, SSL_CERT_DIR=folder)
        assert done.returncode == 0, done.stderr


@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")
@pytest.mark.parametrize("system", ["folder", "file"])
def test_ssl_cert_file_adds_to_the_systems_roots(
    server: Server, user: User, roots: str, tmp_path: Path, system: str
) -> None:
    other = trustme.CA()
    place = hashed(tmp_path / "system", other) if system == "folder" else pem(tmp_path, other)
    settings = {"openssl_cafile": "/nowhere", "openssl_capath": "/nowhere"} | {
        f"openssl_ca{'path' if system == 'folder' else 'file'}": place
    }
    user.customise(
        f"import ssl; own = ssl.get_default_verify_paths()._replace(**{settings}); "
        "ssl.get_default_verify_paths = lambda: own"
    )
    with Relay(server.storage_url, tls=certificate(other.issue_cert("localhost")), name="localhost") as storage:
        server.emulator.storage = storage.url
        code, said = user.first_words(*CREATE, SSL_CERT_FILE=roots)
    assert code == 0, said


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_variables_of_other_tools_count_where_ssl_cert_file_is_not_set(
    user: User, roots: str, variable: str
) -> None:
    done = user.airvid("models", **{variable: roots})
    assert done.returncode == 0, done.stderr
    user.env[variable] = roots
    code, said = user.first_words("models", SSL_CERT_FILE="/nowhere.pem")
    assert (code, "/nowhere.pem" in said) == (9, True)


def test_an_authority_without_a_key_identifier_is_taken_where_the_user_named_it(server: Server, user: User) -> None:
    """As inspection proxies make them. Python 3.13 refuses them by default."""
    authority, chain = _without_identifiers(user.here.parent)
    with Relay(server.api_url, tls=chain, name="localhost") as relay:
        done = user.airvid("models", AIRVID_BASE_URL=relay.url, SSL_CERT_FILE=authority)
    assert done.returncode == 0, done.stderr


def _without_identifiers(folder: Path) -> tuple[str, ssl.SSLContext]:
    """An authority's file, and a server's context with a certificate of its, neither with a key identifier."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    now, pem_form = datetime.datetime.now(datetime.UTC), serialization.Encoding.PEM
    keys = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    made = []
    for text, key, extension in (
        ("inspection", keys[0], x509.BasicConstraints(ca=True, path_length=None)),
        ("localhost", keys[1], x509.SubjectAlternativeName([x509.DNSName("localhost")])),
    ):
        builder = x509.CertificateBuilder().subject_name(name(text)).issuer_name(name("inspection"))
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1)).add_extension(extension, critical=True)
        made.append(builder.sign(keys[0], hashes.SHA256()).public_bytes(pem_form))
    (folder / "inspection.pem").write_bytes(made[0])
    private = keys[1].private_bytes(pem_form, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(private + made[1])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return str(folder / "inspection.pem"), context


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_missing_ssl_cert_file_is_an_error_that_names_it(user: User, tmp_path: Path, variable: str) -> None:
    path = str(tmp_path / "nowhere.pem")
    user.env[variable] = path
    code, said = user.first_words("models")
    assert code in (2, 9, 11), said
    assert variable in said.splitlines()[0]
    assert path in said


@pytest.mark.parametrize(
    "content",
    [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"\0\xff"],
    ids=["empty", "text", "broken", "binary"],
)
def test_a_broken_ssl_cert_file_is_an_error_that_names_it(user: User, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.pem"
    path.write_bytes(content)
    code, said = user.first_words("models", SSL_CERT_FILE=str(path))
    assert code in (2, 9, 11), said
    assert "SSL_CERT_FILE" in said.splitlines()[0]
    assert str(path) in said


def test_a_missing_ssl_cert_file_is_no_matter_where_no_tls_is_spoken(server: Server, user: User) -> None:
    done = user.airvid("models", AIRVID_BASE_URL=server.api_url, SSL_CERT_FILE="/nowhere.pem")
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------------- certificates that are wrong


def _wrong(kind: str) -> ssl.SSLContext:
    year = datetime.timedelta(days=365)
    now = datetime.datetime.now(datetime.UTC)
    if kind == "another name":
        return certificate(ROOT.issue_cert("elsewhere.test"))
    if kind == "expired":
        return certificate(ROOT.issue_cert("localhost", not_before=now - 2 * year, not_after=now - year))
    if kind == "not yet valid":
        return certificate(ROOT.issue_cert("localhost", not_before=now + year, not_after=now + 2 * year))
    return self_signed()


WRONG = {
    "another name": "Hostname mismatch, certificate is not valid for 'localhost'",
    "expired": "certificate has expired",
    "not yet valid": "certificate is not yet valid",
    "self-signed": "self-signed certificate",
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_certificate_that_is_wrong_is_told_at_once(server: Server, user: User, roots: str, kind: str) -> None:
    with Relay(server.api_url, tls=_wrong(kind), name="localhost") as relay:
        code, said = user.first_words(*CREATE, AIRVID_BASE_URL=relay.url, SSL_CERT_FILE=roots)
    assert (code, user.left, posts(server)) == (9, set(), 0), said
    assert WRONG[kind].lower() in said.lower().replace("self signed", "self-signed")


@pytest.mark.parametrize("kind", [kind for kind in WRONG if kind != "self-signed"])
def test_no_root_certificate_is_asked_for_where_it_would_not_help(
    server: Server, user: User, roots: str, kind: str
) -> None:
    with Relay(server.api_url, tls=_wrong(kind), name="localhost") as relay:
        _, said = user.first_words("models", AIRVID_BASE_URL=relay.url, SSL_CERT_FILE=roots)
    assert "hint: " in said
    assert "SSL_CERT_FILE" not in said


def test_a_storage_with_a_wrong_certificate_gets_nothing(server: Server, user: User, roots: str) -> None:
    with Relay(server.storage_url, tls=_wrong("another name"), name="localhost") as storage:
        server.emulator.storage = storage.url
        [task] = make_tasks(server)
        download = ["--debug", "download", task, "-o", "fox.mp4"]
        code, said = user.first_words(*download, upto=f"> GET {storage.url}", nth=2, SSL_CERT_FILE=roots)
    assert "Hostname mismatch" in said
    assert (code, user.left) == (9, set()), said


def test_a_server_that_speaks_no_tls_is_told_at_once(server: Server, user: User) -> None:
    code, said = user.first_words("models", AIRVID_BASE_URL=server.api_url.replace("http:", "https:"))
    assert code == 9
    assert "http:" in said or "TLS" in said


# ---------------------------------------------------------------------- redirects


def test_a_redirect_up_to_https_is_followed_without_the_key(server: Server, user: User, roots: str) -> None:
    with Relay(server.storage_url, tls=certificate(ROOT.issue_cert("localhost")), name="localhost") as storage:
        assert isinstance(server.emulator, LinkedEmulator)
        [task] = make_tasks(server)
        link = result_url(server, task)
        server.emulator.links = [link]
        up = moved(link.replace(server.storage_url, storage.url))
        server.emulator.faults.append(Fault("storage GET", up, before=True))
        done = user.airvid("download", task, "-o", "fox.mp4", SSL_CERT_FILE=roots)
        assert done.returncode == 0, done.stderr
        assert storage.connections == 1
    assert (user.target.read_bytes(), user.left) == (CLIP, {"fox.mp4"})
    assert not any("authorization" in each.headers for _, each in server.emulator.requests if each.storage)


def test_a_redirect_down_to_http_is_refused_at_once(server: Server, user: User, roots: str) -> None:
    with Relay(server.storage_url, tls=certificate(ROOT.issue_cert("localhost")), name="localhost") as storage:
        server.emulator.storage = storage.url
        [task] = make_tasks(server)
        down = moved(result_url(server, task).replace(storage.url, server.storage_url))
        server.emulator.faults.append(Fault("storage GET", down, before=True, times=99))
        download = ["--debug", "download", task, "-o", "fox.mp4"]
        code, said = user.first_words(*download, upto=f"> GET {storage.url}", nth=2, SSL_CERT_FILE=roots)
    assert (code, user.left) == (9, set()), said
    assert "from https down to http" in said
    assert not any("authorization" in each.headers for _, each in server.emulator.requests if each.storage)


# ---------------------------------------------------------------------- nginx with TLS


@needs_nginx
def test_nginx_with_tls_and_http2_on_offer(server: Server, user: User, roots: str, tmp_path: Path) -> None:
    made, port = ROOT.issue_cert("localhost"), free_port()
    made.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "nginx.pem"))
    use = f"ssl_certificate {tmp_path}/nginx.pem; ssl_certificate_key {tmp_path}/nginx.pem;"
    with Nginx(tmp_path / "nginx", f"listen 127.0.0.1:{port} ssl http2; {use}") as nginx:
        assert isinstance(server.emulator, LinkedEmulator)
        (nginx.www / "clip.mp4").write_bytes(CLIP)
        server.emulator.links = [f"https://localhost:{port}/clip.mp4"]
        tasks = make_tasks(server, 3)
        done = user.airvid("download", *tasks, "-j", "1", "-o", "clips/{n}.mp4", SSL_CERT_FILE=roots)
        assert done.returncode == 0, done.stderr
        assert [(each["status"], each["key"]) for each in nginx.log] == [(200, "")] * 3
    assert {each.read_bytes() for each in (user.here / "clips").iterdir()} == {CLIP}
