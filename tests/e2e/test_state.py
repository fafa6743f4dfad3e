# SPDX-License-Identifier: Apache-2.0
"""What belongs to a VM besides memory and disks: it arrives, or the refusal says what does not."""
import os
import socket
import threading
import time
from typing import Iterator

import pytest

from disks import IMAGES, add_devices, disk_xml, migrate, refused
from drover_lab import names
from lab import Lab, wait_until

NVRAM = "/var/lib/libvirt/qemu/nvram"
TEMPLATE = f"{IMAGES}/of-h1-alone.fd"
SWTPM = "/var/lib/libvirt/swtpm"
TPM = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"


@pytest.fixture
def vm(lab: Lab) -> Iterator[str]:
    for on in lab.hosts:
        lab.link(on, "--up", "--rate", "none")
    yield "s"
    for on in lab.hosts:
        lab.run(on, "rm", "-f", TEMPLATE)
        lab.virsh(on, "destroy", "s", check=False)
        lab.virsh(on, "undefine", "s", "--nvram", "--tpm", "--checkpoints-metadata",
                  "--snapshots-metadata", check=False)
    lab.remove_guest("s")


def make(lab: Lab, vm: str, on: str = "h1", **more: object) -> None:
    options = {"memory": 128, "work": 16, "disk": "16M", "records": 20, **more}
    lab.guest(vm, on, **options)


def define(lab: Lab, vm: str, on: str, *changes: tuple[str, str], start: bool = True) -> None:
    xml = lab.virsh(on, "dumpxml", "--inactive", vm)
    for old, new in changes:
        assert old in xml, (old, xml)
        xml = xml.replace(old, new, 1)
    lab.path(on, f"/run/{vm}.xml").write_text(xml)
    lab.virsh(on, "destroy", vm, check=False)
    lab.virsh(on, "define", f"/run/{vm}.xml")
    if start:
        lab.virsh(on, "start", vm)
        lab.wait_answer(vm)


def make_uefi(lab: Lab, vm: str, on: str) -> None:
    """
    With UEFI variables and a TPM. The kernel is given directly, the firmware starts it. Of the variables'
    template and directory the other host has nothing.
    """
    lab.run(on, "cp", "/usr/share/OVMF/OVMF_VARS_4M.fd", TEMPLATE)
    for other in lab.hosts:
        if other != on:
            lab.run(other, "rm", "-rf", NVRAM)
    make(lab, vm, on, memory=192)
    define(lab, vm, on, ("</type>", "</type><loader readonly='yes' type='pflash'>"
                         "/usr/share/OVMF/OVMF_CODE_4M.fd</loader>"
                         f"<nvram template='{TEMPLATE}'>{NVRAM}/{vm}.fd</nvram>"),
           ("<devices>", "<devices>" + TPM))


def tpm_files(lab: Lab, on: str, vm: str) -> list[str]:
    uuid = lab.virsh(next(h for h in lab.hosts if lab.where(vm) == [h]), "domuuid", vm)
    root = lab.path(on, f"{SWTPM}/{uuid}")
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()
                  and p.name != ".lock") if root.is_dir() else []


def test_uefi_and_tpm(lab: Lab, vm: str) -> None:
    make_uefi(lab, vm, "h1")
    assert tpm_files(lab, "h1", vm)
    for source, target in (("h1", "h2"), ("h2", "h1")):
        nvram = lab.path(source, f"{NVRAM}/{vm}.fd").read_bytes()
        with lab.watching(vm) as watch:
            migrate(lab, source, vm, target)
        watch.assert_unharmed()
        assert lab.path(target, f"{NVRAM}/{vm}.fd").read_bytes() == nvram
        assert tpm_files(lab, target, vm)
        # Nothing stale is left that a later move back could meet.
        assert not lab.path(source, f"{NVRAM}/{vm}.fd").exists()
        assert not tpm_files(lab, source, vm)
    # It can still start from what arrived.
    lab.virsh("h1", "destroy", vm)
    lab.virsh("h1", "start", vm)
    lab.wait_answer(vm, 90)

    # A failed move leaves no variables behind; those of another stay are not overwritten.
    lab.rate("30mbit")
    move = lab.begin(vm, "h1", "h2")
    move.until("copying-disks", "copying-memory", wire_bytes=1 << 20)
    lab.drover("h1", "cancel", move.job)
    assert move.wait().code != 0
    lab.rate("none")
    assert not lab.path("h2", f"{NVRAM}/{vm}.fd").exists()
    assert not tpm_files(lab, "h2", vm)
    lab.path("h2", f"{NVRAM}/{vm}.fd").write_bytes(b"old")
    assert f"{NVRAM}/{vm}.fd" in refused(lab, "h1", vm, "h2")
    lab.path("h2", f"{NVRAM}/{vm}.fd").unlink()

    # And shut off, with both.
    lab.virsh("h1", "destroy", vm)
    nvram = lab.path("h1", f"{NVRAM}/{vm}.fd").read_bytes()
    files = tpm_files(lab, "h1", vm)
    uuid = lab.virsh("h1", "domuuid", vm)
    state = {f: lab.path("h1", f"{SWTPM}/{uuid}/{f}").read_bytes() for f in files}
    migrate(lab, "h1", vm, "h2", "--offline")
    assert lab.path("h2", f"{NVRAM}/{vm}.fd").read_bytes() == nvram
    assert {f: lab.path("h2", f"{SWTPM}/{uuid}/{f}").read_bytes()
            for f in tpm_files(lab, "h2", vm)} == state
    assert not lab.path("h1", f"{NVRAM}/{vm}.fd").exists() and not tpm_files(lab, "h1", vm)
    lab.virsh("h2", "start", vm)
    lab.wait_answer(vm, 90)


