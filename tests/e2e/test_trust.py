# SPDX-License-Identifier: Apache-2.0
"""
Who is let in. A lab of its own whose hosts join one by one: h1 founds a cluster, h2 joins it,
h3 founds another one.
"""
import json
import os
import socket
import ssl
from typing import Iterator, Optional

import pytest

from lab import PORT, Api, Ended, Lab, wait_until

USAGE, UNREACHABLE, DENIED = 2, 5, 8
PATHS = ["/", "/v1/version", "/v1/nodes", "/v1/vms", "/v1/jobs", "/v1/jobs/h1-1", "/v1/events",
         "/v1/tokens", "/v1/plans", "/v1/peer/node", "/v1/peer/vms", "/v1/peer/membership",
         "/nonsense", "/v1/" + "x" * 3000]


def founded(lab: Lab, on: str) -> None:
    ended = lab.drover(on, "init", "--name", on, "--address", lab.address(on))
    assert ended.code == 0, ended
    lab.service(on, "droverd", "start")


def token(lab: Lab, *options: str) -> str:
    ended = lab.drover("h1", "token", "create", *options)
    assert ended.code == 0, ended
    return ended.out.splitlines()[-1]


def join(lab: Lab, on: str, with_token: str, to: str = "h1") -> Ended:
    return lab.drover(on, "join", lab.address(to), "--token", with_token, "--name", on,
                      "--address", lab.address(on))


def nodes(lab: Lab) -> list[str]:
    return sorted(n["name"] for n in lab.api("h1").get("/v1/nodes")["nodes"])


def identity(lab: Lab, on: str) -> list[str]:
    return sorted(os.listdir(lab.path(on, "/etc/drover")))


@pytest.fixture(scope="module")
def trust() -> Iterator[Lab]:
    it = Lab(f"e2e{os.getpid()}t", hosts=3)
    try:
        it.up("--no-drover")
        founded(it, "h1")
        founded(it, "h3")
        yield it
    finally:
        it.down()


def test_init_a_second_time_is_refused(trust: Lab) -> None:
    before = {f: trust.path("h1", f"/etc/drover/{f}").read_bytes() for f in identity(trust, "h1")}
    ended = trust.drover("h1", "init", "--name", "h1", "--address", trust.address("h1"))
    assert ended.code == 4 and "/etc/drover" in ended.err, ended
    assert before == {f: trust.path("h1", f"/etc/drover/{f}").read_bytes() for f in before}


def test_keys_are_for_root_only(trust: Lab) -> None:
    for name in identity(trust, "h1"):
        if name.endswith(".key"):
            assert trust.path("h1", f"/etc/drover/{name}").stat().st_mode & 0o077 == 0, name


@pytest.mark.parametrize("wrong", ["nonsense", "drover1.0123456789abcdef", ""])
def test_what_is_no_token(trust: Lab, wrong: str) -> None:
    ended = join(trust, "h2", wrong)
    assert ended.code in (USAGE, DENIED) and "token" in ended.err, ended
    assert identity(trust, "h2") == []


def test_token_with_a_wrong_secret(trust: Lab) -> None:
    parts = token(trust).split(".")
    parts[2] = ("A" if parts[2][0] != "A" else "B") + parts[2][1:]
    ended = join(trust, "h2", ".".join(parts))
    assert ended.code == DENIED and "token" in ended.err, ended
    assert identity(trust, "h2") == []
    assert "h2" not in nodes(trust)


def test_token_of_another_cluster(trust: Lab) -> None:
    """It carries the other authority's fingerprint: nothing is sent to a host without it."""
    ended = join(trust, "h2", token(trust), to="h3")
    assert ended.code == DENIED, ended
    assert identity(trust, "h2") == []


def test_revoked_token(trust: Lab) -> None:
    text = token(trust)
    assert trust.drover("h1", "token", "revoke", text.split(".")[1]).code == 0
    ended = join(trust, "h2", text)
    assert ended.code == DENIED and "token" in ended.err, ended
    assert trust.drover("h1", "token", "revoke", text.split(".")[1]).code == 3


def test_expired_token(trust: Lab) -> None:
    text = token(trust, "--ttl", "1s")
    number = text.split(".")[1]

    def gone() -> bool:
        return number not in [t["id"] for t in trust.api("h1").get("/v1/tokens")["tokens"]]

    wait_until(gone, "the token expires")
    ended = join(trust, "h2", text)
    assert ended.code == DENIED and "token" in ended.err, ended
    assert identity(trust, "h2") == []


def test_operator_s_token_does_not_join(trust: Lab) -> None:
    ended = join(trust, "h2", token(trust, "--operator", "alice"))
    assert ended.code == DENIED, ended
    assert identity(trust, "h2") == []


def test_join_with_nobody_there(trust: Lab) -> None:
    ended = trust.drover("h2", "join", "10.77.0.99", "--token", token(trust), "--name", "h2",
                         "--address", trust.address("h2"))
    assert ended.code == UNREACHABLE and "10.77.0.99" in ended.err, ended
    assert identity(trust, "h2") == []


