"""What a workflow is made of, decided once before its first job: runs, settings, steps."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from alphadia_tl import host
from alphadia_tl.errors import SettingsError
from alphadia_tl.files import read_yaml, write_text
from alphadia_tl.search.passes import spread
from alphadia_tl.settings import PluginSettings, TrainingSettings
from alphadia_tl.step.step_settings import step_settings
from alphadia_tl.workflow.costs import bytes_of
from alphadia_tl.workflow.jobs import JobPlan
from alphadia_tl.workflow.layout import Layout, run_ids

logger = logging.getLogger(__name__)

# What only the tuning, and what only the report looks at; everything else may change what the searches find.
TUNING_SECTIONS = ("transfer_learning",)
# Where results go and which files they are of is no setting.
_NO_SETTINGS = ("raw_paths", "directory", "output_directory", "quant_directory")


@dataclass(frozen=True)
class WorkflowPlan:
    """Runs and alphaDIA's steps of a workflow.

    ``runs`` has the raw file by the name that jobs use; ``tuning_runs`` are the names of those that the first pass
    searches.
    """

    runs: dict[str, str]
    tuning_runs: list[str]
    steps: list[str]


def _check(plugin: PluginSettings) -> None:
    for key, wrong, why in (
        ("enabled", not plugin.enabled, "the workflow is the two-pass search; set it to true"),
        ("tune", not plugin.tune, "models that are used as they are need no workflow but alphaDIA's single steps"),
    ):
        if wrong:
            value = getattr(plugin, key)
            raise SettingsError(f"Config key 'alphadia_tl.{key}' is {value}: {why}.")


def _write_if_changed(path: Path, values: Any) -> None:
    text = yaml.safe_dump(values, sort_keys=True, allow_unicode=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def make_plan(config: Mapping[str, Any], output: Path, *, tune_again: bool = False) -> WorkflowPlan:
    """Check a config, and write what the jobs of its workflow read.

    Where the output folder holds a workflow whose models are tuned, its choice of runs for tuning stays, unless
    ``tune_again``. Raises SettingsError if the config has impossible values, or asks for what the workflow cannot do.
    """
    layout = Layout(output)
    whole = dict(config)
    plugin = PluginSettings.from_mapping(whole.get(PluginSettings.section))
    _check(plugin)
    if (whole.get("general") or {}).get("random_state") == -1:
        whole = host.deep_merge(whole, {"general": {"random_state": _seed_of(layout)}})
    runs = run_ids(whole["raw_paths"])
    plan = JobPlan(output, whole)
    plain = {k: v for k, v in whole.items() if k != PluginSettings.section}
    effective = host.effective_config(plain, output)
    step_settings(effective, plain, plugin)  # what is impossible ends here
    known = [] if tune_again else _known_tuning_runs(runs, layout)
    chosen = WorkflowPlan(runs, known or spread(list(runs), plugin.first_pass_runs), plan.steps)
    _write_if_changed(layout.config, whole)
    tuning = {PluginSettings.section: plugin.to_mapping()}
    for section in TUNING_SECTIONS:
        tuning[section] = TrainingSettings.from_mapping(whole.get(section), ignore_unknown=True).to_mapping()
    _write_if_changed(layout.tuning_settings, tuning)
    searching = {k: v for k, v in plain.items() if k not in (*TUNING_SECTIONS, *_NO_SETTINGS)}
    _write_if_changed(layout.search_settings, searching)
    general = effective["general"]
    _write_if_changed(
        layout.plan,
        {
            "runs": chosen.runs,
            "tuning_runs": chosen.tuning_runs,
            "steps": chosen.steps,
            "threads": int(general["thread_count"]),
            "use_gpu": bool(general["use_gpu"]),
            "fasta_bytes": sum(bytes_of(path) for path in effective["fasta_paths"]),
        },
    )
    return chosen


def _seed_of(layout: Layout) -> int:
    """Return the seed of a workflow whose config asks for any: drawn once, the same for all jobs and calls."""
    if layout.config.is_file():
        known = read_yaml(layout.config)
        return int(known["general"]["random_state"])
    return secrets.randbelow(1_000_000)


def _known_tuning_runs(runs: Mapping[str, str], layout: Layout) -> list[str]:
    """Return the runs that the models of a workflow were tuned on; none where they are to be chosen."""
    if not (layout.plan.is_file() and layout.tuned.is_file()):
        return []
    known = read_yaml(layout.plan)["tuning_runs"]
    if not known or not set(known) <= set(runs):
        return []
    if new := len(runs) - len(known):
        logger.info(
            f"The models stay those tuned on {len(known)} runs; {new} other runs are searched with them "
            "(--tune-again tunes again)."
        )
    return list(known)
