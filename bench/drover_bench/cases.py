# SPDX-License-Identifier: Apache-2.0
"""What bench/run compares: one Case is a guest, a link, the ways, and the moves it makes."""
import os
from dataclasses import dataclass, field, replace
from typing import Any

from .guests import Debian, Spec, Witness

MAIN = ("drover", "plain", "qmp")
ALL = ("drover", "plain", "qmp", "tls", "parallel", "mt", "xbzrle", "plain20")
THERE_AND_BACK = ("first", "return")
MIB = 1 << 20


@dataclass(frozen=True)
class Link:
    """The delay is of a round trip; the loss is of packets, each way."""

    rate: str = "none"
    round_trip_ms: int = 0
    loss_percent: float = 0

    def __str__(self) -> str:
        parts = [self.rate if self.rate != "none" else "unshaped"]
        if self.round_trip_ms:
            parts.append(f"{self.round_trip_ms} ms round trip")
        if self.loss_percent:
            parts.append(f"{self.loss_percent:g} % lost")
        return ", ".join(parts)


@dataclass(frozen=True)
class Target:
    """
    Drover's median of a figure, in a kind of move, is at most so many times that of the other way
    in the same kind of move; without another way, at most (or at least) so many of its units.
    """

    move: str
    figure: str
    against: str
    most: float
    at_least: bool = False


@dataclass(frozen=True)
class Case:
    name: str
    about: str
    guest: Spec
    link: Link
    ways: tuple[str, ...] = MAIN
    moves: tuple[str, ...] = THERE_AND_BACK  # see runner.MOVES
    guests: int = 1
    repeat: int = 3
    away_s: float = 60
    limit_s: float = 600  # then a move is called off; that is no fault of the bench
    targets: tuple[Target, ...] = field(default=())


FIRST = (Target("first", "uplink_bytes", "plain", 0.35),
         Target("first", "total_ms", "plain", 0.40),
         Target("first", "uplink_bytes", "qmp", 0.85),
         Target("first", "total_ms", "qmp", 0.90))
RETURN = (Target("return", "uplink_bytes", "plain", 0.06),
          Target("return", "uplink_bytes", "qmp", 0.20),
          Target("return", "total_ms", "plain", 0.15))
# It has no targets of its own: beside those of a return.
WORKED = tuple(replace(t, move="worked") for t in RETURN)
AT_1_GBIT = (Target("first", "uplink_bytes", "plain", 0.35),
             Target("first", "uplink_bytes", "qmp", 0.85),
             Target("first", "total_ms", "qmp", 0.90),
             Target("return", "uplink_bytes", "plain", 0.06),
             Target("return", "uplink_bytes", "qmp", 0.20))
PAUSE = (Target("first", "pause_to_allowed", "", 1.5), Target("return", "pause_to_allowed", "", 1.5))
BUSY = (Target("first", "done_share", "", 1.0, at_least=True), Target("first", "pause_ms", "", 300))
WITNESS = Witness(memory=512, work=320, dirty=1, compress=60)
REDIS = Debian("redis", rate=100)


