# SPDX-License-Identifier: Apache-2.0
"""
Who is let in. A lab of its own whose hosts join one by one: h1 founds a cluster, h2 joins it,
h3 founds another one.
"""
import json
import os
import socket
import ssl
import subprocess
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


ROLES = {"operator": "o", "token": "t", "itself": "s", "node": "n", "stranger": "-", "revoked": "-",
         "expired": "-"}
# As in src/api/routes.c and its unit test, with bodies of which nothing comes.
ROUTES = [line.split() for line in """
    GET /v1/version nsot
    GET /v1/nodes nsot
    GET /v1/nodes/h2/maintenance nsot
    PUT /v1/nodes/h2/maintenance sot
    GET /v1/nodes/h2/settings nsot
    PUT /v1/nodes/h2/settings sot
    DELETE /v1/nodes/nosuch ot
    GET /v1/store nsot
    GET /v1/store/backup sot
    POST /v1/store/move o
    POST /v1/nodes/h2/authority o
    GET /v1/vms nsot
    GET /v1/vms/nosuch/goals nsot
    PUT /v1/vms/nosuch/goals sot
    DELETE /v1/vms/nosuch/goals sot
    GET /v1/vms/nosuch/owner nsot
    PUT /v1/vms/nosuch/owner sot
    GET /v1/content nsot
    PUT /v1/content sot
    POST /v1/content/prune sot
    GET /v1/policies nsot
    GET /v1/policies/nosuch nsot
    PUT /v1/policies/nosuch ot
    DELETE /v1/policies/nosuch ot
    GET /v1/requests/nosuch nsot
    POST /v1/plans sot
    GET /v1/plans nsot
    GET /v1/plans/h1-p99 nsot
    POST /v1/plans/h1-p99/apply sot
    POST /v1/predictions sot
    GET /v1/jobs nsot
    GET /v1/jobs/h1-99 nsot
    POST /v1/jobs/h1-99/cancel sot
    POST /v1/jobs/h1-99/pause sot
    POST /v1/jobs/h1-99/resume sot
    POST /v1/jobs/h1-99/reconcile sot
    GET /v1/links nsot
    POST /v1/links/probe sot
    GET /v1/accuracy nsot
    POST /v1/tokens ot
    GET /v1/tokens ot
    DELETE /v1/tokens/nosuch ot
    DELETE /v1/operators/nosuch ot
    GET /v1/peer/membership ns
    PUT /v1/peer/membership ns
    GET /v1/peer/store ns
    PUT /v1/peer/authority ns
    GET /v1/peer/vms ns
    """.strip().splitlines()]


def test_every_route_as_everybody(trust: Lab) -> None:
    """Over the network, at h1; the node itself at its own droverd."""
    expired = token(trust, "--operator", "old", "--ttl", "1s")
    callers = {"operator": stranger(trust, "h1", "operator"), "token": stranger(trust),
               "itself": Api(trust.netns("h2"), trust.address("h2"),
                             certificate=(trust.path("h2", "/etc/drover/node.crt"),
                                          trust.path("h2", "/etc/drover/node.key"))),
               "node": stranger(trust, "h2"), "stranger": stranger(trust), "expired": stranger(trust)}
    callers["token"].token = token(trust, "--operator", "alice")
    callers["expired"].token = expired
    wait_until(lambda: callers["expired"].ask("GET", "/v1/version")[0] == 401, "the token expires")
    refusals = ("only nodes of the cluster", "only an operator may do this", "a token cannot do this")
    for caller, api in callers.items():
        for method, path, may in ROUTES:
            if caller == "itself":
                path = path.replace("/h1-", "/h2-")  # its own jobs; for those of others one is sent to them
            body = {"node": "h2"} if method in ("POST", "PUT") else None
            status, answer = api.ask(method, path, body)
            refused_for = status == 401 or (status == 403 and answer["error"]["message"].startswith(refusals))
            assert refused_for == (ROLES[caller] not in may), (caller, method, path, status, answer)


