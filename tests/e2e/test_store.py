# SPDX-License-Identifier: Apache-2.0
"""
The cluster's data in a real etcd of three members: every node can do what else only the founder
does, and bad days of the store. A lab of its own; the tests go on from each other in their order.
"""
import base64
import hashlib
import json
import os
from typing import Any, Iterator, Optional

import pytest

import room_in_etcd
from lab import Api, Lab, wait_until

from drover_lab import etcd, host

VM = "web"
FAILED, NOT_FOUND, UNREACHABLE = 1, 3, 5


class Store(Lab):
    """A lab whose cluster keeps its data in etcd."""

    def etcd(self, member: str, verb: str) -> None:
        self.lab("etcd", member, verb)

    def heal(self) -> None:
        for member in etcd.MEMBERS:
            if not etcd.pid_of(self.name, member):
                self.etcd(member, "start")
        wait_until(lambda: etcd.answers(self.name), "etcd answers")

    def status(self, on: str) -> dict[str, Any]:
        return self.api(on).get("/v1/store")

    def leader(self) -> Optional[str]:
        """Whom all nodes that are up take for it."""
        said = {self.status(on)["leader"] for on in self.hosts if host.is_up(self.name, on)}
        return said.pop() if len(said) == 1 else None

    def doctor(self, on: str, state: str) -> dict[str, str]:
        """What it found that is so: its name and what it says."""
        return {f["name"]: f["message"] for f in self.drover(on, "doctor", "--json").json()
                if f["state"] == state}

    def policies(self, on: str) -> list[str]:
        return [p["name"] for p in self.api(on).get("/v1/policies")["policies"]]


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    it = Store(f"e2e{os.getpid()}s", hosts=3)
    try:
        it.up("--etcd")
        it.guest(VM, "h1", memory=160, work=72, compress=0, dirty=1, records=20)
        yield it
    finally:
        it.down()


@pytest.fixture(autouse=True)
def healed(store: Store) -> Iterator[None]:
    store.heal()
    store.rate("none")
    for on in store.hosts:
        if store.service(on, "droverd", "status").split()[0] != "running":
            store.service(on, "droverd", "start")  # a test failed half-way
    yield


def other(store: Store, on: str) -> str:
    return next(h for h in store.hosts if h != on)


def move_slowly(store: Store, rate: str = "150mbit") -> Any:
    source = store.where(VM)[0]
    store.rate(rate)
    move = store.begin(VM, source, other(store, source))
    move.until("copying-memory", wire_bytes=1 << 20)
    return move


def assert_moved(store: Store, move: Any) -> None:
    ended = move.wait()
    assert ended.code == 0, ended
    assert len(store.where(VM)) == 1


# ---- good days ----

def test_every_node_can(store: Store) -> None:
    """What only the founder could: policies, tokens, revoking them."""
    for on in store.hosts:
        assert store.drover(on, "policy", "set", f"of-{on}", "--max-pause", "100ms").code == 0
    for on in store.hosts:
        assert store.policies(on) == ["of-h1", "of-h2", "of-h3"]
    made = store.drover("h2", "token", "create", "--operator", "alice")
    assert made.code == 0, made
    number = made.out.split(".")[1]
    assert [t["id"] for t in store.api("h3").get("/v1/tokens")["tokens"]
            if t["kind"] == "operator"] == [number]
    assert store.drover("h3", "token", "revoke", number).code == 0


