# SPDX-License-Identifier: Apache-2.0
"""
Power loss. A host that is killed keeps what it has written in this machine's page cache; one whose power fails
does not. So all that is a host's own (images, libvirt's files, droverd's store) lies on a file system in a loop
device, and what the device's backing file holds when the host dies is all that there is when it boots again.
The file system commits by itself only every five minutes: what was not flushed is lost, whenever power fails.
"""
import shutil
import subprocess
from pathlib import Path

from lab import Lab
from drover_lab import host

SIZE = "1G"


class Disk:
    """What a host of the lab has of its own, on a disk that can lose its power."""

    def __init__(self, lab: Lab, on: str) -> None:
        self.lab, self.on = lab, on
        self.root = host.root(lab.name, on)
        self.backing = self.root.parent / "disk.img"

    def _mount(self) -> None:
        subprocess.run(["mount", "-t", "ext4", "-o", "loop,commit=300", self.backing, self.root],
                       check=True)

    def make(self) -> None:
        """The host is started anew, from its disk."""
        self.lab.lab("kill", self.on)
        before = self.root.with_name("root.before")
        self.root.rename(before)
        self.root.mkdir()
        subprocess.run(["truncate", "-s", SIZE, self.backing], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", self.backing], check=True)
        self._mount()
        subprocess.run(["cp", "-a", f"{before}/.", self.root], check=True)
        shutil.rmtree(before)
        subprocess.run(["sync", "-f", self.root], check=True)
        self.lab.lab("boot", self.on)

    def lose_power(self) -> None:
        """The host is dead, and its disk has what it had then."""
        self.lab.lab("kill", self.on)
        copy = self.backing.with_suffix(".copy")
        subprocess.run(["cp", "--sparse=always", self.backing, copy], check=True)
        subprocess.run(["umount", "-l", self.root], check=True)
        copy.rename(self.backing)
        self._mount()

    def remove(self) -> None:
        """Before the lab is taken down; the host is dead then."""
        self.lab.lab("kill", self.on, check=False)
        if self.root.is_mount():
            subprocess.run(["umount", "-l", self.root], check=True)
