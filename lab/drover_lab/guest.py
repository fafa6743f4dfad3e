# SPDX-License-Identifier: Apache-2.0
"""Witness guests: their definition, their start, and whether they answer."""
import argparse
import re
import socket
import time
from typing import Any
from xml.sax.saxutils import escape

from . import host, image, names, net, state
from .errors import LabError
from .shell import run

PORT = 7000
WAIT_SECONDS = 120
DOMAIN_XML = """\
<domain type='{type}' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>{vm}</name>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>{vcpus}</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initramfs}</initrd>
    <cmdline>console=ttyS0 quiet panic=1 tsc=unstable {cmdline}</cmdline>
  </os>
  <features><acpi/><apic/></features>
  <cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>
  <on_reboot>restart</on_reboot>
  <on_crash>restart</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
{disk}    <controller type='usb' model='none'/>
    <interface type='bridge'>
      <mac address='{mac}'/>
      <source bridge='br0'/>
      <model type='virtio'/>
    </interface>
    <serial type='file'><source path='{console}' append='on'/></serial>
    <memballoon model='virtio'><stats period='2'/></memballoon>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
  </devices>
{memory_xml}</domain>
"""
# QEMU 7.2's emulation loses writes in a move: where a memory block is a multiple of 256 KiB,
# the synchronisation of the dirty bitmap clears bits without telling the emulated TLBs
# (cpu_physical_memory_sync_dirty_bitmap; partly repaired in 9.0). For any other size it goes
# page by page and does tell them. libvirt rounds sizes up to 1 MiB, so the memory is given
# to QEMU directly, two pages smaller.
EXACT_XML = """\
  <qemu:commandline>
    <qemu:arg value='-object'/><qemu:arg value='memory-backend-ram,id=lab.ram,size={kib}K'/>
    <qemu:arg value='-machine'/><qemu:arg value='memory-backend=lab.ram'/>
    <qemu:arg value='-m'/><qemu:arg value='size={kib}K'/>
  </qemu:commandline>
"""
DISK_XML = """\
    <disk type='file' device='disk'>
      <driver name='qemu' type='{format}' cache='none'/>
      <source file='/var/lib/libvirt/images/{volume}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
"""


def exact_kib(memory_mib: int) -> int:
    """Two pages less than a multiple of 256 KiB."""
    return memory_mib * 1024 - 8


def add_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("--host", required=True, help="where it starts, e.g. h1")
    p.add_argument("--memory", type=int, default=256, metavar="MIB", help="default 256")
    p.add_argument("--vcpus", type=int, default=1, metavar="N", help="default 1")
    p.add_argument("--disk", default="256M", metavar="SIZE",
                   help="e.g. 1G; 0 for no disk (default 256M)")
    p.add_argument("--disk-format", choices=["raw", "qcow2"], default="raw", help="default raw")
    p.add_argument("--work", type=int, metavar="MIB",
                   help="memory that it fills and checks (default: a quarter of --memory)")
    p.add_argument("--dirty", type=int, default=0, metavar="MIB/S",
                   help="how much of it is rewritten a second (default 0)")
    p.add_argument("--compress", type=int, default=50, metavar="PERCENT",
                   help="how much of each page of it is compressible (default 50)")
    p.add_argument("--records", type=int, default=10, metavar="N",
                   help="records written to the disk a second (default 10)")
    p.add_argument("--busy", action="store_true", help="keep a processor busy all the time")
    p.add_argument("--dirty-log", choices=["exact", "fast"], default="exact",
                   help="how emulation follows what is written during a move: exact loses nothing "
                        "but stands still at its beginning, about 1 s a GiB; fast does not, and "
                        "may lose a write on a busy machine (default exact)")
    p.add_argument("--json", action="store_true")


def running(lab: str, on: str) -> list[str]:
    """Names of the guests that run on the host; empty if libvirtd does not answer."""
    return run("virsh", "-c", host.uri(lab, on), "list", "--name", check=False).split()


def parse_size(text: str) -> int:
    """'256M', '1G' in bytes; '0' is none."""
    match = re.fullmatch(r"([0-9]+)([MG]?)(iB)?", text)
    size = int(match[1]) * {"": 1, "M": 1 << 20, "G": 1 << 30}[match[2]] if match else -1
    if size != 0 and size < 1 << 20:
        raise LabError(f"size '{text}' is not understood: say 256M or 1G (at least 1M), or 0")
    return size


