# SPDX-License-Identifier: Apache-2.0
"""Medians, ratios, and the table."""
import statistics
from typing import Any, Callable, Optional

from .ways import LABEL

Move = dict[str, Any]
MIB = float(1 << 20)
# key of a move, how it is called, divisor, format
FIGURES = [
    ("total_ms", "time of the command, ms", 1, "{:.0f}"),
    ("libvirt_ms", "  libvirt's own figure", 1, "{:.0f}"),
    ("drover_ms", "  Drover's own figure", 1, "{:.0f}"),
    ("client_gap_ms", "longest gap for the client, ms", 1, "{:.0f}"),
    ("libvirt_pause_ms", "  pause, libvirt's figure", 1, "{:.0f}"),
    ("drover_pause_ms", "  pause, Drover's figure", 1, "{:.0f}"),
    ("uplink_bytes", "on the uplink, MiB", MIB, "{:.1f}"),
    ("qemu_bytes", "memory written by QEMU, MiB", MIB, "{:.1f}"),
    ("hosts_cpu_s", "CPU time on both hosts, s", 1, "{:.2f}"),
    ("elsewhere_cpu_s", "CPU time elsewhere, s", 1, "{:.2f}"),
]


def by_way(moves: list[Move]) -> dict[str, list[Move]]:
    found: dict[str, list[Move]] = {}
    for m in moves:
        found.setdefault(m["way"], []).append(m)
    return {way: found[way] for way in LABEL if way in found}


def spread(values: list[float]) -> Optional[dict[str, float]]:
    known = [v for v in values if v is not None]
    if not known:
        return None
    return {"median": statistics.median(known), "min": min(known), "max": max(known)}


def summary(moves: list[Move]) -> dict[str, Any]:
    return {way: {key: spread([m.get(key) for m in those]) for key, *_ in FIGURES}
            for way, those in by_way(moves).items()}


def ratio(moves: list[Move], other: str, key: str) -> dict[str, float]:
    """
    Drover's median divided by the other's; and the same pair by pair, a move with the one
    of the other way in the same round and direction, which is less moved by a machine that
    is busy for a part of the run.
    """
    ways = by_way(moves)
    partner = {(m["round"], m["from"]): m[key] for m in ways[other]}
    pairs = [m[key] / partner[m["round"], m["from"]] for m in ways["drover"]]
    return {"of_medians": statistics.median([m[key] for m in ways["drover"]])
                          / statistics.median(partner.values()),
            "median_of_pairs": statistics.median(pairs), "min": min(pairs), "max": max(pairs)}


def ratios(moves: list[Move]) -> dict[str, Any]:
    ways = by_way(moves)
    if "drover" not in ways:
        return {}
    return {f"drover/{other}": {key: ratio(moves, other, key) for key in
                                ("total_ms", "client_gap_ms", "uplink_bytes", "hosts_cpu_s")}
            for other in ("tls", "plain") if other in ways}


def table(found: dict[str, Any], say: Callable[[str], None] = print) -> None:
    s = found["setting"]
    ways = found["ways"]
    say(f"\nguest: {s['memory_mib']} MiB, {s['work_mib']} MiB of it filled "
        f"({s['compress_percent']} % compressible), {s['dirty_mib_s']} MiB/s rewritten, "
        f"{s['vcpus']} vCPU, {s['accel']}, disk {s['disk']}\n"
        f"link: {s['rate'] if s['rate'] != 'none' else 'unshaped'}; {s['cpus']} processors for "
        f"both hosts; {2 * s['rounds']} moves each way\n\nmedian (smallest .. largest)")
    say(f"  {'':<31}" + "".join(f"{LABEL[way]:>24}" for way in ways))
    for key, name, divisor, shape in FIGURES:
        cells = []
        for figures in ways.values():
            value = figures[key]
            cells.append("-" if value is None else "{} ({} .. {})".format(
                *(shape.format(value[k] / divisor) for k in ("median", "min", "max"))))
        if any(cell != "-" for cell in cells):
            say(f"  {name:<31}" + "".join(f"{cell:>24}" for cell in cells))
    if found["ratios"]:
        say("\nratios of medians [median of the pairs; smallest .. largest]")
    for pair, figures in found["ratios"].items():
        one, other = (LABEL[way] for way in pair.split("/"))
        for key, r in figures.items():
            name = next(f[1] for f in FIGURES if f[0] == key).split(",")[0]
            say(f"  {one + ' / ' + other:<21}{name:<32}{r['of_medians']:6.2f}  "
                f"[{r['median_of_pairs']:.2f}; {r['min']:.2f} .. {r['max']:.2f}]")
    if found["lost"]:
        say("\nWRONG:\n" + "\n".join(f"  {line}" for line in found["lost"]))
    else:
        say("\nthe guest has checked all its memory: nothing is wrong"
            + (", and no write to its disk is lost" if s["disk"] != "0" else ""))