def test_what_a_node_writes_there(store: Store) -> None:
    """With the way to etcd that every node has: it does not become an operator."""
    def key(name: str) -> str:
        return room_in_etcd.b64(f"/drover/doc/{name}".encode())

    def read(name: str) -> dict[str, Any]:
        value = room_in_etcd.ask(store.name, "kv/range", {"key": key(name)})["kvs"][0]["value"]
        return json.loads(base64.b64decode(value))

    def write(name: str, document: dict[str, Any]) -> None:
        value = room_in_etcd.b64(json.dumps(document).encode())
        assert "error" not in room_in_etcd.ask(store.name, "kv/put", {"key": key(name), "value": value})

    good = store.drover("h1", "token", "create", "--operator", "bob").out.split()[-1]
    number, secret, authority = good.split(".")[1:]
    own = f"drover1.{number[::-1]}.{secret[::-1]}.{authority}"
    token = read(f"token/{number}") | {"id": number[::-1], "name": "mallory",
                                       "hash": hashlib.sha256(secret[::-1].encode()).hexdigest()}
    write(f"token/{number[::-1]}", token)
    membership = read("cluster/membership")
    membership["version"] += 1
    membership["operators"].append({k: token[k] for k in ("id", "hash", "expires_ms", "signature")})
    write("cluster/membership", membership)
    for on in store.hosts:
        wait_until(lambda: "not signed by the authority" in store.log(on).read_text(), f"{on} has seen it")
    assert store.drover("h2", "token", "revoke",
                        store.drover("h2", "token", "create").out.split(".")[1]).code == 0
    for on in store.hosts:
        status = {}
        for who, text in (("operator", good), ("forged", own)):
            api = Api(store.netns("lan"), store.address(on), token=text)
            status[who] = api.ask("GET", "/v1/vms")[0]
        assert status == {"operator": 200, "forged": 401}, (on, status)
    listed = [t["id"] for t in store.api("h3").get("/v1/tokens")["tokens"]]
    assert number in listed and number[::-1] not in listed
    assert store.drover("h3", "token", "revoke", number).code == 0


def test_a_plan_of_one_node_is_applied_at_another(store: Store) -> None:
    source = store.where(VM)[0]
    away = [h for h in store.hosts if h != source]
    plan = store.api(away[0]).ask("POST", "/v1/plans",
                                  {"goal": "migrate", "vm": VM, "target": away[1]})
    assert plan[0] == 200, plan
    status, applied = store.api(away[1]).ask("POST", f"/v1/plans/{plan[1]['id']}/apply")
    assert status == 200, applied
    job = applied["jobs"][0]
    wait_until(lambda: store.job(job)["ended"], "the move ends")
    assert store.where(VM) == [away[1]]


def test_a_lost_node_s_history_is_there(store: Store) -> None:
    """It is read from etcd when the node that has moved the VM is away."""
    source = store.where(VM)[0]
    store.move(VM, source, other(store, source))
    job = store.api(source).get("/v1/jobs")["jobs"][-1]["id"]
    wait_until(lambda: store.status(source)["unrecorded"] == 0, "it is recorded")
    store.service(source, "droverd", "stop")
    try:
        asked = other(store, source)
        listed = store.api(asked).get("/v1/jobs")["jobs"]
        assert [j["state"] for j in listed if j["id"] == job] == ["done"]
        assert store.api(asked).get(f"/v1/jobs/{job}")["report"]["outcome"] == "done"
    finally:
        store.service(source, "droverd", "start")


# ---- bad days ----

@pytest.mark.parametrize("member", etcd.MEMBERS)
def test_one_member_killed(store: Store, member: str) -> None:
    """Nothing notices but the log."""
    store.etcd(member, "kill")
    for on in store.hosts:
        ended = store.drover(on, "policy", "set", f"without-{member}-{on}", "--max-pause", "90ms")
        assert ended.code == 0, ended
        assert f"without-{member}-{on}" in store.policies(other(store, on))
    lost = [m["address"] for m in store.status("h1")["members"] if m["state"] == "lost"]
    assert lost == [f"{etcd.address(member)}:{etcd.PORT}"]
    said = store.doctor("h2", "warning")
    assert [n for n in said if n.startswith("etcd ")] == [f"etcd {lost[0]}"], said
    move = move_slowly(store)
    store.rate("none")
    assert_moved(store, move)


def test_two_members_killed_during_a_move(store: Store) -> None:
    """It goes on and is recorded later; what needs the store fails and says why."""
    move = move_slowly(store)
    source = move.source
    store.etcd("e1", "kill")
    store.etcd("e2", "kill")
    ended = store.drover(source, "policy", "set", "gone", "--max-pause", "90ms")
    assert ended.code == UNREACHABLE and "more than half of etcd's members" in ended.err, ended
    ended = store.drover(source, "policy", "list")
    assert ended.code == UNREACHABLE and "etcd://" in ended.err, ended
    assert store.drover(source, "node", "list").code == 0
    assert "only 1 of 3 members" in store.doctor(source, "problem")["cluster's store"]
    store.rate("none")
    assert_moved(store, move)
    assert move.view()["report"]["outcome"] == "done"
    wait_until(lambda: store.stored(source, "outbox"), "it waits to be recorded")
    store.service(source, "droverd", "restart")  # and survives that
    store.heal()
    wait_until(lambda: not store.stored(source, "outbox"), "it is recorded")
    key = base64.b64encode(f"/drover/doc/history/{move.job}".encode()).decode()
    assert room_in_etcd.ask(store.name, "kv/range", {"key": key})["count"] == "1"


