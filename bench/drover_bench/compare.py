# SPDX-License-Identifier: Apache-2.0
"""From moves to medians, ratios and targets, and the table of bench/run."""
import statistics
from typing import Any, Callable, Optional

from .cases import Case
from .report import spread
from .ways import LABEL

Move = dict[str, Any]
MIB = float(1 << 20)
# key, how it is called, divisor, format, whether a ratio of it says something
FIGURES = [
    ("total_ms", "time, s", 1000, "{:.2f}", True),
    ("job_ms", "  libvirt's or QEMU's figure", 1000, "{:.2f}", False),
    ("pause_ms", "pause, libvirt's or QEMU's, ms", 1, "{:.0f}", True),
    ("drover_pause_ms", "  Drover's figure", 1, "{:.0f}", False),
    ("pause_to_allowed", "  to what was allowed", 1, "{:.2f}", False),
    ("drover_allowed_ms", "  what Drover allowed, ms", 1, "{:.0f}", False),
    ("pause_to_own", "  Drover's figure to that", 1, "{:.2f}", False),
    ("client_gap_ms", "longest gap for the client, ms", 1, "{:.0f}", True),
    ("uplink_bytes", "on the uplink, MiB", MIB, "{:.1f}", True),
    ("disk_to_image", "  of it for the disk, to its size", 1, "{:.4f}", False),
    ("qemu_bytes", "  written by QEMU, MiB", MIB, "{:.1f}", False),
    ("recycled_bytes", "  known before, MiB", MIB, "{:.1f}", False),
    ("hosts_cpu_s", "CPU of both hosts, s", 1, "{:.2f}", True),
    ("qemu_cpu_s", "  of QEMU, the guest's included", 1, "{:.2f}", False),
    ("relay_cpu_s", "  of the relays", 1, "{:.2f}", False),
    ("relay_peak_bytes", "peak memory of a relay, MiB", MIB, "{:.0f}", False),
    ("lost_work_s", "work the guest lost, s", 1, "{:.2f}", False),
    ("rounds", "rounds", 1, "{:.0f}", False),
    ("done_share", "moves that came to an end", 1, "{:.2f}", False),
    ("harmed", "guests that came to harm", 1, "{:.2f}", False),
    ("elsewhere_cpu_s", "CPU elsewhere, s", 1, "{:.2f}", False),
]
AGAINST = ("plain", "qmp", "tls")


def _with_shares(move: Move) -> Move:
    done = move["outcome"] == "done"
    pause = move.get("pause_ms")
    more: Move = {"done_share": 1.0 if done else 0.0}
    if done and pause is not None:
        more["pause_to_allowed"] = pause / move["allowed_pause_ms"]
    if done and move.get("drover_allowed_ms"):
        more["pause_to_own"] = move["drover_pause_ms"] / move["drover_allowed_ms"]
    return {**move, **more}


def medians(moves: list[Move]) -> dict[str, Any]:
    """
    {kind of move: {way: {figure: {median, min, max} or None}}}. Only of moves that ended, with a guest
    that was well before and after; "harmed" is the share of those that were not.
    """
    found: dict[str, Any] = {}
    everyone = moves
    moves = [m for m in moves if m["guest"] == "well"]
    for kind in dict.fromkeys(m["move"] for m in moves):
        found[kind] = {}
        for way in [w for w in LABEL if any(m["way"] == w for m in moves)]:
            those = [_with_shares(m) for m in moves if m["move"] == kind and m["way"] == way]
            done = [m for m in those if m["outcome"] == "done"]
            found[kind][way] = {key: spread([m.get(key) for m in done]) for key, *_ in FIGURES}
            found[kind][way]["done_share"] = {
                "median": statistics.mean(m["done_share"] for m in those),
                "min": min(m["done_share"] for m in those),
                "max": max(m["done_share"] for m in those)} if those else None
            harms = [float(m["guest"] != "well") for m in everyone
                     if m["move"] == kind and m["way"] == way]
            found[kind][way]["harmed"] = {"median": statistics.mean(harms), "min": min(harms),
                                          "max": max(harms)} if any(harms) else None
    return found


