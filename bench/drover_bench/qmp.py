# SPDX-License-Identifier: Apache-2.0
"""
A guest that libvirt does not know of, and its moves by QMP alone: multifd with zstd, the best
that QEMU offers by itself and libvirt 9.0 cannot ask for. The QEMUs run in the lab's hosts.
"""
import contextlib
import json
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Optional

from drover_lab import guest, host, image, names, net
from drover_lab.errors import LabError
from drover_lab.shell import wait_until

from .bed import HOSTS
from .guests import Boot, Guest, Spec, boot

PORT = 49300
CHANNELS, ZSTD_LEVEL = 4, 1
UNLIMITED = 1 << 40  # bytes/s; libvirt says the same: no limit
POLL_S = 0.02
CAPABILITIES = [{"capability": "multifd", "state": True}]
PARAMETERS = {"multifd-channels": CHANNELS, "multifd-compression": "zstd",
              "multifd-zstd-level": ZSTD_LEVEL, "max-bandwidth": UNLIMITED}


class Qemu:
    """One QEMU process in a host, and its QMP connection."""

    def __init__(self, lab: str, on: str, vm: str, b: Boot, scratch: Path, console: Path,
                 incoming: bool) -> None:
        self.lab, self.on, self.tap = lab, on, f"t-{vm}"
        netns = names.host_netns(lab, on)
        net.in_netns(netns, "ip", "tuntap", "add", self.tap, "mode", "tap")
        net.in_netns(netns, "ip", "link", "set", self.tap, "master", "br0", "up")
        path = scratch / f"{vm}-{on}.qmp"
        path.unlink(missing_ok=True)
        self.log = scratch / f"{vm}-{on}.log"
        disk = ["-blockdev", "driver=nbd,node-name=disk,server.type=unix,cache.direct=on,"
                f"server.path={b.disk}", "-device", "virtio-blk-pci,drive=disk"] if b.disk else []
        memory = f"{guest.exact_kib(b.memory_mib)}K" if b.exact else f"{b.memory_mib}M"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*host.enter(lab, on), image.QEMU, "-name", f"guest={vm}",
                 "-machine", f"q35,accel={b.accel},usb=off", "-cpu", "qemu64",
                 "-m", f"size={memory}", "-smp", str(b.vcpus), "-nodefaults", "-no-user-config",
                 "-display", "none", "-kernel", str(b.kernel), "-initrd", str(b.initramfs),
                 "-append", f"console=ttyS0 quiet panic=1 tsc=unstable {b.cmdline}", *disk,
                 "-netdev", f"tap,id=net,ifname={self.tap},script=no,downscript=no",
                 "-device", f"virtio-net-pci,netdev=net,mac={names.guest_mac(vm)}",
                 "-device", "virtio-balloon-pci", "-object",
                 "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng",
                 "-serial", f"file:{console}", "-qmp", f"unix:{path},server=on,wait=off",
                 *(["-incoming", "defer"] if incoming else [])],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.socket = socket.socket(socket.AF_UNIX)
        wait_until(lambda: self._connected(path), 30, f"QMP of {vm} on {on} (see {self.log})")
        self.lines = self.socket.makefile()
        self.lines.readline()  # the greeting
        self.ask("qmp_capabilities")

    def _connected(self, path: Path) -> bool:
        if self.process.poll() is not None:
            raise LabError(f"QEMU on {self.on} ended at once: {self.log.read_text().strip()}")
        with contextlib.suppress(OSError):
            self.socket.connect(str(path))
            return True
        return False

    def ask(self, command: str, **arguments: Any) -> Any:
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        for line in self.lines:
            answer = json.loads(line)
            if "error" in answer:
                raise LabError(f"QEMU on {self.on}: {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
        raise LabError(f"QEMU on {self.on} ended: {self.log.read_text().strip()}")

    def end(self) -> None:
        with contextlib.suppress(OSError, LabError):
            self.ask("quit")
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()  # nsenter; the host's end takes QEMU along
            self.process.wait()
        self.lines.close()
        self.socket.close()
        net.in_netns(names.host_netns(self.lab, self.on), "ip", "link", "del", self.tap,
                     check=False)


class QmpGuest(Guest):
    def __init__(self, lab: str, vm: str, spec: Spec, exact: bool, scratch: Path) -> None:
        super().__init__(lab, vm, spec, exact)
        self.scratch = scratch
        self.qemu: Optional[Qemu] = None
        self.boot: Optional[Boot] = None

    def _qemu(self, on: str, incoming: bool) -> Qemu:
        assert self.boot
        return Qemu(self.lab, on, self.vm, self.boot, self.scratch, self._console(on), incoming)

    def start(self) -> None:
        self.at = HOSTS[0]
        self.boot = boot(self.lab, self.vm, self.spec, self.exact)
        self.qemu = self._qemu(self.at, incoming=False)
        self.wait_ready()

    def suspend(self) -> None:
        assert self.qemu
        self.qemu.ask("stop")

    def resume(self) -> None:
        assert self.qemu
        self.qemu.ask("cont")

    def remove(self) -> None:
        if self.qemu:
            self.qemu.end()
            self.qemu = None
        self.forget_files()

    def move(self, target: str, allowed_pause_ms: int, limit_s: float) -> dict[str, Any]:
        """Returns QEMU's own figures, or {"outcome": why not}."""
        assert self.qemu
        there = self._qemu(target, incoming=True)
        for qemu in (self.qemu, there):
            qemu.ask("migrate-set-capabilities", capabilities=CAPABILITIES)
            qemu.ask("migrate-set-parameters", **PARAMETERS)
        self.qemu.ask("migrate-set-parameters", **{"downtime-limit": allowed_pause_ms})
        uri = f"tcp:{names.host_address(target)}:{PORT}"
        there.ask("migrate-incoming", uri=uri)
        self.qemu.ask("migrate", uri=uri)
        deadline = time.monotonic() + limit_s
        given_up = False
        while True:
            job = self.qemu.ask("query-migrate")
            if job.get("status") in ("completed", "failed", "cancelled"):
                break
            if time.monotonic() > deadline and not given_up:
                self.qemu.ask("migrate_cancel")
                given_up = True
            time.sleep(POLL_S)
        if job["status"] != "completed":
            there.end()
            return {"outcome": "gave up" if given_up
                    else f"failed: {job.get('error-desc', 'no reason')}"}
        wait_until(lambda: there.ask("query-status")["status"] == "running", 30,
                   f"{self.vm} running on {target}")
        self.qemu.end()
        self.qemu, self.at = there, target
        return {"outcome": "done", "job_ms": job["total-time"], "pause_ms": job["downtime"],
                "qemu_bytes": job["ram"]["transferred"], "rounds": job["ram"]["dirty-sync-count"]}