def test_droverd_starts_without_etcd(store: Store) -> None:
    for member in etcd.MEMBERS:
        store.etcd(member, "kill")
    store.service("h2", "droverd", "restart")
    assert store.drover("h2", "vm", "list").code == 0
    assert len(store.api("h2").get("/v1/nodes")["nodes"]) == 3
    store.heal()
    wait_until(lambda: store.drover("h2", "policy", "list").code == 0, "etcd is used again")


def test_the_leader_is_killed(store: Store) -> None:
    """Another one takes over when its lease has run out: nobody gives it back."""
    first = wait_until(store.leader, "somebody leads")
    away = [h for h in store.hosts if h != first]
    if store.where(VM) == [first]:
        store.move(VM, first, away[0])  # a lost host loses its guests
    store.lab("kill", first)
    try:
        second = wait_until(lambda: next((h for h in away if store.status(away[0])["leader"] == h),
                                         None), "another one leads", 30)
        assert second != first
    finally:
        store.lab("boot", first)
    wait_until(lambda: store.leader() == second, "the first one follows")


def test_the_leader_s_droverd_ends(store: Store) -> None:
    """It lets go; and there is never more than one at a time."""
    first = wait_until(store.leader, "somebody leads")
    store.service(first, "droverd", "stop")
    rest = [h for h in store.hosts if h != first]
    wait_until(lambda: store.status(rest[0])["leader"] in rest, "another one leads", 20)
    store.service(first, "droverd", "start")


# ---- who lets others in ----

def test_a_node_is_given_the_authority(store: Store) -> None:
    """Then it lets others in while the founder is away."""
    assert not store.path("h2", "/etc/drover/ca.key").exists()
    ended = store.drover("h3", "node", "authority", "h2")
    assert ended.code == 0, ended
    assert store.path("h2", "/etc/drover/ca.key").stat().st_mode & 0o777 == 0o600
    store.service("h1", "droverd", "stop")
    try:
        store.service("h3", "droverd", "stop")
        text = store.drover("h2", "token", "create").out.split()[-1]
        assert store.drover("h2", "node", "revoke", "h3").code == 0
        for file in store.path("h3", "/etc/drover").iterdir():
            if not file.name.startswith("operator."):  # as at the beginning, root there is an operator
                file.unlink()
        ended = store.drover("h3", "join", store.address("h2"), "--token", text, "--name", "h3",
                             "--address", store.address("h3"))
        assert ended.code == 0, ended
        store.service("h3", "droverd", "start")
        assert store.drover("h3", "policy", "list").code == 0, "it was given the way to etcd"
    finally:
        store.service("h1", "droverd", "start")
    wait_until(lambda: all(n["state"] == "up" for n in store.api("h1").get("/v1/nodes")["nodes"]),
               "all know each other")


# ---- moving it, backups ----

def test_move_while_it_is_used(store: Store) -> None:
    """To the founder's file and back to etcd; every change that was acknowledged is there."""
    assert store.drover("h1", "policy", "set", "of-h1", "--max-pause", "70ms").code == 0
    before = store.policies("h1")
    token = store.drover("h2", "token", "create").out.split(".")[1]
    written: list[str] = []

    def write(to: str) -> None:
        name = f"during-{len(written)}"
        ended = store.drover(to, "policy", "set", name, "--max-pause", "80ms")
        if ended.code == 0:
            written.append(name)

    ended = store.drover("h3", "store", "move", "sqlite")
    assert ended.code == 0, ended
    for on in store.hosts:
        write(on)
    assert store.status("h2")["kind"] == "sqlite"
    assert not store.path("h3", "/etc/drover/store.json").exists()
    ended = store.drover("h2", "store", "move", etcd.place() + "/drover")
    assert ended.code != 0 and "prefix" in ended.err, "a place that was left is not taken again"
    ended = store.drover("h2", "store", "move", etcd.place() + "/second")
    assert ended.code == 0, ended
    for on in store.hosts:
        write(on)
        assert store.status(on)["where"].endswith("/second")
    assert len(written) >= 6, written
    for on in store.hosts:
        assert sorted(store.policies(on)) == sorted(before + written)
        assert token in [t["id"] for t in store.api(on).get("/v1/tokens")["tokens"]]


