"""From facts to one HTML file that opens offline, anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from alphadia_tl.bundle import Bundle
from alphadia_tl.entrapment.searches import CLASSES
from alphadia_tl.files import write_text
from alphadia_tl.report.drawing import Drawing, to_div
from alphadia_tl.report.facts import (
    DASH,
    FILTERS,
    Facts,
    change,
    class_rows,
    count,
    estimate,
    model_name,
    percent,
    plain,
    read_facts,
)
from alphadia_tl.report.figures import (
    errors_drawing,
    mirror_drawings,
    nce_drawing,
    observed_drawing,
    reliability_drawing,
    similarity_drawing,
    training_drawing,
)

FORMAT = 1
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
TABLES = ("history", "held_out", "spectra")


def to_json(facts: Facts) -> str:
    """Return the facts as JSON.

    Tables of single epochs, rows and fragments are left out: they are files of their own. Held-out rows are summed up:
    per model their number and the quantiles of their scores before and after. Numbers that are not finite become null;
    keys that are no text become text.
    """
    values = {"format": FORMAT, **{k: v for k, v in facts.items() if k not in TABLES}}
    if (held_out := facts.get("held_out")) is not None:
        values["held_out"] = {str(model): _scores(rows) for model, rows in held_out.groupby("model", sort=False)}
    return json.dumps(plain(values), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _scores(rows: pd.DataFrame) -> dict[str, Any]:
    quantiles = {
        side: {str(q): float(v) for q, v in rows[f"score_{side}"].quantile(list(QUANTILES)).items()}
        for side in ("before", "after")
        if rows[f"score_{side}"].notna().any()
    }
    return {"rows": len(rows), "score_quantiles": quantiles}


QUANTITIES = (
    ("precursors", "Precursors"),
    ("precursors_before_protein_fdr", "before the protein FDR"),
    ("ambiguous_sites", "with ambiguous sites"),
    ("proteins", "Protein groups"),
)
NOT_MEASURED = "not measured"
# The page may not load anything from anywhere.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


class Stage(NamedTuple):
    """One line of the table of times; a part is contained in the stage above it."""

    name: str
    seconds: float
    is_part: bool
    share: float


def stages(seconds: Mapping[str, float]) -> list[Stage]:
    """Order stages with their parts below them; the total, of which each has its share, counts no part."""
    total = total_seconds(seconds) or 1.0
    result = []
    for name in seconds:
        if _whole(name, seconds) is None:
            parts = [n for n in seconds if _whole(n, seconds) == name]
            result += [Stage(n, seconds[n], n != name, seconds[n] / total) for n in (name, *parts)]
    return result


def _whole(name: str, seconds: Mapping[str, float]) -> str | None:
    """Return the stage that a stage is part of: the one whose name it continues ("tuning rt", "tuning")."""
    return next((other for other in seconds if name.startswith(f"{other} ")), None)


def total_seconds(seconds: Mapping[str, float]) -> float:
    """Add up the stages that are not part of another."""
    return sum(s for name, s in seconds.items() if _whole(name, seconds) is None)


def headline(
    decisions: Sequence[Mapping[str, Any]], between: Mapping[str, Any], *passes: Mapping[str, Any] | None
) -> str:
    """Say in one sentence what came out; where the first pass searched a part of the library, two."""
    accepted = [model_name(d.get("model", "")) for d in decisions if d.get("accepted")]
    share = (passes[0] or {}).get("of_library")
    if not accepted and share:
        return "No tuned model was better on held-out peptides: the second pass is one with the pretrained models."
    if not accepted:
        return "No tuned model was better on held-out peptides: the results are those of the first pass."
    used = f"Tuned models in use: {', '.join(accepted)}."
    before, after = ((found or {}).get("precursors") for found in passes)
    if before is None or after is None:
        return used
    where = "after match between runs" if (passes[1] or {}).get("match_between_runs") else "in the second pass"
    if share:
        kept, gained, lost = (between.get(name, 0) for name in CLASSES)
        of_part = f"{count(kept + gained)} against {count(kept + lost)}: {change(kept + lost, kept + gained)}"
        said = f"of the {percent(share)} of the library that were searched before tuning, too: {of_part}"
        return f"{count(after)} precursors {where}; {said}. {used}"
    found = f"{count(after)} precursors {where}, {count(before)} in the first"
    return f"{found}: {change(before, after)}. {used}"


def _pass_rows(facts: Facts) -> list[dict[str, str]]:
    """Return the lines of the table of both passes; none where neither has a table."""
    identified = facts.get("identified", {})
    one, two = (identified.get(name) or {} for name in ("first_pass", "second_pass"))
    if not (one or two):
        return []
    share = one.get("of_library")

    def row(name: str, first: str, second: str, difference: str = "") -> dict[str, str]:
        return {"name": name, "first": first, "second": second, "change": difference}

    rows = [
        row(name, count(one.get(key)), count(two.get(key)), "" if share else change(one.get(key), two.get(key)))
        for key, name in QUANTITIES
        if key in {*one, *two, "precursors", "proteins"}
    ]
    if _judged(one, two):
        estimates = (NOT_MEASURED if p.get("fdp") is None else estimate(p, "fdp") for p in (one, two))
        verdicts = ((p.get("verdict") or DASH).partition(":")[0] for p in (one, two))
        rows += [row("Estimated FDP", *estimates), row("Claimed FDR holds?", *verdicts)]
    return rows


def _judged(*passes: Mapping[str, Any] | None) -> bool:
    """Tell whether errors of a pass were estimated, or why they could not be is known."""
    return any(p and (p.get("fdp") is not None or p.get("verdict")) for p in passes)


def _why_unknown(between: Mapping[str, Any], *passes: Mapping[str, Any] | None) -> list[str]:
    """Return why the error of a pass, or of what was kept, gained and lost, cannot be said."""
    verdicts = [str((found or {}).get("verdict") or "").partition(": ")[2] for found in passes]
    return [why for why in dict.fromkeys([*verdicts, *(between.get("unknown") or {}).values()]) if why]


def _models(facts: Facts, drawings: Mapping[str, Sequence[Drawing]]) -> list[dict[str, Any]]:
    def of(model: str) -> dict[str, Any]:
        return {
            "training": facts.get("training", {}).get(model, {}),
            "figures": [{"drawing": d, "div": Markup(to_div(d))} for d in drawings.get(model, ())],
            "modifications": [m for m in facts.get("modifications", ()) if m.get("model") == model],
            "rt_bins": facts.get("rt_bins", ()) if model == "rt" else (),
        }

    return [{"decision": d, **of(d.get("model", ""))} for d in facts.get("decisions", ())]


def _weights(provenance: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return where the weights of each model came from, with the hashes of both files."""
    started, left = (provenance.get(key) or {} for key in ("started_from", "models"))
    return [
        {
            "model": model_name(str(name)),
            "file": str(started.get(name, {}).get("file", DASH)),
            "before": str(started.get(name, {}).get("sha256", DASH)),
            "after": str(left.get(name, DASH)),
        }
        for name in {**started, **left}
    ]


