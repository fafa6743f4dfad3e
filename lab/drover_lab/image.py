# SPDX-License-Identifier: Apache-2.0
"""
The guest's kernel and initramfs, made from Debian's packages (cloud kernel, busybox) and our
witness program, and whether guests can run under KVM on this machine. Both are cached.
"""
import fcntl
import gzip
import hashlib
import lzma
import os
import re
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Iterator, NamedTuple

from . import tools
from .errors import LabError
from .shell import run

KERNEL_PACKAGE = "linux-image-cloud-amd64"
BUSYBOX_PACKAGE = "busybox-static"
MODULES = ["virtio_pci", "virtio_net", "virtio_blk", "virtio-rng", "virtio_balloon", "evdev",
           "button"]
INIT = """\
#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t devtmpfs dev /dev
for m in $($bb cat /modules/order); do $bb insmod /modules/$m; done
for word in $($bb cat /proc/cmdline); do
    case $word in
    witness.probe=1) echo "witness: probe"; $bb poweroff -f ;;
    witness.address=*) $bb ip addr add ${word#witness.address=} dev eth0; $bb ip link set eth0 up ;;
    esac
done
exec /bin/witness-guest
"""
PROBE_SECONDS = 10
QEMU = "qemu-system-x86_64"


class Image(NamedTuple):
    kernel: Path
    initramfs: Path


def _module_dependencies(module: bytes) -> list[str]:
    match = re.search(rb"\0depends=([^\0]*)\0", b"\0" + module)
    return [d for d in match[1].decode().split(",") if d] if match else []


def _read_module(path: Path) -> bytes:
    return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()


def _modules(tree: Path, wanted: list[str]) -> list[tuple[str, bytes]]:
    """The modules and what they need, each after what it needs."""
    files = {re.sub(r"\.ko(\.xz)?$", "", p.name).replace("-", "_"): p
             for p in tree.rglob("*.ko*")}
    ordered: dict[str, bytes] = {}

    def add(name: str) -> None:
        name = name.replace("-", "_")
        if name in ordered:
            return
        if name not in files:
            raise LabError(f"the kernel package has no module {name}")
        content = _read_module(files[name])
        for needed in _module_dependencies(content):
            add(needed)
        ordered[name] = content

    for name in wanted:
        add(name)
    return [(f"{name}.ko", content) for name, content in ordered.items()]


def _cpio(entries: list[tuple[str, int, bytes]]) -> Iterator[bytes]:
    """An archive in the "newc" format that the kernel reads: (name, mode, content)."""
    for number, (name, mode, content) in enumerate(entries + [("TRAILER!!!", 0, b"")], 1):
        encoded = name.encode() + b"\0"
        fields = [number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0]
        header = b"070701" + b"".join(b"%08X" % f for f in fields) + encoded
        yield header + b"\0" * (-len(header) % 4)
        yield content + b"\0" * (-len(content) % 4)


def _initramfs(tree: Path, witness: Path, init: str, wanted: list[str]) -> bytes:
    modules = _modules(tree / "kernel", wanted)
    directories = ["bin", "dev", "proc", "modules"]
    entries = [(d, 0o040755, b"") for d in directories]
    entries.append(("init", 0o100755, init.encode()))
    busybox = next(p for p in (tree / "busybox/bin/busybox", tree / "busybox/usr/bin/busybox")
                   if p.exists())
    entries.append(("bin/busybox", 0o100755, busybox.read_bytes()))
    entries.append(("bin/witness-guest", 0o100755, witness.read_bytes()))
    entries.append(("modules/order", 0o100644, "\n".join(n for n, _ in modules).encode() + b"\n"))
    entries += [(f"modules/{name}", 0o100644, content) for name, content in modules]
    return gzip.compress(b"".join(_cpio(entries)), compresslevel=6)


def _fetch(package: str, into: Path) -> None:
    """Downloads a package with apt, as this machine is set up to, and unpacks it."""
    down = Path(tempfile.mkdtemp(dir=into.parent))
    down.chmod(0o755)
    done = subprocess.run(["apt-get", "-q", "download", package], cwd=down, text=True,
                          capture_output=True, stdin=subprocess.DEVNULL, check=False)
    found = list(down.glob("*.deb"))
    if done.returncode != 0 or len(found) != 1:
        raise LabError(f"cannot download the package {package} for the guest: "
                       f"{done.stderr.strip()}; run apt-get update and see that apt works")
    run("dpkg", "-x", str(found[0]), str(into))
    shutil.rmtree(down)


