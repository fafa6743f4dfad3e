# SPDX-License-Identifier: Apache-2.0
"""
The guests of bench/run: what each is (a Spec), and one that libvirt runs. A Boot is what a
QEMU has to be told to run it, by libvirt or without: both get the same guest.
"""
import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union
from xml.sax.saxutils import escape

from drover_lab import guest, host, image, names, net
from drover_lab.errors import LabError
from drover_lab.shell import run, wait_until

from . import aged, debian
from .bed import HOSTS, LAB

ANSWER_S, READY_S = 120, 300
FLUSH_MS = 2  # see docs/lab.rst, "Emulation loses writes"
NBD_DISK_XML = """\
    <disk type='network' device='disk'>
      <driver name='qemu' type='raw' cache='none'/>
      <source protocol='nbd' name=''><host transport='unix' socket='{socket}'/></source>
      <target dev='vda' bus='virtio'/>
    </disk>
"""


@dataclass(frozen=True)
class Witness:
    """The lab's own guest: memory of which every byte is known. MiB, MiB/s, percent."""

    memory: int
    work: int
    dirty: int = 1
    compress: int = 50
    vcpus: int = 1
    disk: int = 0  # of random bytes, that moves along

    def __str__(self) -> str:
        return (f"witness of {self.memory} MiB, {self.work} filled ({self.compress} % "
                f"compressible), {self.dirty} MiB/s rewritten" +
                (f", a disk of {self.disk} MiB" if self.disk else ""))


@dataclass(frozen=True)
class Debian:
    """A real Debian with systemd; `load` is one of debian.LOADS, `rate` its operations a second."""

    load: str
    memory: int = 1024
    rate: int = 100
    vcpus: int = 1
    local: bool = False  # its disk is a qcow2 of its host's, which moves along

    def __str__(self) -> str:
        how = f", {self.rate} operations a second" if self.load != "idle" else ""
        where = ", a local disk" if self.local else ""
        return f"Debian of {self.memory} MiB, {debian.LOADS[self.load]}{how}{where}"


Spec = Union[Witness, Debian]


def described(spec: Spec) -> dict[str, Any]:
    return {"kind": type(spec).__name__.lower(), **asdict(spec)}


class Boot(NamedTuple):
    memory_mib: int
    vcpus: int
    kernel: Path
    initramfs: Path
    cmdline: str
    disk: Optional[Path]  # NBD socket
    accel: str
    exact: bool  # loses no writes under emulation; see docs/lab.rst


def boot(lab: str, vm: str, spec: Spec, exact: bool) -> Boot:
    """Makes what is missing; a Debian's disk is its own, and served until the lab goes down."""
    made = image.image()
    accel = image.accel(made)
    exact = exact and accel == "tcg"
    flush = FLUSH_MS if accel == "tcg" and not exact else 0
    words = f"witness.address={names.guest_address(vm)}/{names.PREFIX} witness.flush={flush} "
    if isinstance(spec, Witness):
        return Boot(spec.memory, spec.vcpus, made.kernel, made.initramfs, words +
                    f"witness.work={spec.work} witness.dirty={spec.dirty} "
                    f"witness.compress={spec.compress} witness.records=0", None, accel, exact)
    system = debian.system()
    return Boot(spec.memory, spec.vcpus, system.kernel, system.initramfs, words +
                f"witness.work={debian.WITNESS_MIB} witness.records=0 bench.load={spec.load} "
                f"bench.rate={spec.rate}", None if spec.local else debian.serve(lab, vm, system),
                accel, exact)


