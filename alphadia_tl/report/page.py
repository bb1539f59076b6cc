"""From facts to one HTML file that opens offline, anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from alphadia_tl.report import words
from alphadia_tl.report.drawing import Drawing
from alphadia_tl.report.facts import DecisionFacts, Facts, PassFacts
from alphadia_tl.report.plotly_figure import to_div

QUANTITIES = (
    ("precursors", "Precursors"),
    ("precursors_before_protein_fdr", "before the protein FDR"),
    ("proteins", "Protein groups"),
)
NOT_MEASURED = "not measured"
# The page may not load anything from anywhere.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


@dataclass(frozen=True)
class Stage:
    """One line of the table of times; a part is contained in the stage above it."""

    name: str
    seconds: float
    is_part: bool
    share: float


def stages(seconds: Mapping[str, float]) -> list[Stage]:
    """Order stages with their parts below them.

    Parameters
    ----------
    seconds : mapping of str to float
        A stage whose name continues another's ("tuning rt" and "tuning") is part of it.

    Returns
    -------
    list of Stage
        ``share`` is the fraction of the total, which counts no part.
    """

    def parent(name: str) -> str | None:
        return next((other for other in seconds if name != other and name.startswith(f"{other} ")), None)

    total = total_seconds(seconds) or 1.0
    result = []
    for name in seconds:
        if parent(name) is None:
            parts = [n for n in seconds if parent(n) == name]
            result += [Stage(n, seconds[n], n != name, seconds[n] / total) for n in (name, *parts)]
    return result


def total_seconds(seconds: Mapping[str, float]) -> float:
    """Add up the stages that are not part of another."""
    return sum(
        s for name, s in seconds.items() if not any(name != other and name.startswith(f"{other} ") for other in seconds)
    )


def headline(decisions: Sequence[DecisionFacts], first: PassFacts | None, second: PassFacts | None) -> str:
    """Say in one sentence what came out."""
    accepted = [words.model(d.get("model", "")) for d in decisions if d.get("accepted")]
    if not accepted:
        return "No tuned model was better on held-out peptides: the results are those of the first pass."
    used = f"Tuned models in use: {', '.join(accepted)}."
    if not first or not second or not {"precursors"} <= first.keys() & second.keys():
        return used
    before, after = first["precursors"], second["precursors"]
    found = f"{words.count(after)} precursors in the second pass, {words.count(before)} in the first"
    return f"{found}: {words.change(before, after)}. {used}"


def _pass_rows(first: PassFacts | None, second: PassFacts | None) -> list[dict[str, str]]:
    one, two = cast(Mapping[str, Any], first or {}), cast(Mapping[str, Any], second or {})
    rows = [
        {
            "name": name,
            "first": words.count(one.get(key)),
            "second": words.count(two.get(key)),
            "change": words.change(one.get(key), two.get(key)),
        }
        for key, name in QUANTITIES
        if key in {*one, *two, "precursors", "proteins"}
    ]
    if any(p.get("fdp") is not None for p in (one, two)):
        shown = [_error(p) for p in (one, two)]
        rows.append({"name": "Estimated FDP", "first": shown[0][0], "second": shown[1][0], "change": ""})
        rows.append({"name": "Claimed FDR holds?", "first": shown[0][1], "second": shown[1][1], "change": ""})
    return rows


def _error(found: Mapping[str, Any]) -> tuple[str, str]:
    """Return estimate with interval, and verdict, of a pass."""
    if found.get("fdp") is None:
        return NOT_MEASURED, words.DASH
    interval = found.get("fdp_interval")
    ends = f" ({words.percent(interval[0])} to {words.percent(interval[1])})" if interval else ""
    return words.percent(found["fdp"]) + ends, found.get("verdict") or words.DASH


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
            "model": words.model(str(name)),
            "file": str(started.get(name, {}).get("file", words.DASH)),
            "before": str(started.get(name, {}).get("sha256", words.DASH)),
            "after": str(left.get(name, words.DASH)),
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
    environment.filters.update(words.FILTERS)
    return environment


def render_report(facts: Facts, drawings: Mapping[str, Sequence[Drawing]]) -> str:
    """Return the page as HTML text.

    Parameters
    ----------
    facts : Facts
        See :class:`alphadia_tl.report.facts.Facts`; whatever is missing is left out.
    drawings : mapping of str to sequence of Drawing
        Figures by model.

    Returns
    -------
    str
        Every text of ``facts`` is escaped; plotly.js is embedded once if there is a figure.
    """
    environment = templates()
    identified = facts.get("identified", {})
    first, second = identified.get("first_pass"), identified.get("second_pass")
    models = _models(facts, drawings)
    seconds = facts.get("seconds", {})
    provenance = facts.get("provenance", {})
    return environment.get_template("page.html").render(
        policy=POLICY,
        plotly_js=Markup(get_plotlyjs()) if any(m["figures"] for m in models) else None,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        headline=headline(facts.get("decisions", ()), first, second),
        pass_rows=_pass_rows(first, second) if first or second else [],
        claimed_fdr=words.percent(provenance.get("fdr", 0.01)),
        fdp_measured=any((p or {}).get("fdp") is not None for p in (first, second)),
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
