# SPDX-License-Identifier: Apache-2.0
"""What cannot be done is refused before anything is begun, and the message says why."""
import os
from uuid import uuid4

import pytest

from conftest import VM, Guest
from drover_lab import host
from lab import IMAGES, PORT, Ended, Lab

USAGE, NOT_FOUND, REFUSED, UNREACHABLE = 2, 3, 4, 5


def check(lab: Lab, web: Guest, ended: Ended, code: int, *words: str) -> None:
    """The exit code, the words of the message, and that nothing has happened."""
    assert ended.code == code, ended
    for word in words:
        assert word in ended.err, ended
    said = [line for line in ended.err.splitlines() if not line.startswith("drover: still waiting: ")]
    assert len(said) == 1, f"one line says it: {ended}"
    for on in lab.hosts:
        if host.is_up(lab.name, on):
            assert not lab.sessions(on) and not lab.pids(on, "drover-relay")
            assert not lab.stored(on, "session")


def test_unknown_vm(lab: Lab, web: Guest) -> None:
    check(lab, web, lab.drover("h1", "migrate", "nosuch", "h2"), NOT_FOUND, "nosuch")


def test_unknown_node(lab: Lab, web: Guest) -> None:
    check(lab, web, lab.drover("h1", "migrate", VM, "h99"), NOT_FOUND, "h99")


def test_unknown_job(lab: Lab) -> None:
    for command in ("job", "cancel"):
        for job in ("h1-999999", "h77-1", "nonsense", "..%2f..", "h1-p1"):
            ended = lab.drover("h1", command, job)
            assert ended.code == NOT_FOUND, (command, job, ended)


def test_already_there(lab: Lab, web: Guest) -> None:
    check(lab, web, lab.drover("h1", "migrate", VM, web.host), REFUSED, VM, web.host, "already")


def test_refusals_in_json_are_one_object(lab: Lab, web: Guest) -> None:
    ended = lab.drover("h1", "migrate", VM, web.host, "--json")
    assert ended.code == REFUSED
    report = ended.json()
    assert report["outcome"] == "refused" and "already" in report["error"]


def test_shut_off(lab: Lab, web: Guest) -> None:
    lab.virsh("h1", "define", define_idle(lab, "h1", "off", 128))
    try:
        check(lab, web, lab.drover("h1", "migrate", "off", "h2", "--method", "pre-copy"), REFUSED,
              "off", "shut off", "--offline")
        assert lab.where("off") == ["h1"]
    finally:
        lab.virsh("h1", "undefine", "off")