def test_token_is_good_once(trust: Lab) -> None:
    text = token(trust)
    ended = join(trust, "h2", text)
    assert ended.code == 0, ended
    assert not [f for f in identity(trust, "h2") if f in ("ca.key", "operator.key")]
    trust.service("h2", "droverd", "start")
    wait_until(lambda: nodes(trust) == ["h1", "h2"], "h2 is a node")
    wait_until(lambda: all(n["state"] == "up"
                           for n in trust.api("h2").get("/v1/nodes")["nodes"]), "all are up")
    spare = trust.path("h3", "/etc/drover")
    kept = spare.with_name("drover.kept")
    # h3 comes with the same token, for once without an identity of its own.
    trust.service("h3", "droverd", "stop")
    kept.mkdir()
    for file in spare.iterdir():
        (kept / file.name).write_bytes(file.read_bytes())
        file.unlink()
    try:
        again = join(trust, "h3", text)
        assert again.code == DENIED and "token" in again.err, again
        assert identity(trust, "h3") == []
        assert nodes(trust) == ["h1", "h2"]
    finally:
        for file in kept.iterdir():
            (spare / file.name).write_bytes(file.read_bytes())
            (spare / file.name).chmod(0o600)
        trust.service("h3", "droverd", "start")


def stranger(lab: Lab, of: Optional[str] = None, pair: str = "node") -> Api:
    """Someone outside who comes to h1 with a certificate of this host, or with none."""
    etc = lab.path(of, "/etc/drover") if of else None
    return Api(lab.netns("lan"), lab.address("h1"), timeout=10,
               certificate=(etc / f"{pair}.crt", etc / f"{pair}.key") if etc else None)


def refused(api: Api, method: str, path: str) -> None:
    """No answer but 401, or no connection at all."""
    try:
        status, document = api.ask(method, path, {} if method in ("POST", "PUT") else None)
    except (ssl.SSLError, ConnectionError, socket.timeout):
        return
    assert status == 401, (method, path, status, document)
    assert set(document) == {"error"}, document


def test_without_a_certificate(trust: Lab) -> None:
    for path in PATHS:
        for method in ("GET", "POST", "PUT", "DELETE"):
            refused(stranger(trust), method, path)


def test_certificate_of_another_cluster(trust: Lab) -> None:
    for pair in ("node", "operator"):
        for path in PATHS:
            refused(stranger(trust, "h3", pair), "GET", path)
        refused(stranger(trust, "h3", pair), "POST", "/v1/plans")
    ended = trust.drover("h3", "--server", trust.address("h1"), "vm", "list")
    assert ended.code in (UNREACHABLE, DENIED), ended


def test_self_made_certificate(trust: Lab) -> None:
    """With the right names in it, signed by nobody we know."""
    scratch = trust.path("h3", "/run/forged")
    scratch.mkdir()
    trust.run("h3", "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
              "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/run/forged/k", "-out",
              "/run/forged/c", "-subj", "/O=node/CN=h2", "-addext", "subjectAltName=DNS:h2.drover")
    api = Api(trust.netns("lan"), trust.address("h1"), timeout=10,
              certificate=(scratch / "c", scratch / "k"))
    for path in PATHS:
        refused(api, "GET", path)


@pytest.mark.parametrize("bearer", ["nonsense", "drover1.0123456789abcdef." + "A" * 32 + "." +
                                    "0" * 64, "", "x" * 4000])
def test_wrong_bearer_token(trust: Lab, bearer: str) -> None:
    api = stranger(trust)
    api.token = bearer
    for path in PATHS[:6]:
        refused(api, "GET", path)


def test_operator_s_token_and_certificate(trust: Lab) -> None:
    """They may everything that is for people and nothing that is between nodes."""
    bearer = stranger(trust)
    bearer.token = token(trust, "--operator", "alice")
    for operator in (bearer, stranger(trust, "h1", "operator")):
        assert operator.ask("GET", "/v1/nodes")[0] == 200
        assert operator.ask("GET", "/v1/peer/vms")[0] in (401, 403)
        assert operator.ask("PUT", "/v1/peer/membership", {})[0] in (401, 403)
    listed = trust.api("h1").get("/v1/tokens")["tokens"]
    assert bearer.token.split(".")[2] not in json.dumps(listed)
    trust.drover("h1", "token", "revoke", bearer.token.split(".")[1])
    refused(bearer, "GET", "/v1/nodes")


def test_join_token_is_no_operator(trust: Lab) -> None:
    api = stranger(trust)
    api.token = token(trust)
    refused(api, "GET", "/v1/nodes")


def test_older_tls_is_refused(trust: Lab) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    raw = trust.in_netns("lan", lambda: socket.create_connection((trust.address("h1"), PORT), 10))
    with raw, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(raw)


def test_revoked_node(trust: Lab) -> None:
    """The last test: h2 is expelled."""
    api = stranger(trust, "h2")
    assert api.ask("GET", "/v1/nodes")[0] == 200
    ended = trust.drover("h1", "node", "revoke", "h2")
    assert ended.code == 0, ended
    for path in PATHS:
        refused(api, "GET", path)
    refused(api, "POST", "/v1/plans")
    wait_until(lambda: nodes(trust) == ["h1"], "h2 is no node any more")
    ended = trust.drover("h2", "--server", trust.address("h1"), "vm", "list")
    assert ended.code == DENIED, ended
    assert trust.drover("h1", "node", "revoke", "h2").code == 3
    assert trust.drover("h1", "node", "revoke", "h1").code == 4, "a cluster needs its founder"