def value(found: dict[str, Any], kind: str, way: str, key: str) -> Optional[float]:
    of = found.get(kind, {}).get(way, {}).get(key)
    return of["median"] if of else None


def ratio(found: dict[str, Any], kind: str, way: str, against: str, key: str) -> Optional[float]:
    one, two = value(found, kind, way, key), value(found, kind, against, key)
    return round(one / two, 4) if one is not None and two else None


def ratios(found: dict[str, Any]) -> dict[str, Any]:
    """{kind: {way: {against: {figure: ratio of medians}}}}"""
    return {kind: {way: {against: {key: ratio(found, kind, way, against, key)
                                   for key, *_, compared in FIGURES if compared}
                         for against in AGAINST if against in by_way and against != way}
                   for way in by_way}
            for kind, by_way in found.items()}


def judge(case: Case, found: dict[str, Any]) -> list[dict[str, Any]]:
    """The case's targets of which everything was measured."""
    judged = []
    for t in case.targets:
        got = (ratio(found, t.move, "drover", t.against, t.figure) if t.against
               else value(found, t.move, "drover", t.figure))
        if got is None:
            continue
        judged.append({"move": t.move, "figure": t.figure, "against": t.against or None,
                       "value": round(got, 4), "wanted": t.most, "at_least": t.at_least,
                       "reached": got >= t.most if t.at_least else got <= t.most})
    return judged


def summary(case: Case, ran: dict[str, Any]) -> dict[str, Any]:
    found = medians(ran["moves"])
    return {"medians": found, "ratios": ratios(found), "targets": judge(case, found)}


def _cell(figures: dict[str, Any], key: str, divisor: float, shape: str) -> str:
    of = figures.get(key)
    if of is None:
        return "-"
    low, high = shape.format(of["min"] / divisor), shape.format(of["max"] / divisor)
    return shape.format(of["median"] / divisor) + (f" ({low} .. {high})" if low != high else "")


def _name(key: str) -> str:
    return next(f[1].strip() for f in FIGURES if f[0] == key)


def table(name: str, of: dict[str, Any], say: Callable[[str], None] = print) -> None:
    about = of["case"]
    say(f"\n=== {name}: {about['about']}\n{about['guest']}; {about['link']}; "
        f"{1 + max(m['repetition'] for m in of['moves'])} repetitions, {of['setting']['cpus']} processors for both hosts")
    for kind, by_way in of["medians"].items():
        say(f"\n{kind}: median (smallest .. largest)")
        say(f"  {'':<32}" + "".join(f"{LABEL[way]:>24}" for way in by_way))
        for key, title, divisor, shape, _ in FIGURES:
            cells = [_cell(figures, key, divisor, shape) for figures in by_way.values()]
            if any(cell != "-" for cell in cells):
                say(f"  {title:<32}" + "".join(f"{cell:>24}" for cell in cells))
        for against in [a for a in AGAINST if a in by_way]:
            say(f"  ratios to {LABEL[against]}")
            for key, title, *_, compared in FIGURES:
                if not compared:
                    continue
                cells = [of["ratios"][kind][way].get(against, {}).get(key) for way in by_way]
                say(f"    {title:<30}" + "".join(f"{'' if c is None else f'{c:.3f}':>24}"
                                                 for c in cells))
    if of["targets"]:
        say("\ntargets")
    for t in of["targets"]:
        what = f"{t['move']}, {_name(t['figure'])}" + (
            f", to {LABEL[t['against']]}" if t["against"] else "")
        say(f"  {what:<62}{t['value']:8.3f}  at {'least' if t['at_least'] else 'most'} "
            f"{t['wanted']:<6g} {'reached' if t['reached'] else 'MISSED'}")
    say("\nWRONG:\n" + "\n".join(f"  {line}" for line in of["lost"]) if of["lost"]
        else "\nthe guests have checked their memory: nothing is wrong")
