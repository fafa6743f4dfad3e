# SPDX-License-Identifier: Apache-2.0
"""
The ways to move that are compared, as command lines.

All take the VM's definition along (libvirt's PERSIST_DEST and UNDEFINE_SOURCE), because
Drover does. virsh's connection from libvirtd to libvirtd goes over a unix socket of the
machine instead of over the link, which is the quickest that it can have; memory and disks go
over the link.
"""
from drover_lab import host, names, tools

LABEL = {"plain": "virsh", "tls": "virsh --tls", "drover": "drover"}


def _virsh(lab: str, vm: str, target: str, with_disk: bool, *extra: str) -> list[str]:
    return ["virsh", "-c", "qemu:///system", "migrate", "--live", "--p2p", "--persistent",
            "--undefinesource", *extra, *(["--copy-storage-all"] if with_disk else []), vm,
            host.uri(lab, target), "--migrateuri", f"tcp://{names.host_address(target)}"]


def command(way: str, lab: str, vm: str, target: str, with_disk: bool) -> list[str]:
    """What is run on the source."""
    if way == "drover":
        return [str(tools.drover("drover")), "migrate", "--json", vm, target]
    return _virsh(lab, vm, target, with_disk, *(["--tls"] if way == "tls" else []))