def test_flags_words_and_checkpoints(lab: Lab, vm: str) -> None:
    make(lab, vm, disk_format="qcow2")
    define(lab, vm, "h1", ("<memory", "<title>The shop</title><description>sells things</description>"
                           "<metadata><x:y xmlns:x='http://example.org/x'>kept</x:y></metadata><memory"))
    lab.virsh("h1", "autostart", vm)
    lab.virsh("h1", "destroy", vm)
    # A version that can hold bitmaps.
    lab.run("h1", "qemu-img", "amend", "-f", "qcow2", "-o", "compat=1.1", f"{IMAGES}/{vm}.qcow2")
    lab.virsh("h1", "start", vm)
    lab.wait_answer(vm)
    lab.virsh("h1", "checkpoint-create-as", vm, "monday")
    lab.virsh("h1", "checkpoint-create-as", vm, "tuesday")
    with lab.watching(vm) as watch:
        migrate(lab, "h1", vm, "h2")
    watch.assert_unharmed()
    assert "Autostart:      enable" in lab.virsh("h2", "dominfo", vm)
    assert lab.virsh("h2", "desc", vm, "--title") == "The shop"
    assert lab.virsh("h2", "desc", vm) == "sells things"
    assert "kept" in lab.virsh("h2", "metadata", vm, "http://example.org/x")
    assert lab.virsh("h2", "checkpoint-list", vm, "--name").split() == ["monday", "tuesday"]
    assert "monday" in lab.virsh("h2", "checkpoint-parent", vm, "tuesday")
    # The bitmap is there, too: an incremental backup since then can be begun.
    lab.run("h2", "install", "-d", "-o", "libvirt-qemu", "/run/backup")
    lab.path("h2", "/run/backup.xml").write_text(
        "<domainbackup mode='pull'><incremental>tuesday</incremental>"
        "<server transport='unix' socket='/run/backup/socket'/></domainbackup>")
    lab.virsh("h2", "backup-begin", vm, "/run/backup.xml")
    lab.virsh("h2", "domjobabort", vm)


def test_a_transient_vm(lab: Lab, vm: str) -> None:
    make(lab, vm)
    lab.virsh("h1", "undefine", vm)
    with lab.watching(vm) as watch:
        migrate(lab, "h1", vm, "h2")
    watch.assert_unharmed()
    assert lab.where(vm) == ["h2"]
    assert vm in lab.virsh("h2", "list", "--transient", "--name").split()


def test_snapshots_are_refused_live(lab: Lab, vm: str) -> None:
    make(lab, vm, disk_format="qcow2", memory=128)
    lab.virsh("h1", "destroy", vm)
    lab.virsh("h1", "snapshot-create-as", vm, "before")
    lab.virsh("h1", "start", vm)
    message = refused(lab, "h1", vm, "h2")
    assert "snapshot" in message and "--offline" in message
    lab.virsh("h1", "destroy", vm)
    lab.virsh("h1", "snapshot-delete", vm, "before")


