"""What a workflow is made of, decided once before its first job: runs, settings, steps."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
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

# No settings of the searches: where results go, which files they are of, and what the tuning alone looks at.
_NO_SETTINGS = ("raw_paths", "directory", "output_directory", "quant_directory", TrainingSettings.section)


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


def make_plan(config: Mapping[str, Any], output: Path, *, tune_again: bool = False) -> dict[str, Any]:
    """Check a config, and write what the jobs of its workflow read; return the plan.

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
    _write_if_changed(layout.config, whole)
    training = TrainingSettings.from_mapping(whole.get(TrainingSettings.section), ignore_unknown=True)
    tuning = {settings.section: settings.to_mapping() for settings in (plugin, training)}
    _write_if_changed(layout.tuning_settings, tuning)
    _write_if_changed(layout.search_settings, {k: v for k, v in plain.items() if k not in _NO_SETTINGS})
    chosen: dict[str, Any] = {
        "runs": runs,
        "tuning_runs": known or spread(list(runs), plugin.first_pass_runs),
        "steps": plan.steps,
        "threads": int(effective["general"]["thread_count"]),
        "use_gpu": bool(effective["general"]["use_gpu"]),
        "fasta_bytes": sum(bytes_of(path) for path in effective["fasta_paths"]),
    }
    _write_if_changed(layout.plan, chosen)
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
