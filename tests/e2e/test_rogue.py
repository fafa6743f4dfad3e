# SPDX-License-Identifier: Apache-2.0
"""
A stolen node: somebody has h2's certificate, its key and its address, and asks h1 for everything that could make
more of it. docs/security.rst has the lines that are tried here.
"""
import base64
import contextlib
import http.server
import json
import os
import secrets
import ssl
import threading
import uuid
from typing import Any, Iterator

import pytest

from conftest import VM, Guest
from lab import IMAGES, PORT, Api, Lab, wait_until

DENIED = 403
WHO = "thief"


class Thief:
    """In h2's place, with nothing of Drover's: it answers what h1 asks back, and asks for itself."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        etc = lab.path("h2", "/etc/drover")
        pair = (etc / "node.crt", etc / "node.key")
        self.api = Api(lab.netns("h2"), lab.address("h1"), etc / "ca.crt", pair)
        self.awaited = ""
        self.opened: list[str] = []
        thief = self

        class Answers(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                self.rfile.read(length)
                body = json.dumps({"ended": False, "session": thief.awaited, "state": "preparing"}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                # h1 would go on to talk with the thief, when h2 itself is back.
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *_: Any) -> None:
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(*pair)
        self.server: http.server.ThreadingHTTPServer = lab.in_netns(
            "h2", lambda: http.server.ThreadingHTTPServer((lab.address("h2"), PORT), Answers))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        for session in self.opened:
            with contextlib.suppress(OSError):
                self.api.ask("DELETE", f"/v1/peer/sessions/{session}")
        self.server.shutdown()
        self.server.server_close()

    def open(self, parcel: Any = None, **step: Any) -> tuple[str, int, Any]:
        """A session for a VM that there is not."""
        self.awaited = secrets.token_hex(16)
        whole = {"uuid": str(uuid.uuid4()), "vm": WHO, "source": "h2", "target": "h1", "method": "offline",
                 "was_running": False, "disks": [], "memory_bytes": 1 << 20, "machine": {}, "here": {}, **step}
        status, document = self.api.ask("POST", "/v1/peer/sessions", {
            "session": self.awaited, "secret": secrets.token_hex(32), "job": "h2-1", "links": 1, "step": whole,
            "parcel": parcel or {}})
        if status == 200:
            self.opened.append(self.awaited)
        return self.awaited, status, document

    def define(self, definition: str, uid: str, **more: Any) -> tuple[int, Any]:
        session, status, document = self.open(uuid=uid)
        assert status == 200, document
        return self.api.ask("POST", f"/v1/peer/sessions/{session}/define", {"definition": definition, **more})


@pytest.fixture(scope="module")
def thief(lab: Lab, _guest: Guest) -> Iterator[Thief]:
    """The guest is at the other host: its disk is one of those that are reached for."""
    if not _guest.filling:
        _guest.make()
    elif not _guest.is_well():
        # Before the certificates are taken: a lab that is made anew has others.
        lab.down()
        lab.up()
        _guest.make()
    if _guest.host != "h1":
        lab.move(VM, _guest.host, "h1")
    lab.service("h2", "droverd", "stop")
    it = Thief(lab)
    try:
        yield it
    finally:
        it.close()
        lab.service("h2", "droverd", "start")
        wait_until(lambda: all(n["state"] == "up" for n in lab.api("h1").get("/v1/nodes")["nodes"]), "all are up")


def disk(path: str, **more: Any) -> dict[str, Any]:
    return {"target": "vda", "device": "disk", "how": "copy", "path": path, "target_path": path, "format": "raw",
            "capacity_bytes": 1 << 20, "needed_bytes": 1 << 20, "allocation_bytes": 1 << 20, **more}


def xml(uid: str, devices: str = "", rest: str = "", name: str = WHO) -> str:
    return (f"<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>{name}</name>"
            f"<uuid>{uid}</uuid><memory unit='MiB'>16</memory><os><type arch='x86_64' machine='q35'>hvm</type></os>"
            f"<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>{devices}</devices>{rest}</domain>")


def tree(lab: Lab, *directories: str) -> set[str]:
    return {str(path) for directory in directories for path in lab.path("h1", directory).rglob("*")}


def test_names_that_are_paths(thief: Thief) -> None:
    """The hole by which a file was written as root: a UUID that is a path, and whatever else becomes one."""
    for wrong in ("../../../../../../../../etc/cron.d/x", "/etc/cron.d/x", "", "x" * 36):
        assert thief.open(uuid=wrong)[1] == 400, wrong
        assert thief.api.ask("POST", "/v1/peer/facts", {"uuid": wrong, "disks": []})[0] == 400
    for wrong in ("../x", "a\nb", "", "."):
        assert thief.open(vm=wrong)[1] == 400, wrong
    assert thief.open(source="../h2")[1] == 400
    assert thief.open(disks=[disk(f"{IMAGES}/thief.img", target="../vda")])[1] == 400
    assert thief.open(disks=[disk(f"{IMAGES}/../../../../etc/cron.d/x")])[1] == 400
    assert thief.open(nvram="/var/lib/libvirt/qemu/nvram/../../x")[1] == 400
    for wrong in ("vms/..%2f..%2fx", "sessions/x", "probes/x", "jobs/..%2fx"):
        status, document = thief.api.ask("GET" if wrong[0] in "vj" else "DELETE", f"/v1/peer/{wrong}")
        assert status in (400, 404), (wrong, document)
    assert thief.api.ask("POST", "/v1/peer/probes", {"session": "../x", "secret": "0" * 64})[0] == 400


@pytest.mark.parametrize("path", ["/etc/cron.d/thief", "/opt/thief", "/usr/lib/thief", "/var/spool/cron/thief",
                                  "/var/lib/libvirt/qemu/thief.xml", "/run/thief"])
def test_images_only_where_images_are(lab: Lab, thief: Thief, path: str) -> None:
    _, status, document = thief.open(disks=[disk(path)])
    assert status == DENIED and "images" in document["error"]["message"], document
    assert not lab.path("h1", path).exists()
    _, status, document = thief.open(nvram=path, nvram_bytes=512)
    assert status == DENIED, document
    assert not lab.path("h1", path).exists()


def test_nothing_that_is_there_is_overwritten(lab: Lab, thief: Thief) -> None:
    there = lab.path("h1", f"{IMAGES}/thief-there.img")
    there.write_bytes(b"kept")
    try:
        assert thief.open(disks=[disk(f"{IMAGES}/thief-there.img")])[1] == 409
        assert there.read_bytes() == b"kept"
        # A file is no device that could be taken.
        assert thief.open(disks=[disk(f"{IMAGES}/thief-there.img", target_block=True)])[1] != 200
        assert there.read_bytes() == b"kept"
    finally:
        there.unlink()


def test_raw_bytes_are_not_opened_as_an_image(lab: Lab, thief: Thief) -> None:
    """A qcow2 header could name /etc/shadow as its base, or as the file of its data."""
    path = f"{IMAGES}/thief-raw.img"
    session, status, document = thief.open(disks=[disk(path)])
    assert status == 200, document
    for wrong, kind in ((path, "qcow2"), ("/etc/shadow", "raw"), (f"{IMAGES}/other.img", "raw")):
        status, document = thief.api.ask("POST", f"/v1/peer/sessions/{session}/export", {"path": wrong, "format": kind})
        assert status == DENIED, document
    assert thief.api.ask("DELETE", f"/v1/peer/sessions/{session}")[0] == 200
    assert not lab.path("h1", path).exists()


def test_tpm_state_stays_in_its_directory(lab: Lab, thief: Thief) -> None:
    before = tree(lab, "/etc", "/var/lib/libvirt/swtpm") if lab.path("h1", "/var/lib/libvirt/swtpm").exists() \
        else tree(lab, "/etc")
    for inner in ("../x", "/etc/x", "a/../../x", "a//x"):
        uid = str(uuid.uuid4())
        status, document = thief.define(xml(uid), uid, tpm=[
            {"path": "", "mode": 0o777, "user": "root", "group": "root"},
            {"path": inner, "mode": 0o777, "user": "root", "group": "root",
             "data": base64.b64encode(b"* * * * * root id\n").decode()}])
        assert status == 400, document
        thief.api.ask("DELETE", f"/v1/peer/sessions/{thief.opened[-1]}")
    after = tree(lab, "/etc") | (tree(lab, "/var/lib/libvirt/swtpm")
                                 if lab.path("h1", "/var/lib/libvirt/swtpm").exists() else set())
    assert {path for path in after - before if not path.endswith("/swtpm")} == set()


@pytest.mark.parametrize("devices,rest", [
    ("<emulator>/tmp/evil</emulator>", ""),
    ("<disk type='file'><source file='/etc/shadow'/><target dev='vda' bus='virtio'/></disk>", ""),
    (f"<disk type='file'><source file='{IMAGES}/{VM}-data.raw'/><target dev='vda' bus='virtio'/></disk>", ""),
    (f"<disk type='file' device='cdrom'><source file='{IMAGES}/{VM}-data.raw'/><target dev='sda' bus='sata'/><readonly/>"
     "</disk>", ""),
    (f"<interface type='user'><rom file='{IMAGES}/{VM}-data.raw'/></interface>", ""),
    ("<serial type='unix'><source mode='connect' path='/var/lib/libvirt/qemu/domain-1-web/monitor.sock'/></serial>", ""),
    ("", "<qemu:override><qemu:device alias='net0'><qemu:frontend><qemu:property name='romfile' type='string' "
     f"value='{IMAGES}/{VM}-data.raw'/></qemu:frontend></qemu:device></qemu:override>"),
    ("<serial type='file'><source path='/etc/cron.d/thief'/></serial>", ""),
    ("<filesystem type='mount'><source dir='/'/><target dir='all'/></filesystem>", ""),
    ("<interface type='ethernet'><script path='/bin/sh'/></interface>", ""),
    ("<hostdev mode='subsystem' type='pci'><source><address domain='0' bus='0' slot='0' function='0'/></source>"
     "</hostdev>", ""),
    ("", "<seclabel type='static' model='dac' relabel='yes'><label>root:root</label></seclabel>"),
    ("", "<qemu:commandline><qemu:arg value='-drive'/><qemu:arg value='file=/etc/shadow'/></qemu:commandline>"),
], ids=["emulator", "shadow", "other VM's disk", "other VM's disk, to read",
        "other VM's disk as a ROM", "monitor of QEMU's", "override", "serial", "host's files", "script", "device", "label", "arguments"])
def test_definitions_that_reach_for_the_host(lab: Lab, web: Guest, thief: Thief, devices: str, rest: str) -> None:
    assert web.host == "h1"
    uid = str(uuid.uuid4())
    status, document = thief.define(xml(uid, devices, rest), uid)
    assert status == DENIED, document
    assert WHO not in lab.virsh("h1", "list", "--all", "--name").split()
    assert thief.api.ask("DELETE", f"/v1/peer/sessions/{thief.opened[-1]}")[0] == 200


def test_another_vm_s_definition(lab: Lab, web: Guest, thief: Thief) -> None:
    """Neither that of the VM that runs here, nor its name or UUID."""
    there = lab.virsh(web.host, "domuuid", VM)
    uid = str(uuid.uuid4())
    if web.host == "h1":
        assert thief.open(uuid=there)[1] in (409, 422)
        assert thief.open(vm=VM)[1] in (409, 422)
        status, document = thief.define(xml(there, name=VM), uid)
        assert status == DENIED, document
        assert lab.state(VM, "h1") == "running"


def test_an_honest_definition_comes(lab: Lab, thief: Thief) -> None:
    """What is refused above is refused for what it names."""
    uid = str(uuid.uuid4())
    status, document = thief.define(xml(uid), uid)
    assert status == 200, document
    assert lab.virsh("h1", "domuuid", WHO) == uid
    assert thief.api.ask("DELETE", f"/v1/peer/sessions/{thief.opened[-1]}")[0] == 200
    assert WHO not in lab.virsh("h1", "list", "--all", "--name").split()


def test_digests_of_files_are_not_told(lab: Lab, thief: Thief) -> None:
    size = lab.path("h1", "/etc/shadow").stat().st_size if lab.path("h1", "/etc/shadow").exists() else \
        os.stat("/etc/shadow").st_size
    told = {"path": "/etc/shadow", "target": "vda", "size_bytes": size, "digest": "0", "whole": True,
            "file": {"exists": True}}
    status, document = thief.api.ask("POST", "/v1/peer/facts",
                                     {"uuid": str(uuid.uuid4()), "vm": WHO, "disks": [told], "token": "x"})
    assert status == 200, document
    assert not document["disks"][0].get("digest"), document


def test_without_the_node_s_address(lab: Lab, thief: Thief) -> None:
    """Who has the certificate alone opens no session: h1 asks at the address that the cluster knows."""
    awaited, thief.awaited = thief.awaited, "0" * 32
    try:
        status, document = thief.api.ask("POST", "/v1/peer/sessions", {
            "session": secrets.token_hex(16), "secret": secrets.token_hex(32), "job": "h2-1", "links": 1,
            "step": {"uuid": str(uuid.uuid4()), "vm": WHO, "source": "h2", "target": "h1", "disks": []}})
        assert status == 409 and "too late" in document["error"]["message"], document
    finally:
        thief.awaited = awaited