def _mib_of_cache() -> int:
    """What two relays of this machine agree on at most: a sixteenth of its memory, at most 4 GiB."""
    return min(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 16 // MIB, 4096)


def _larger_than_cache() -> Witness:
    work = int(_mib_of_cache() * 1.25)
    return Witness(memory=work + 192, work=work, dirty=1, compress=60)


CASES = [
    Case("quick", "a few minutes: the witness at 200 Mbit/s, there and back", WITNESS,
         Link("200mbit"), repeat=2, away_s=10, targets=PAUSE),
    # links
    *(Case(f"witness-{name}", f"the witness, every way, {link}", WITNESS, link, ways=ALL,
           targets=PAUSE)
      for name, link in (("100", Link("100mbit")), ("200", Link("200mbit")), ("1g", Link("1gbit")),
                         ("unshaped", Link()), ("rtt50", Link("200mbit", round_trip_ms=50)),
                         ("loss1", Link("200mbit", loss_percent=1)))),
    Case("witness-640", "a larger witness, for --busy 8: processors that others use", Witness(640, 448, 1, 60),
         Link("200mbit"), repeat=2, away_s=10),
    # compressibility and dirty rate
    *(Case(f"compress-{percent}", f"the witness, {percent} % of each page compressible",
           Witness(512, 320, 1, percent), Link("200mbit")) for percent in (20, 90)),
    *(Case(f"dirty-{rate}", f"the witness rewrites {rate} MiB/s, at 200 Mbit/s",
           Witness(512, 256, rate, 60), Link("200mbit"), limit_s=90) for rate in (4, 12)),
    Case("random", "memory that nothing can make smaller, at 1 Gbit/s", Witness(768, 512, 1, 0),
         Link("1gbit"), ways=("drover", "plain", "tls"), moves=("first",), repeat=5,
         targets=(Target("first", "uplink_bytes", "plain", 1.01),
                  Target("first", "total_ms", "plain", 1.05))),
    Case("busy", "twice as much rewritten as the link carries: 100 Mbit/s, 24 MiB/s",
         Witness(384, 192, 24, 90), Link("100mbit"), moves=("first",), limit_s=60, targets=BUSY),
    Case("large", "a guest larger than the codec's cache, at 1 Gbit/s", _larger_than_cache(),
         Link("1gbit"), repeat=2,
         targets=(Target("first", "relay_peak_bytes", "", (_mib_of_cache() + 64) * MIB),)),
    # does a guest come to harm as often when virsh makes as many rounds as Drover?
    Case("rounds", "many rounds: an emulated guest's harm is not Drover's (docs/lab.rst)",
         Witness(256, 160, 12, 60), Link("1gbit"), ways=("drover", "plain", "rounds"),
         moves=("first",), repeat=10, limit_s=60),
    Case("disk-2pct", "a disk of random bytes of which the target has all but 2 % of the blocks, at 1 Gbit/s",
         Witness(memory=128, work=8, dirty=1, compress=60, disk=512), Link("1gbit"),
         ways=("drover", "plain"), moves=("aged",),
         targets=(Target("aged", "disk_to_image", "", 0.05),)),
    # a real Debian
    Case("redis-100", "Debian with Redis, at 100 Mbit/s", REDIS, Link("100mbit"),
         targets=FIRST + RETURN + PAUSE),
    Case("redis-200", "Debian with Redis, at 200 Mbit/s", REDIS, Link("200mbit"),
         targets=FIRST + RETURN + PAUSE),
    Case("redis-1g", "Debian with Redis, at 1 Gbit/s", REDIS, Link("1gbit"),
         targets=AT_1_GBIT + PAUSE),
    Case("redis-unshaped", "Debian with Redis, where the processors are the limit", REDIS, Link(),
         ways=("drover", "tls", "plain", "qmp"), moves=("first",), repeat=5,
         targets=(Target("first", "total_ms", "tls", 1.0),)),
    Case("redis-ways", "Debian with Redis, every way, at 200 Mbit/s", REDIS, Link("200mbit"),
         ways=ALL, moves=("first",)),
    Case("redis-work", "a return after much work: 40,000 records overwritten, at 200 Mbit/s", REDIS,
         Link("200mbit"), moves=("first", "worked"), targets=WORKED),
    Case("postgres-200", "Debian with PostgreSQL under pgbench, at 200 Mbit/s",
         Debian("postgres", rate=10), Link("200mbit"), targets=FIRST + RETURN + PAUSE),
    Case("idle-200", "Debian that does nothing, with a warm page cache, at 200 Mbit/s",
         Debian("idle"), Link("200mbit"), targets=FIRST + RETURN + PAUSE),
    Case("local-400", "Debian with PostgreSQL whose disk moves along, there and back, at 400 Mbit/s",
         Debian("postgres", rate=10, local=True), Link("400mbit"), ways=("drover", "plain"),
         targets=(Target("return", "total_ms", "plain", 0.25),)),
    Case("siblings", "four Debians one after another, at 200 Mbit/s", Debian("idle", memory=512),
         Link("200mbit"), ways=("drover", "plain"), moves=("first",), guests=4, repeat=2),
]
BY_NAME = {case.name: case for case in CASES}
# So small that a test may run it.
TINY = Case("tiny", "for the test of the bench itself", Witness(128, 24, 1, 50), Link("1gbit"),
            repeat=1, away_s=0.5, targets=FIRST + RETURN + PAUSE)


def described(case: Case) -> dict[str, Any]:
    return {"about": case.about, "guest": str(case.guest), "link": str(case.link),
            "ways": list(case.ways), "moves": list(case.moves), "guests": case.guests,
            "away_s": case.away_s, "limit_s": case.limit_s}
