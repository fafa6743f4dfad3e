# SPDX-License-Identifier: Apache-2.0
"""The test bed: a lab of two hosts whose QEMUs have certificates, and a witness guest."""
import argparse
import contextlib
import json
import shutil
from pathlib import Path
from typing import Iterator

from drover_lab import host, names, state, tools
from drover_lab.errors import LabError
from drover_lab.shell import run

LAB = str(tools.LAB / "lab")
VM = "web1"
HOSTS = ("h1", "h2")
CERTIFICATES = "/etc/libvirt/bench-pki"  # as the hosts see it
CA_TEMPLATE = 'cn = "throw-away authority of bench/move"\nca\ncert_signing_key\n'
NODE_TEMPLATE = """\
cn = "{name}"
dns_name = "{name}"
ip_address = "{address}"
tls_www_server
tls_www_client
signing_key
encryption_key
"""


@contextlib.contextmanager
def lab(name: str, rate: str, with_drover: bool, keep: bool) -> Iterator[None]:
    run(LAB, "up", name, "--hosts", str(len(HOSTS)), "--rate", rate,
        *([] if with_drover else ["--no-drover"]))
    try:
        if with_drover:
            _let_disks_in(name)
        yield
    finally:
        if not keep:
            run(LAB, "down", name)


def _let_disks_in(name: str) -> None:
    """Disks of Debians are behind sockets in the lab's own directory, where no images of VMs are looked for."""
    for h in HOSTS:
        rules = host.root(name, h) / "etc/drover/admission"
        rules.parent.mkdir(parents=True, exist_ok=True)
        rules.write_text(f"directory {state.lab_dir(name)}\n")


def drover(name: str, *words: str) -> str:
    """Says something to Drover, on the first host."""
    return run(*host.enter(name, HOSTS[0]), str(tools.drover("drover")), *words)


def _certtool(*argv: str) -> None:
    if shutil.which("certtool") is None:
        raise LabError("certtool is not installed: install the package gnutls-bin, or leave "
                       "virsh --tls out (--ways plain,drover)")
    run("certtool", "--sec-param", "medium", *argv)


def enable_tls(name: str, scratch: Path) -> None:
    """What `virsh migrate --tls` needs: an authority, a certificate for each host, a setting."""
    ca_key, ca, template = scratch / "ca-key.pem", scratch / "ca-cert.pem", scratch / "template"
    _certtool("--generate-privkey", "--outfile", str(ca_key))
    template.write_text(CA_TEMPLATE)
    _certtool("--generate-self-signed", "--load-privkey", str(ca_key), "--template",
              str(template), "--outfile", str(ca))
    for h in HOSTS:
        here = host.root(name, h) / CERTIFICATES.lstrip("/")
        here.mkdir(mode=0o750)
        key, certificate = here / "server-key.pem", here / "server-cert.pem"
        _certtool("--generate-privkey", "--outfile", str(key))
        template.write_text(NODE_TEMPLATE.format(name=h, address=names.host_address(h)))
        _certtool("--generate-certificate", "--load-privkey", str(key), "--load-ca-certificate",
                  str(ca), "--load-ca-privkey", str(ca_key), "--template", str(template),
                  "--outfile", str(certificate))
        shutil.copy(ca, here)
        shutil.copy(key, here / "client-key.pem")
        shutil.copy(certificate, here / "client-cert.pem")
        for file in (here, *here.iterdir()):
            shutil.chown(file, group="libvirt-qemu")
            file.chmod(0o750 if file == here else 0o640)
        with open(host.root(name, h) / "etc/libvirt/qemu.conf", "a", encoding="utf-8") as conf:
            conf.write(f'migrate_tls_x509_cert_dir = "{CERTIFICATES}"\n')
        run(LAB, "service", name, h, "libvirtd", "restart")


def warm_up(name: str) -> None:
    """libvirtd asks each QEMU that it meets what it can do: seconds, once in a host's life."""
    for h in HOSTS:
        run("virsh", "-c", host.uri(name, h), "capabilities")


def start_guest(name: str, on: str, args: argparse.Namespace) -> str:
    """Returns how it is run: "kvm" or "tcg"."""
    said = run(LAB, "guest", name, VM, "--host", on, "--memory", str(args.memory),
               "--work", str(args.work), "--dirty", str(args.dirty), "--compress",
               str(args.compress), "--vcpus", str(args.vcpus), "--disk", args.disk,
               "--dirty-log", "fast", "--json")
    return str(json.loads(said)["accel"])


def remove_guest(name: str, at: str) -> None:
    run("virsh", "-c", host.uri(name, at), "destroy", VM)
    run("virsh", "-c", host.uri(name, at), "undefine", VM)
    forget_disk(name, at)


def forget_disk(name: str, at: str) -> None:
    """virsh leaves the disk behind that it has copied; every copy shall begin with none."""
    uri = host.uri(name, at)
    if f"{VM}.raw" in run("virsh", "-c", uri, "vol-list", "default").split():
        run("virsh", "-c", uri, "vol-delete", f"{VM}.raw", "--pool", "default")