def _check(args: argparse.Namespace) -> None:
    names.check_guest(args.vm)
    if args.memory < 96:
        raise LabError(f"--memory {args.memory}: the guest's kernel needs at least 96 MiB")
    work = args.memory // 4 if args.work is None else args.work
    if not 0 <= work <= args.memory - 80:
        raise LabError(f"--work {work}: at most --memory less 80 MiB, {args.memory - 80} here")
    args.work = work
    for option, low, high in (("vcpus", 1, 64), ("dirty", 0, 100000), ("compress", 0, 100),
                              ("records", 0, 1000)):
        value = getattr(args, option)
        if not low <= value <= high:
            raise LabError(f"--{option} {value}: must be from {low} to {high}")
    if args.dirty and not args.work:
        raise LabError("--dirty needs --work: there is no memory to rewrite")


def _cmdline(args: argparse.Namespace, address: str, accel: str) -> str:
    # The other cure for the emulation's lost writes, nearly as good: lab/witness/guest.c.
    flush_ms = 2 if accel == "tcg" and args.dirty_log == "fast" else 0
    return (f"witness.address={address}/{names.PREFIX} witness.work={args.work} "
            f"witness.dirty={args.dirty} witness.compress={args.compress} "
            f"witness.records={args.records} witness.busy={int(args.busy)} "
            f"witness.flush={flush_ms}")


def answers(lab: str, address: str, seconds: float) -> bool:
    """Asks the guest until it answers."""
    def ask() -> bool:
        deadline = time.monotonic() + seconds
        with socket.socket(type=socket.SOCK_DGRAM) as s:
            s.settimeout(0.1)
            while time.monotonic() < deadline:
                try:
                    s.sendto(b"ping 1\n", (address, PORT))
                    s.recv(1500)
                    return True
                except OSError:  # no answer, or no route yet
                    pass
        return False
    return net.call_in(names.lan_netns(lab), ask)


def create(args: argparse.Namespace) -> dict[str, Any]:
    """Defines and starts the guest; it answers when this returns."""
    _check(args)
    lab, on, vm, size = args.name, args.host, args.vm, parse_size(args.disk)
    with state.changed(lab) as data:
        if vm in data["guests"]:
            # It may be gone since: libvirt knows.
            for h in data["hosts"]:
                if host.is_up(lab, h) and vm in run("virsh", "-c", host.uri(lab, h), "list",
                                                    "--all", "--name").split():
                    raise LabError(f"there is a guest {vm} on {h} already")
        address = names.guest_address(vm)
        twin = next((g for g, d in data["guests"].items()
                     if d["address"] == address and g != vm), None)
        if twin:
            raise LabError(f"the names {vm} and {twin} give the same address: take another")
        data["guests"][vm] = {"address": address}
    made = image.image()
    accel = image.accel(made)
    disk = ""
    if size:
        volume = f"{vm}.{args.disk_format}"
        run("virsh", "-c", host.uri(lab, on), "vol-create-as", "default", volume, str(size),
            "--format", args.disk_format)
        disk = DISK_XML.format(format=args.disk_format, volume=volume)
    xml = DOMAIN_XML.format(
        type="kvm" if accel == "kvm" else "qemu", vm=vm, memory=args.memory,
        memory_xml=(EXACT_XML.format(kib=exact_kib(args.memory))
                    if accel == "tcg" and args.dirty_log == "exact" else ""), vcpus=args.vcpus,
        kernel=made.kernel, initramfs=made.initramfs, cmdline=escape(_cmdline(args, address, accel)),
        disk=disk, mac=names.guest_mac(vm), console=f"{host.CONSOLE_DIR}/{vm}.log")
    definition = host.root(lab, on) / "run" / f"{vm}.xml"
    definition.write_text(xml)
    run("virsh", "-c", host.uri(lab, on), "define", str(definition))
    begun = time.monotonic()
    run("virsh", "-c", host.uri(lab, on), "start", vm)
    if not answers(lab, address, WAIT_SECONDS):
        console = host.root(lab, on) / f"{host.CONSOLE_DIR}/{vm}.log".lstrip("/")
        raise LabError(f"guest {vm} does not answer at {address} after {WAIT_SECONDS} s: "
                       f"see what it says in {console}")
    return {"name": vm, "host": on, "address": address, "accel": accel,
            "boot_s": round(time.monotonic() - begun, 3)}