def test_networks_by_other_names(lab: Lab, vm: str) -> None:
    """A bridge that the target lacks is named; mapped, the VM arrives on the other one, for good."""
    make(lab, vm, records=0)
    card = ("<interface type='bridge'><mac address='52:54:00:00:77:01'/><source bridge='second'/>"
            "<model type='virtio'/></interface>")
    lab.run("h1", "ip", "link", "add", "second", "type", "bridge")
    lab.run("h2", "ip", "link", "add", "other", "type", "bridge")
    for on, bridge in (("h1", "second"), ("h2", "other")):
        lab.run(on, "ip", "link", "set", bridge, "up")
    try:
        add_devices(lab, vm, "h1", card)
        message = refused(lab, "h1", vm, "h2")
        assert "second" in message and "--map-network second=" in message
        assert "nowhere" in refused(lab, "h1", vm, "h2", "--map-network", "second=nowhere")
        assert "br9" in refused(lab, "h1", vm, "h2", "--map-network", "second=other",
                                "--map-network", "br9=other")
        with lab.watching(vm) as watch:
            migrate(lab, "h1", vm, "h2", "--map-network", "second=other")
        watch.assert_unharmed()
        for words in ([], ["--inactive"]):
            xml = lab.virsh("h2", "dumpxml", *words, vm)
            assert "bridge='other'" in xml and "second" not in xml and "bridge='br0'" in xml
        assert "other" in lab.run("h2", "sh", "-c", "ls -d /sys/class/net/other/brif/vnet*").out
    finally:
        lab.virsh("h2", "destroy", vm, check=False)
        lab.run("h1", "ip", "link", "del", "second")
        lab.run("h2", "ip", "link", "del", "other")


def test_its_address_is_announced_and_hooks_run(lab: Lab, vm: str) -> None:
    make(lab, vm)
    hooks = lab.path("h2", "/etc/drover/hooks/arrived.d")
    hooks.mkdir(parents=True)
    (hooks / "10-tell").write_text("#!/bin/sh\nenv | grep -E '^DROVER_(VM|UUID|SOURCE|TARGET|METHOD|MACS)=' > /run/t\n"
                                  "mv /run/t /run/told\n")
    (hooks / "10-tell").chmod(0o755)
    (hooks / "20-fails").write_text("#!/bin/sh\necho the switch is away >&2\nexit 1\n")
    (hooks / "20-fails").chmod(0o755)
    (hooks / "30-not").write_text("#!/bin/sh\ntouch /run/not\n")
    mac = bytes.fromhex(names.guest_mac(vm).replace(":", ""))
    seen: list[float] = []
    stop = threading.Event()
    raw = lab.in_netns("lan", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                                                   socket.htons(0x0003)))
    raw.bind(("h2", 0))
    raw.settimeout(0.2)

    def listen() -> None:
        while not stop.is_set():
            try:
                frame = raw.recv(2000)
            except OSError:
                continue
            if frame[6:12] == mac and frame[:6] == b"\xff" * 6:
                seen.append(time.monotonic())

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        migrate(lab, "h1", vm, "h2")
        wait_until(lambda: seen, "the guest's address is announced from h2")
        wait_until(lab.path("h2", "/run/told").exists, "the hook has run")
    finally:
        stop.set()
        thread.join()
        raw.close()
    told = dict(line.split("=", 1) for line in
                lab.path("h2", "/run/told").read_text().splitlines())
    assert told.pop("DROVER_METHOD") in ("auto", "pre-copy")
    assert told == {"DROVER_VM": vm, "DROVER_UUID": lab.virsh("h2", "domuuid", vm),
                    "DROVER_SOURCE": "h1", "DROVER_TARGET": "h2",
                    "DROVER_MACS": names.guest_mac(vm)}
    wait_until(lambda: "the switch is away" in lab.log("h2").read_text(), "the failure is logged")
    assert not lab.path("h2", "/run/not").exists()
    for file in hooks.iterdir():
        file.unlink()
    hooks.rmdir()


def test_missing_firmware_and_devices_are_named(lab: Lab, vm: str) -> None:
    """Everything at once: a host directory, a bridge, an image in the way."""
    make(lab, vm)
    lab.path("h2", f"{IMAGES}/{vm}.raw").write_bytes(b"in the way")
    lab.path("h1", f"{IMAGES}/{vm}-b.raw").write_bytes(os.urandom(4096))
    lab.run("h1", "ip", "link", "add", "lone", "type", "bridge")
    lab.run("h1", "ip", "link", "set", "lone", "up")
    try:
        add_devices(lab, vm, "h1", disk_xml("vdb", f"{IMAGES}/{vm}-b.raw", extra="<shareable/>"),
                    "<interface type='bridge'><source bridge='lone'/><model type='virtio'/></interface>",
                    "<filesystem type='mount' accessmode='mapped'><source dir='/srv'/>"
                    "<target dir='tag'/></filesystem>")
        message = refused(lab, "h1", vm, "h2")
        for word in ("tag", "/srv", "lone", f"{vm}.raw", "vdb", "shareable"):
            assert word in message, message
    finally:
        lab.virsh("h1", "destroy", vm, check=False)
        lab.run("h1", "ip", "link", "del", "lone")
