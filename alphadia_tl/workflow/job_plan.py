"""alphaDIA's plan of steps, come as far as the one that a job belongs to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from alphadia_tl import host
from alphadia_tl.bundle import Bundle
from alphadia_tl.errors import ResultsError
from alphadia_tl.search.plan import TransferLearningPlan
from alphadia_tl.settings import PluginSettings
from alphadia_tl.step.outcome import StepOutcome
from alphadia_tl.step.step_settings import StepSettings, step_settings
from alphadia_tl.workflow.layout import Layout, read_receipt

Job = Callable[["JobPlan", Path, dict[str, Any]], None]
"""Takes the plan, the step's output folder and what alphaDIA and the plugin set for the step."""


class _Done(Exception):  # no error: the job's step was reached and the job is done
    pass


class JobPlan(TransferLearningPlan):
    """The plan of a whole search, of which one job is done.

    alphaDIA itself carries tolerances and paths from step to step, so that a job gets the same config as in a search
    on one machine.

    Parameters
    ----------
    output_directory : Path
        Output folder of the workflow.
    config : dict
        The user's config with all raw files.
    """

    def __init__(self, output_directory: Path, config: dict[str, Any]) -> None:
        super().__init__(str(output_directory), config, {})
        self.layout = Layout(output_directory)
        self._step = ""
        self._job: Job | None = None

    @property
    def plugin(self) -> PluginSettings:
        """The section ``alphadia_tl``."""
        return self._plugin

    @property
    def user_config(self) -> dict[str, Any]:
        """What the user wrote, without that section."""
        config: dict[str, Any] = self._user_config
        return config

    @property
    def raw_paths(self) -> list[str]:
        """All raw files."""
        return list(self._user_config["raw_paths"])

    @property
    def transfer_folder(self) -> Path:
        """Output folder of the first pass, and the bundle."""
        return self.layout.folder / host.TRANSFER_STEP

    @property
    def final_folder(self) -> Path:
        """Output folder of the pass after tuning."""
        return Path(self._library_step_output_dir)

    @property
    def steps(self) -> list[str]:
        """Names of alphaDIA's steps."""
        return [host.TRANSFER_STEP, host.LIBRARY_STEP, *([host.MBR_STEP] if self._mbr_step_enabled else [])]

    def settings(self) -> StepSettings:
        """Return all settings of the tuning, with custom modifications made known."""
        extra = self._first_pass_config(self.transfer_folder, self._merged(host.TRANSFER_STEP, {}))
        config = host.effective_config(host.deep_merge(self._user_config, extra), self.transfer_folder)
        host.register_modifications(config)
        return step_settings(config, self._user_config, self._plugin)

    def tuned(self) -> StepOutcome:
        """Return what the tuning decided, before the library was predicted with it."""
        return self._outcome_in(self.layout.tuned)

    def outcome(self) -> StepOutcome:
        """Return what the tuning decided and came to in the library."""
        return self._outcome_in(self.layout.library(host.LIBRARY_STEP))

    def _outcome_in(self, receipt: Path) -> StepOutcome:
        return StepOutcome.from_mapping(Bundle(self.transfer_folder), read_receipt(receipt)["outcome"])

    def do(self, step: str, job: Job) -> None:
        """Come as far as a step and do a job with its config."""
        self._step, self._job = step, job
        try:
            super(TransferLearningPlan, self).run_plan()
        except _Done:
            return
        raise ResultsError(f"The search has no step '{step}'.", f"It has: {', '.join(self.steps)}.")

    def run_step(self, output_directory: Path, extra_config: dict[str, Any], step_name: str) -> None:
        """Do the job where its step is reached; the steps before have been done by other jobs."""
        if step_name != self._step or self._job is None:
            return
        extra = self._merged(step_name, extra_config)
        if step_name == host.TRANSFER_STEP:
            extra = self._first_pass_config(Path(output_directory), extra)
        self._job(self, Path(output_directory), extra)
        raise _Done