def test_a_node_that_was_off_follows(store: Store) -> None:
    store.service("h3", "droverd", "stop")
    assert store.drover("h1", "store", "move", "sqlite").code == 0
    store.service("h3", "droverd", "start")
    wait_until(lambda: store.drover("h3", "policy", "list").code == 0, "h3 has followed")
    assert store.drover("h1", "store", "move", etcd.place() + "/third").code == 0


def test_backup_and_restore(store: Store) -> None:
    """The founder's disk is lost: it comes back as the node that it was."""
    ended = store.drover("h1", "backup", "/run/h1.backup")
    assert ended.code == 0 and "keep the file safe" in ended.err, ended
    kept = store.path("h1", "/run/h1.backup")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert store.drover("h1", "backup", "/run/h1.backup").code == 4, "nothing is written over"
    ended = store.drover("h1", "restore", "/run/h1.backup")
    assert ended.code == 4 and "droverd" in ended.err, "not under a droverd that runs"
    store.service("h1", "droverd", "stop")
    names_before = sorted(f.name for f in store.path("h1", "/etc/drover").iterdir())
    for directory in ("/etc/drover", "/var/lib/drover"):
        for file in store.path("h1", directory).iterdir():
            if file.is_file():
                file.unlink()
    broken = store.path("h1", "/run/broken.backup")
    broken.write_bytes(kept.read_bytes()[:-200])
    assert store.drover("h1", "restore", "/run/broken.backup").code == 2
    assert not list(store.path("h1", "/etc/drover").iterdir())
    ended = store.drover("h1", "restore", "/run/h1.backup")
    assert ended.code == 0 and "left as they are" in ended.err, ended
    assert sorted(f.name for f in store.path("h1", "/etc/drover").iterdir()) == names_before
    store.service("h1", "droverd", "start")
    nodes = store.api("h1").get("/v1/nodes")["nodes"]
    assert [n["state"] for n in nodes] == ["up"] * 3
    assert "of-h1" in store.policies("h1")


def test_etcd_is_lost(store: Store) -> None:
    """All its data: that is no new cluster. A backup brings them back."""
    ended = store.drover("h2", "backup", "/run/h2.backup")
    assert ended.code == 0, ended
    everything = {"key": base64.b64encode(b"\0").decode(), "range_end": base64.b64encode(b"\0").decode()}
    room_in_etcd.ask(store.name, "kv/deleterange", everything)
    ended = store.drover("h1", "policy", "list")
    assert ended.code == FAILED and "restore" in ended.err, ended
    assert len(store.api("h3").get("/v1/nodes")["nodes"]) == 3, "friends are still known"
    store.service("h2", "droverd", "stop")
    assert store.drover("h2", "restore", "/run/h2.backup").code == 0
    store.service("h2", "droverd", "start")
    for on in store.hosts:
        wait_until(lambda: store.drover(on, "policy", "list").code == 0, "etcd is used again")
        assert "of-h1" in store.policies(on)


def test_no_room_in_etcd(store: Store) -> None:
    """The quota's alarm: moves end, changes are refused and say what to do, later all is recorded."""
    try:
        room_in_etcd.fill(store.name, 20)  # the rest goes while the VM moves
        move = move_slowly(store, "40mbit")
        assert room_in_etcd.fill(store.name), "etcd took all of it"
        wait_until(lambda: "NOSPACE" in store.status("h1")["alarms"], "the alarm")
        assert not move.view()["ended"], "the test was too slow"
        ended = store.drover("h2", "policy", "set", "full", "--max-pause", "90ms")
        assert ended.code == FAILED and "alarm disarm" in ended.err, ended
        assert store.drover("h3", "policy", "list").code == 0, "reading goes on"
        assert "NOSPACE" in store.doctor("h3", "problem")["etcd's alarms"]
        store.rate("none")
        assert_moved(store, move)
        wait_until(lambda: store.stored(move.source, "outbox"), "it waits to be recorded")
        assert store.status(move.source)["unrecorded"] == 1
    finally:
        room_in_etcd.make(store.name)
        store.rate("none")
    wait_until(lambda: not store.stored(move.source, "outbox"), "it is recorded")
    assert store.drover("h2", "policy", "set", "full", "--max-pause", "90ms").code == 0