def test_a_node_is_no_operator(trust: Lab) -> None:
    """What was possible: to be given the authority's key, to move the store, to make an operator of oneself."""
    node, itself = stranger(trust, "h2"), trust.api("h2")
    for api in (node, itself):
        for method, path, body in (("POST", "/v1/nodes/h2/authority", {}),
                                   ("POST", "/v1/store/move", {"to": f"etcd://{trust.address('h2')}"}),
                                   ("POST", "/v1/tokens", {"kind": "operator"}),
                                   ("DELETE", "/v1/nodes/h2", None),
                                   ("PUT", "/v1/nodes/h1/maintenance", {"maintenance": "draining"}),
                                   ("PUT", "/v1/policies/mine", {"max_pause_ms": 100})):
            status, answer = api.ask(method, path, body)
            assert status == 403, (method, path, answer)
    for path, body in (("/v1/peer/jobs", {"plan": "h1-p1", "step": {}}), ("/v1/peer/fleet-plans", {}),
                       ("/v1/peer/operations/op-1/cancel", {}), ("/v1/peer/links", {"to": "h2"})):
        # h1 leads: h2 cannot have it do what only operators ask for.
        status, answer = node.ask("POST", path, body)
        assert status == 403 and "only the node that leads" in answer["error"]["message"], (path, answer)
    assert not trust.path("h2", "/etc/drover/ca.key").exists()
    ended = trust.drover("h2", "token", "create", "--operator", "me")
    assert ended.code == DENIED and "only an operator" in ended.err, ended
    assert trust.drover("h2", "vm", "list").code == 0, "root there sees the fleet all the same"


def test_an_operator_is_sent_on(trust: Lab) -> None:
    """At a node that cannot do it: the command line goes to the one that can."""
    text = token(trust, "--operator", "alice")
    trust.path("h2", "/etc/drover/operator.token").write_text(text + "\n")
    try:
        made = trust.drover("h2", "token", "create", "--operator", "bob", "--ttl", "10m")
        assert made.code == 0, made
        longer = trust.drover("h2", "token", "create", "--operator", "bob", "--ttl", "30d")
        assert longer.code == DENIED and "outlive" in longer.err, longer
        assert trust.drover("h2", "policy", "set", "sent", "--max-pause", "100ms").code == 0
        assert trust.drover("h2", "policy", "delete", "sent").code == 0
    finally:
        trust.path("h2", "/etc/drover/operator.token").unlink()
    child = stranger(trust)
    child.token = made.out.splitlines()[-1]
    assert child.ask("GET", "/v1/tokens")[0] == 200
    trust.drover("h1", "token", "revoke", text.split(".")[1])
    refused(child, "GET", "/v1/tokens")


def test_operator_s_certificate_is_revoked_and_made_anew(trust: Lab) -> None:
    etc = trust.path("h1", "/etc/drover")
    thief = Api(trust.netns("lan"), trust.address("h1"), timeout=10,
                certificate=(etc / "operator.crt", etc / "operator.key"))  # it has them in memory from now on
    assert thief.ask("GET", "/v1/tokens")[0] == 200
    ended = trust.drover("h1", "token", "revoke", "/etc/drover/operator.crt")
    assert ended.code == 0, ended
    refused(thief, "GET", "/v1/tokens")
    assert trust.drover("h1", "token", "list").code == 0
    assert stranger(trust, "h1", "operator").ask("GET", "/v1/tokens")[0] == 200


def test_a_stream_ends_with_its_token(trust: Lab) -> None:
    for revoke in (True, False):
        text = token(trust, "--operator", "watcher", "--ttl", "1h" if revoke else "3s")
        watching = subprocess.Popen(
            ["ip", "netns", "exec", trust.netns("lan"), "curl", "-sNk", "-H", f"Authorization: Bearer {text}",
             f"https://{trust.address('h1')}:{PORT}/v1/events"], stdout=subprocess.PIPE)
        assert watching.stdout and watching.stdout.read(1) == b":", "the stream has begun"
        if revoke:
            assert trust.drover("h1", "token", "revoke", text.split(".")[1]).code == 0
        watching.stdout.read()
        watching.wait(timeout=30)


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