def _packages() -> Path:
    """The unpacked packages, fetched once."""
    target = tools.cache_dir() / "packages"
    if target.exists():
        return target
    fresh = Path(tempfile.mkdtemp(dir=tools.cache_dir(), prefix="packages."))
    try:
        depends = run("apt-cache", "depends", KERNEL_PACKAGE)
        concrete = re.search(r"Depends: (linux-image-\S+)", depends)
        if not concrete:
            raise LabError(f"apt knows no kernel behind {KERNEL_PACKAGE}: run apt-get update")
        _fetch(concrete[1], fresh / "kernel")
        _fetch(BUSYBOX_PACKAGE, fresh / "busybox")
        fresh.rename(target)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return target


def _locked() -> int:
    fd = os.open(tools.cache_dir() / "guest.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def image() -> Image:
    """Kernel and initramfs of the witness guest."""
    return made_of(tools.own("witness-guest"), INIT, MODULES)


def made_of(witness: Path, init: str, wanted: list[str]) -> Image:
    """
    Kernel, and an initramfs of busybox, that witness program, that script as its first program,
    and those modules. Made if it is not there or any of them is a new one.
    """
    digest = hashlib.sha256(witness.read_bytes() + init.encode() + " ".join(wanted).encode())
    target = tools.cache_dir() / f"guest-{digest.hexdigest()[:16]}"
    found = Image(target / "vmlinuz", target / "initramfs")
    if target.exists():
        return found
    lock = _locked()
    try:
        if target.exists():
            return found
        tree = _packages()
        fresh = Path(tempfile.mkdtemp(dir=tools.cache_dir(), prefix="guest."))
        fresh.chmod(0o755)
        kernel = next((tree / "kernel/boot").glob("vmlinuz-*"))
        shutil.copy(kernel, fresh / "vmlinuz")
        (fresh / "initramfs").write_bytes(_initramfs(tree, witness, init, wanted))
        for path in fresh.iterdir():
            path.chmod(0o644)
        fresh.rename(target)
        return found
    finally:
        os.close(lock)


def _boots_under_kvm(guest: Image) -> bool:
    """Really boots the guest under KVM."""
    process = subprocess.Popen(
        [QEMU, "-accel", "kvm", "-cpu", "qemu64", "-m", "128", "-nodefaults", "-no-reboot",
         "-display", "none", "-serial", "stdio", "-kernel", str(guest.kernel),
         "-initrd", str(guest.initramfs), "-append", "console=ttyS0 panic=-1 witness.probe=1"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/")
    assert process.stdout
    said = b""
    deadline = time.monotonic() + PROBE_SECONDS
    try:
        while b"witness: probe" not in said and time.monotonic() < deadline:
            if not select.select([process.stdout], [], [], deadline - time.monotonic())[0]:
                break
            more = os.read(process.stdout.fileno(), 4096)
            if not more:
                break
            said += more
    finally:
        process.kill()
        process.wait()
    return b"witness: probe" in said


def accel(guest: Image) -> str:
    """'kvm' or 'tcg'. A device node proves nothing: a guest is booted, once a machine's boot."""
    wanted = os.environ.get("DROVER_LAB_ACCEL", "auto")
    if wanted in ("kvm", "tcg"):
        return wanted
    if wanted != "auto":
        raise LabError(f"DROVER_LAB_ACCEL={wanted}: say kvm, tcg or auto")
    if not os.path.exists("/dev/kvm"):
        return "tcg"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    lock = _locked()
    try:
        answer = tools.cache_dir() / "accel"
        known = answer.read_text().split() if answer.exists() else []
        if len(known) == 2 and known[0] == boot:
            return known[1]
        result = "kvm" if _boots_under_kvm(guest) else "tcg"
        fresh = answer.with_suffix(".new")
        fresh.write_text(f"{boot} {result}\n")
        fresh.rename(answer)
        return result
    finally:
        os.close(lock)
