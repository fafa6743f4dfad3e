# SPDX-License-Identifier: Apache-2.0
"""
A real Debian as a guest: debootstrap's, with Redis and PostgreSQL, made once a machine and kept
in the lab's cache. Each guest has a disk of its own over the common image, served by qemu-nbd on
a unix socket: storage that both hosts share, and that is not on the link under test.
"""
import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from drover_lab import image, process, state, tools
from drover_lab.errors import LabError
from drover_lab.shell import run, wait_until

LOADS = {
    "idle": "idle with a warm page cache",
    "redis": "Redis under load, warm page cache",
    "postgres": "PostgreSQL under pgbench, warm page cache",
}
WITNESS_MIB = 16
READY = "bench: ready {load}\r\n"
REDIS_PORT = 6379
SUITE = "bookworm"
PACKAGES = ["systemd-sysv", "redis-server", "postgresql-15"]
MODULES = ["virtio_pci", "virtio_net", "virtio_blk", "virtio-rng", "virtio_balloon", "button",
           "evdev"]  # ext4 is in Debian's kernel
INSTALLED = [("load.pl", "usr/local/lib/bench-load", 0o755),
             ("witness.service", "etc/systemd/system/witness.service", 0o644),
             ("bench-load.service", "etc/systemd/system/bench-load.service", 0o644)]
DISK_BYTES = 3 << 30
PGBENCH_SCALE = 8  # 120 MB
FILES = Path(__file__).resolve().parent.parent / "debian"
CLUSTER = "/etc/postgresql/15/main/postgresql.conf"
PREPARE = f"""\
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mkdir -p /dev/shm && chmod 1777 /dev/shm
cat > /etc/postgresql/15/main/conf.d/bench.conf <<END
shared_buffers = 64MB
END
pg=/usr/lib/postgresql/15/bin
runuser -u postgres -- $pg/pg_ctl -w -s -D /var/lib/postgresql/15/main \\
    -o '-c config_file={CLUSTER} -c fsync=off -c listen_addresses=' -l /tmp/pg.log start
runuser -u postgres -- createdb bench
runuser -u postgres -- pgbench -q -i -s {PGBENCH_SCALE} bench 2>/dev/null
runuser -u postgres -- $pg/pg_ctl -w -s -D /var/lib/postgresql/15/main -m fast stop
sed -i -e 's/^bind .*/bind 0.0.0.0/' -e 's/^protected-mode .*/protected-mode no/' \\
    /etc/redis/redis.conf
echo 'save ""' >> /etc/redis/redis.conf
for unit in redis-server:redis postgresql@15-main:postgres postgresql:postgres; do
    mkdir -p /etc/systemd/system/${{unit%:*}}.service.d
    printf '[Unit]\\nConditionKernelCommandLine=bench.load=%s\\n' ${{unit#*:}} \\
        > /etc/systemd/system/${{unit%:*}}.service.d/bench.conf
done
systemctl -q enable witness.service bench-load.service redis-server.service
systemctl -q mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer \\
    dpkg-db-backup.timer systemd-networkd.service getty@tty1.service serial-getty@ttyS0.service
echo '/dev/vda / ext4 defaults 0 0' > /etc/fstab
echo bench > /etc/hostname
rm -rf /var/cache/apt/archives /var/lib/apt/lists/* /tmp/pg.log
"""


class System(NamedTuple):
    kernel: Path
    initramfs: Path
    disk: Path


def _mirror() -> str:
    """Where this machine's apt has Debian from."""
    text = run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages",
               f"Codename: {SUITE}", "Component: main")
    if not text.split():
        raise LabError(f"apt knows no mirror of Debian's {SUITE}: run apt-get update")
    return text.split()[0]


