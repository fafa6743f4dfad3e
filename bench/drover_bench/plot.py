# SPDX-License-Identifier: Apache-2.0
"""Plots of bench/run's results: one picture a case, and one of all targets, as PNG and SVG."""
from pathlib import Path
from typing import Any

from drover_lab.errors import LabError

from .compare import MIB
from .ways import LABEL

PANELS = [("total_ms", "time, s", 1000.0), ("client_gap_ms", "longest gap for the client, ms", 1.0),
          ("uplink_bytes", "on the uplink, MiB", MIB), ("hosts_cpu_s", "CPU of both hosts, s", 1.0)]
COLOUR = {"drover": "#1b6ca8", "plain": "#7f7f7f", "qmp": "#d98e04", "tls": "#5b5b5b",
          "parallel": "#a5a5a5", "mt": "#b5651d", "xbzrle": "#8c6d31", "plain20": "#c7c7c7"}
FORMATS = ("png", "svg")


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError:
        raise LabError("python3-matplotlib is not installed: install it, or say --no-plots") from None
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "drover"
    from matplotlib import pyplot
    return pyplot


def _write(figure: Any, stem: Path) -> list[Path]:
    files = [stem.with_name(f"{stem.name}.{kind}") for kind in FORMATS]
    for file in files:
        figure.savefig(file, bbox_inches="tight", dpi=110,
                       metadata={"Date": None} if file.suffix == ".svg" else None)
    return files


def case(name: str, of: dict[str, Any], stem: Path) -> list[Path]:
    """Medians as bars, smallest and largest as whiskers."""
    pyplot = _pyplot()
    kinds = list(of["medians"])
    used = list(next(iter(of["medians"].values())))
    figure, panels = pyplot.subplots(2, 2, figsize=(10, 3 + 0.28 * len(kinds) * len(used)))
    for panel, (key, title, divisor) in zip(panels.flat, PANELS):
        for number, way in enumerate(used):
            places, middles, errors = [], [], ([], [])
            for group, kind in enumerate(kinds):
                found = of["medians"][kind][way][key]
                if not found:
                    panel.text(0, group * (len(used) + 1) + number, " none came to an end",
                               va="center", fontsize=8)
                    continue
                places.append(group * (len(used) + 1) + number)
                middles.append(found["median"] / divisor)
                errors[0].append((found["median"] - found["min"]) / divisor)
                errors[1].append((found["max"] - found["median"]) / divisor)
            panel.barh(places, middles, xerr=errors, color=COLOUR[way],
                       error_kw={"elinewidth": 1, "capsize": 2})
        panel.set_yticks([g * (len(used) + 1) + (len(used) - 1) / 2 for g in range(len(kinds))],
                         kinds)
        panel.invert_yaxis()
        panel.set_title(title, fontsize=10)
        panel.grid(axis="x", alpha=0.3)
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=COLOUR[way]) for way in used]
    figure.legend(handles, [LABEL[way] for way in used], loc="lower center", ncol=min(len(used), 4), frameon=False,
                  bbox_to_anchor=(0.5, -0.08))
    figure.suptitle(f"{name}: {of['case']['guest']}; {of['case']['link']}", fontsize=10)
    figure.tight_layout()
    files = _write(figure, stem)
    pyplot.close(figure)
    return files


def targets(cases: dict[str, Any], stem: Path) -> list[Path]:
    """Each ratio that has a target, beside it."""
    rows = [(f"{name}, {t['move']}: {t['figure']} / {t['against']}", t)
            for name, of in cases.items() for t in of["targets"] if t["against"]]
    if not rows:
        return []
    pyplot = _pyplot()
    figure, panel = pyplot.subplots(figsize=(9, 1 + 0.26 * len(rows)))
    panel.barh(range(len(rows)), [t["value"] for _, t in rows],
               color=["#2a7f3f" if t["reached"] else "#b03030" for _, t in rows])
    panel.plot([t["wanted"] for _, t in rows], range(len(rows)), "|", color="black", markersize=12)
    panel.set_yticks(range(len(rows)), [label for label, _ in rows], fontsize=8)
    panel.invert_yaxis()
    panel.set_title("ratio (bar) and target (line): shorter is better", fontsize=10)
    panel.grid(axis="x", alpha=0.3)
    files = _write(figure, stem)
    pyplot.close(figure)
    return files