def define_idle(lab: Lab, on: str, name: str, mib: int) -> str:
    """A domain that does nothing; the path of its definition on the host."""
    path = f"/run/{name}.xml"
    lab.path(on, path).write_text(
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>{mib}</memory><vcpu>1</vcpu>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>")
    return path


def test_no_memory_at_the_target(lab: Lab, web: Guest) -> None:
    """Paused from its first instant the guest uses none of the memory that it is said to have."""
    mib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // (1 << 20) - 64
    lab.virsh("h1", "create", define_idle(lab, "h1", "huge", mib), "--paused")
    try:
        check(lab, web, lab.drover("h1", "migrate", "huge", "h2"), REFUSED, "huge", "h2", "MiB")
        check(lab, web, lab.drover("h1", "migrate", "huge"), REFUSED, "huge", "h2", "MiB")
        assert lab.where("huge") == ["h1"]
    finally:
        lab.virsh("h1", "destroy", "huge")


def test_file_exists_at_the_target(lab: Lab, web: Guest) -> None:
    source, target = web.host, web.other
    image = f"{IMAGES}/{VM}-data.raw"
    precious = lab.path(target, image)
    precious.write_bytes(b"precious")
    try:
        check(lab, web, lab.drover(source, "migrate", VM, target), REFUSED, image, target)
        assert precious.read_bytes() == b"precious"
    finally:
        precious.unlink()
    assert web.data_on(source) == web.filling


def test_name_taken_at_the_target(lab: Lab, web: Guest) -> None:
    source, target = web.host, web.other
    lab.virsh(target, "define", define_idle(lab, target, VM, 64))
    try:
        check(lab, web, lab.drover(source, "migrate", VM, target), REFUSED, VM, target)
    finally:
        lab.virsh(target, "undefine", VM)
    assert lab.where(VM) == [source]


def test_a_vm_named_like_another_one_s_uuid(lab: Lab, web: Guest) -> None:
    """The guest is found by its own UUID, and moves live; a word that means both is not guessed at."""
    source, target = web.host, web.other
    uuid, its_own = lab.virsh(source, "domuuid", VM), str(uuid4())
    path = define_idle(lab, source, uuid, 64)
    definition = lab.path(source, path)
    definition.write_text(definition.read_text().replace("<memory", f"<uuid>{its_own}</uuid><memory"))
    lab.virsh(source, "define", path)
    decoy = lab.virsh(source, "dumpxml", its_own)
    try:
        check(lab, web, lab.drover(source, "migrate", uuid, target), REFUSED, "ambiguous", VM)
        report = lab.move(VM, source, target)
        assert report["method"] != "offline" and report["pause_ms"] is not None, report
        assert web.data_on(target) == web.filling
        assert lab.virsh(source, "list", "--all", "--name").split() == [uuid]
        assert lab.virsh(source, "dumpxml", its_own) == decoy
    finally:
        lab.virsh(source, "undefine", its_own, check=False)
    web.assert_clean(target)


def test_medium_in_the_drive(lab: Lab, web: Guest) -> None:
    """What cannot move is named, with what to do about it: a floppy that the guest can write to."""
    path = define_idle(lab, "h1", "media", 64)
    definition = lab.path("h1", path)
    lab.path("h1", f"{IMAGES}/media.img").write_bytes(bytes(1440 << 10))
    definition.write_text(definition.read_text().replace(
        "</domain>", "<devices><disk type='file' device='floppy'>"
        f"<source file='{IMAGES}/media.img'/><target dev='fda' bus='fdc'/></disk>"
        "</devices></domain>"))
    lab.virsh("h1", "create", path, "--paused")
    try:
        check(lab, web, lab.drover("h1", "migrate", "media", "h2"), REFUSED, "media", "fda",
              "eject")
    finally:
        lab.virsh("h1", "destroy", "media")
        lab.path("h1", f"{IMAGES}/media.img").unlink()


def test_target_s_link_is_down(lab: Lab, web: Guest) -> None:
    source, target = web.host, web.other
    lab.link(target, "--down")
    try:
        check(lab, web, lab.drover(source, "migrate", VM, target), UNREACHABLE, target)
        nodes = lab.drover(source, "node", "list", "--json").json()["nodes"]
        assert {n["name"]: n["state"] for n in nodes} == {source: "up", target: "lost"}
        vms = lab.drover(source, "vm", "list", "--json").json()
        assert [v["name"] for v in vms["vms"]] == [VM]
        assert [u["node"] for u in vms["unreachable"]] == [target]
    finally:
        lab.link(target, "--up")
    lab.move(VM, source, target)


def test_target_s_libvirtd_is_down(lab: Lab, web: Guest) -> None:
    source, target = web.host, web.other
    lab.service(target, "libvirtd", "stop")
    try:
        check(lab, web, lab.drover(source, "migrate", VM, target), UNREACHABLE, target, "libvirt")
    finally:
        lab.service(target, "libvirtd", "start")
    lab.move(VM, source, target)


def test_source_s_libvirtd_is_down(lab: Lab, web: Guest) -> None:
    """Its guests run on; nobody can say so."""
    source, target = web.host, web.other
    lab.service(source, "libvirtd", "stop")
    try:
        ended = lab.drover(source, "migrate", VM, target)
        assert ended.code in (NOT_FOUND, UNREACHABLE), ended
        assert source in ended.err
    finally:
        lab.service(source, "libvirtd", "start")
    assert lab.state(VM, source) == "running"
    lab.move(VM, source, target)


def test_target_s_droverd_is_down(lab: Lab, web: Guest) -> None:
    source, target = web.host, web.other
    lab.service(target, "droverd", "stop")
    try:
        check(lab, web, lab.drover(source, "migrate", VM, target), UNREACHABLE, target)
        own = lab.drover(target, "vm", "list")
        assert own.code == UNREACHABLE and "droverd" in own.err, own
    finally:
        lab.service(target, "droverd", "start")
    lab.move(VM, source, target)


def test_target_is_dead(lab: Lab, web: Guest) -> None:
    source, target = web.host, web.other
    lab.lab("kill", target)
    try:
        check(lab, web, lab.drover(source, "migrate", VM, target), UNREACHABLE, target)
    finally:
        lab.lab("boot", target)
    lab.move(VM, source, target)


@pytest.mark.parametrize("wrong", ["same directories", "its own directories"])
def test_a_second_droverd(lab: Lab, web: Guest, wrong: str) -> None:
    """Whether it is started by mistake or has directories of its own: it says who is there."""
    words = ["droverd"]
    if wrong == "its own directories":
        lab.run("h1", "cp", "-r", "/var/lib/drover", "/run/drover-other")
        words = ["unshare", "--mount", "sh", "-c",
                 "mkdir -p /run/drover-run && mount --bind /run/drover-run /run/drover && "
                 "mount --bind /run/drover-other /var/lib/drover && exec droverd"]
    before = lab.pids("h1", "droverd")
    ended = lab.run("h1", *words, check=False)
    assert ended.code not in (0, 127), ended
    assert "droverd (pid" in ended.err or "pid " in ended.err, ended
    if wrong == "its own directories":
        assert str(PORT) in ended.err, ended
    assert lab.pids("h1", "droverd") == before
    assert lab.drover("h1", "version").code == 0