class Guest:
    """A guest that runs. `at` is where."""

    def __init__(self, lab: str, vm: str, spec: Spec, exact: bool) -> None:
        self.lab, self.vm, self.spec, self.exact = lab, vm, spec, exact
        self.at = HOSTS[0]
        self.work_per_s = 0.0
        self.boot_id: Optional[str] = None

    def _console(self, on: str) -> Path:
        return host.root(self.lab, on) / f"{host.CONSOLE_DIR}/{self.vm}.log".lstrip("/")

    def wait_ready(self) -> None:
        """Until it answers and has its load, and it is known how much work it does undisturbed."""
        if not guest.answers(self.lab, names.guest_address(self.vm), ANSWER_S):
            raise LabError(f"guest {self.vm} does not answer: see {self._console(self.at)}")
        if isinstance(self.spec, Debian):
            ready = debian.READY.format(load=self.spec.load).encode()
            wait_until(lambda: ready in self._console(self.at).read_bytes(), READY_S,
                       f"guest {self.vm} with its load (see {self._console(self.at)})", 0.2)

    def status(self) -> dict[str, Any]:
        done = subprocess.run([LAB, "witness", self.lab, self.vm, "--status", "--timeout", "20"],
                              stdout=subprocess.PIPE, text=True, check=False)
        if not done.stdout:
            raise LabError(f"guest {self.vm} does not answer")
        return dict(json.loads(done.stdout))

    def errors(self) -> list[str]:
        """Has it check all its memory."""
        done = subprocess.run([LAB, "witness", self.lab, self.vm, "--verify", "--timeout", "120"],
                              stdout=subprocess.PIPE, text=True, check=False)
        return [] if done.returncode == 0 else [
            f"{self.vm}: at the end the guest says: {done.stdout.strip() or 'nothing'}"]

    def forget_files(self) -> None:
        for on in HOSTS:
            self._console(on).unlink(missing_ok=True)
        debian.unserve(self.lab, self.vm)

    def redis(self, *words: str) -> bytes:
        """One command to the Redis in the guest, from the switch. Returns its value, or status."""
        def ask() -> bytes:
            return debian.redis(names.guest_address(self.vm), *words)
        return bytes(net.call_in(names.lan_netns(self.lab), ask))


class LibvirtGuest(Guest):
    def start(self) -> None:
        self.at = HOSTS[0]
        b = boot(self.lab, self.vm, self.spec, self.exact)
        xml = guest.DOMAIN_XML.format(
            type="kvm" if b.accel == "kvm" else "qemu", vm=self.vm, memory=b.memory_mib,
            vcpus=b.vcpus, kernel=b.kernel, initramfs=b.initramfs, cmdline=escape(b.cmdline),
            disk=NBD_DISK_XML.format(socket=b.disk) if b.disk else self._own_disk(),
            memory_xml=guest.EXACT_XML.format(kib=guest.exact_kib(b.memory_mib)) if b.exact else "",
            mac=names.guest_mac(self.vm), console=f"{host.CONSOLE_DIR}/{self.vm}.log")
        definition = host.root(self.lab, self.at) / "run" / f"{self.vm}.xml"
        definition.write_text(xml)
        self.virsh("define", str(definition))
        self.virsh("start", self.vm)
        self.wait_ready()

    def _own_disk(self) -> str:
        if not self.with_disk():
            return ""
        if isinstance(self.spec, Debian):
            aged.take(self.lab, self.at, self.vm, debian.system().disk)
            return aged.DISK_XML.format(path=aged.disk(self.vm), format="qcow2")
        aged.make(self.lab, self.at, self.vm, self.disk_mib())
        return aged.DISK_XML.format(path=aged.disk(self.vm), format="raw")

    def with_disk(self) -> bool:
        """Whether it has a disk that moves along."""
        return self.spec.local if isinstance(self.spec, Debian) else bool(self.spec.disk)

    def disk_mib(self) -> int:
        """Of a disk of which the target is given an older state."""
        return self.spec.disk if isinstance(self.spec, Witness) else 0

    def virsh(self, *words: str, check: bool = True) -> str:
        return run("virsh", "-c", host.uri(self.lab, self.at), *words, check=check)

    def suspend(self) -> None:
        self.virsh("suspend", self.vm)

    def resume(self) -> None:
        self.virsh("resume", self.vm)

    def remove(self) -> None:
        for on in HOSTS:
            for words in (("destroy", self.vm), ("undefine", self.vm)):
                run("virsh", "-c", host.uri(self.lab, on), *words, check=False)
        if self.with_disk():
            aged.remove(self.lab, self.vm)
        self.forget_files()