def templates() -> Environment:
    """Return the environment of all pages: every text is escaped, and a missing one is an error."""
    environment = Environment(
        loader=PackageLoader("alphadia_tl.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    return environment


def render_report(facts: Facts, drawings: Mapping[str, Sequence[Drawing]]) -> str:
    """Return the page as HTML text, with the figures of each model; what is missing from the facts is left out.

    Every text of the facts is escaped; plotly.js is embedded once if there is a figure.
    """
    environment = templates()
    identified = facts.get("identified", {})
    first, second = identified.get("first_pass"), identified.get("second_pass")
    models = _models(facts, drawings)
    seconds = facts.get("seconds", {})
    provenance = facts.get("provenance", {})
    between = facts.get("between_passes") or {}
    return environment.get_template("page.html").render(
        policy=POLICY,
        plotly_js=Markup(get_plotlyjs()) if any(m["figures"] for m in models) else None,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        headline=headline(facts.get("decisions", ()), between, first, second),
        scouted=(first or {}).get("of_library"),
        pass_rows=_pass_rows(facts),
        classes=class_rows(between) if between else (),
        unknown=_why_unknown(between, first, second),
        after_mbr=bool((second or {}).get("match_between_runs")),
        claimed_fdr=percent(provenance.get("fdr")),
        fdp_measured=_judged(first, second),
        models=models,
        stages=stages(seconds),
        total_seconds=total_seconds(seconds),
        warnings=facts.get("warnings", ()),
        runs=facts.get("runs", ()),
        transfer_library=facts.get("transfer_library", {}),
        regeneration=facts.get("regeneration"),
        provenance=provenance,
        weights=_weights(provenance),
        configs=facts.get("configs", {}),
    )


OF_ROWS: Mapping[str, Sequence[Callable[[pd.DataFrame, str], Drawing | None]]] = {
    **dict.fromkeys(("rt", "ccs"), (observed_drawing, errors_drawing)),
    "ms2": (similarity_drawing, errors_drawing),
    "charge": (reliability_drawing,),
}


def drawings_of(facts: Facts, model: str) -> list[Drawing]:
    """Return the figures of a model for which there is data."""
    found = [training_drawing(facts.get("history"), model, facts.get("training", {}).get(model, {}))]
    held_out = facts.get("held_out")
    if held_out is not None:
        rows = held_out[held_out["model"] == model].replace([np.inf, -np.inf], np.nan)
        found += [draw(rows, model) for draw in OF_ROWS.get(model, ()) if len(rows)]
    if model == "ms2":
        found += mirror_drawings(facts.get("spectra"))
        found.append(nce_drawing(facts.get("nce", {})))
    return [drawing for drawing in found if drawing is not None]


def all_drawings(facts: Facts) -> dict[str, list[Drawing]]:
    """Return the figures of all models that something was decided about."""
    names = [decision.get("model", "") for decision in facts.get("decisions", ())]
    return {name: drawings_of(facts, name) for name in names}


def write_report(bundle: Bundle, folder: Path | None = None) -> Path:
    """Write ``report.html`` and ``report.json`` from a bundle's other files, of which one must be the provenance.

    They are written into the bundle, or another folder; the page's path is returned.
    Raises ResultsError if a file of the bundle cannot be read, OutputError if one of the report cannot be written.
    """
    facts = read_facts(bundle)
    page, summary = render_report(facts, all_drawings(facts)), to_json(facts)
    written = Bundle(folder or bundle.folder)
    write_text(written.report, page)
    write_text(written.report_json, summary)
    return written.report
