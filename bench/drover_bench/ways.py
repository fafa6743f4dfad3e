# SPDX-License-Identifier: Apache-2.0
"""
The ways to move that are compared: their names, and those that are command lines.

All take the VM's definition along (libvirt's PERSIST_DEST and UNDEFINE_SOURCE), because
Drover does. virsh's connection from libvirtd to libvirtd goes over a unix socket of the
machine instead of over the link, which is the quickest that it can have; memory and disks go
over the link.
"""
from drover_lab import host, names, tools

LABEL = {
    "drover": "drover",
    "plain": "virsh",
    "qmp": "QEMU multifd+zstd",
    "tls": "virsh --tls",
    "parallel": "virsh --parallel",
    "mt": "virsh mt",
    "xbzrle": "virsh xbzrle",
    "plain20": "virsh at 20 ms",
    "rounds": "virsh, 12 rounds",
}
OPTIONS = {
    "plain": [],
    "plain20": [],  # its allowed pause is set before
    "rounds": [],  # so that it does not end, until it has made so many rounds
    "tls": ["--tls"],
    "parallel": ["--parallel", "--parallel-connections", "2"],
    "mt": ["--compressed", "--comp-methods", "mt"],
    "xbzrle": ["--compressed", "--comp-methods", "xbzrle"],
}
OF_BENCH_MOVE = ("plain", "tls", "drover")
DEFAULT_PAUSE_MS, SMALL_PAUSE_MS, NO_PAUSE_MS = 300, 20, 1
ROUNDS = 12


def allowed_pause_ms(way: str) -> int:
    """What virsh and QEMU are told; Drover chooses one itself."""
    return {"plain20": SMALL_PAUSE_MS, "rounds": NO_PAUSE_MS}.get(way, DEFAULT_PAUSE_MS)


def command(way: str, lab: str, vm: str, target: str, with_disk: bool,
            older: str = "") -> list[str]:
    """What is run on the source. `older`: an image of its vda that the target has."""
    if way == "drover":
        return [str(tools.drover("drover")), "migrate", "--json",
                *(["--disk-seed", f"vda={older}"] if older else []), vm, target]
    return ["virsh", "-c", "qemu:///system", "migrate", "--live", "--p2p", "--persistent",
            "--undefinesource", *OPTIONS[way], *(["--copy-storage-all"] if with_disk else []), vm,
            host.uri(lab, target), "--migrateuri", f"tcp://{names.host_address(target)}"]