def _tree() -> Path:
    """What debootstrap makes, once."""
    digest = hashlib.sha256(" ".join([SUITE, *PACKAGES]).encode()).hexdigest()[:16]
    target = tools.cache_dir() / f"debian-tree-{digest}"
    if target.exists():
        return target
    fresh = Path(tempfile.mkdtemp(dir=tools.cache_dir(), prefix="debian-tree."))
    fresh.chmod(0o755)  # it becomes the root directory of users who are not root
    try:
        run("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE,
            str(fresh), _mirror())
        fresh.rename(target)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return target


def _make_disk(tree: Path, disk: Path) -> None:
    root = Path(tempfile.mkdtemp(dir=tools.cache_dir(), prefix="debian-root."))
    try:
        run("cp", "-a", "--reflink=auto", f"{tree}/.", str(root))
        for name, where, mode in INSTALLED:
            shutil.copy(FILES / name, root / where)
            (root / where).chmod(mode)
        run("unshare", "--mount", "--pid", "--fork", f"--root={root}", "--mount-proc",
            "/bin/sh", "-c", PREPARE)
        run("truncate", "-s", str(DISK_BYTES), str(disk))
        run("mke2fs", "-q", "-t", "ext4", "-L", "bench", "-E", "root_owner=0:0", "-d", str(root),
            str(disk))
    finally:
        shutil.rmtree(root, ignore_errors=True)


def system() -> System:
    """Kernel, initramfs and disk; the first time this takes some minutes and needs the mirror."""
    witness = tools.own("witness-guest")
    digest = hashlib.sha256(PREPARE.encode() + " ".join(PACKAGES).encode())
    for name, *_ in INSTALLED:
        digest.update((FILES / name).read_bytes())
    target = tools.cache_dir() / f"debian-{digest.hexdigest()[:16]}"
    lock = os.open(tools.cache_dir() / "debian.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        if not target.exists():
            fresh = Path(tempfile.mkdtemp(dir=tools.cache_dir(), prefix="debian-new."))
            fresh.chmod(0o755)
            try:
                _make_disk(_tree(), fresh / "disk.raw")
                fresh.rename(target)
            except BaseException:
                shutil.rmtree(fresh, ignore_errors=True)
                raise
        made = image.made_of(witness, (FILES / "init").read_text(), MODULES)
        return System(made.kernel, made.initramfs, target / "disk.raw")
    finally:
        os.close(lock)


def _files(lab: str, vm: str) -> tuple[Path, Path, Path]:
    here = state.lab_dir(lab)
    return here / f"{vm}.qcow2", here / f"{vm}.nbd", here / f"{vm}.nbd.pid"


def serve(lab: str, vm: str, made: System) -> Path:
    """A fresh disk for the guest. Returns the socket on which it is served."""
    overlay, path, pid_file = _files(lab, vm)
    unserve(lab, vm)
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(made.disk), "-F", "raw", str(overlay))
    started = subprocess.Popen(
        ["qemu-nbd", "--socket", str(path), "--persistent", "--shared=0", "--format=qcow2",
         "--cache=writeback", "--discard=unmap", str(overlay)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True, env={"PATH": os.environ["PATH"], process.MARK: lab})
    process.remember(pid_file, started.pid)
    wait_until(lambda: path.exists() or started.poll() is not None, 10, f"qemu-nbd for {vm}")
    if started.poll() is not None:
        raise LabError(f"qemu-nbd for {vm} ended at once")
    path.chmod(0o777)
    return path


def unserve(lab: str, vm: str) -> None:
    pid = process.recall(_files(lab, vm)[2])
    if pid:
        process.kill_and_wait([pid])
    for file in _files(lab, vm):
        file.unlink(missing_ok=True)


def redis(address: str, *words: str) -> bytes:
    """One command, from the network that the caller is in. Returns its value, or status."""
    with socket.create_connection((address, REDIS_PORT), 20) as s:
        s.sendall(b"*%d\r\n" % len(words) +
                  b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
        with s.makefile("rb") as answer:
            head = answer.readline()
            if head.startswith(b"-"):
                raise LabError(f"Redis at {address}: {' '.join(words)}: {head.decode().strip()}")
            return answer.read(int(head[1:])) if head[:1] == b"$" else head[1:].strip()
