"""alphaDIA's search plan with transfer learning between two passes, or (``tune: false``) models as they are."""

from __future__ import annotations

import copy
import logging
import time
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

from alphadia_tl import host
from alphadia_tl.bundle import Bundle
from alphadia_tl.errors import HostError, TransferLearningError
from alphadia_tl.files import absolute_path
from alphadia_tl.host.plan import HostPlan
from alphadia_tl.host.search_output import retention_times
from alphadia_tl.search.done import forget, the_only_search
from alphadia_tl.search.inputs import check_search, is_enabled
from alphadia_tl.search.passes import Passes
from alphadia_tl.search.raw_files import engine_config
from alphadia_tl.search.ready_models import ReadyModels
from alphadia_tl.settings import PluginSettings
from alphadia_tl.step.outcome import StepOutcome

logger = logging.getLogger(__name__)


class TransferLearningPlan(HostPlan):
    """Search plan that tunes the models between two passes where ``alphadia_tl.enabled`` is true.

    Without that flag it is alphaDIA's own plan. In notebooks:
    ``TransferLearningPlan(output_directory, config).run_plan()``.

    Parameters
    ----------
    output_directory : str
        Output folder.
    config : dict, optional
        User config, may hold the section ``alphadia_tl``; left unchanged.
    cli_params_config : dict, optional
        Parameters of the command line.

    Raises
    ------
    alphadia.exceptions.UserError
        If the section ``alphadia_tl`` has unknown keys, wrong types or impossible values.

    Attributes
    ----------
    force : bool
        Do all stages again; by default those are reused whose inputs, settings and versions are unchanged.
    guarded : bool
        With the plugin off, too, let an FDR classifier that fails start again and read mzML files right, so that
        searches compare.
    """

    force = False
    guarded = False

    def __init__(
        self,
        output_directory: str,
        config: dict[str, Any] | None = None,
        cli_params_config: dict[str, Any] | None = None,
    ) -> None:
        host.check_host()
        config = copy.deepcopy(config) if config is not None else {}
        self._written = copy.deepcopy(config)
        self._engine: dict[str, Any] = {}
        try:
            if is_enabled(config):
                whole = host.deep_merge(config, cli_params_config or {})
                check_search(whole, files=False)
                self._engine = engine_config(whole)
            self.plugin = PluginSettings.from_mapping(config.pop(PluginSettings.section, None))
            if self.plugin.enabled:
                config, given = host.with_absolute_paths(config), host.with_absolute_paths(cli_params_config or {})
                output_directory, cli_params_config = str(absolute_path(output_directory)), given
        except TransferLearningError as error:
            raise host.as_user_error(error) from error
        if self.plugin.enabled:
            config = host.deep_merge(config, {"general": {"transfer_step_enabled": self.plugin.tune}}, self._engine)
        super().__init__(output_directory, config, cli_params_config)
        self.passes = Passes(self, self.plugin)
        self._outcome: StepOutcome | None = None
        self._classifier_starts: list[int] = []
        self._done = not self.plugin.enabled

    def run_plan(self) -> None:
        """Run all passes; errors of the plugin leave as alphaDIA's user errors (exit code 1)."""
        if not self.plugin.enabled:
            with ExitStack() as guards:
                if self.guarded:
                    guards.enter_context(host.classifiers_that_fail_start_again())
                    guards.enter_context(host.mzml_is_mended())
                super().run_plan()
            return
        try:
            check_search(host.deep_merge(self._written, self.command_line), self.folder)
            if self._engine:
                logger.info("The runs are of a timsTOF: alphaDIA's Python engine searches them, its default cannot.")
            with (
                the_only_search(self.folder),
                host.mzml_is_mended(),
                host.one_isomer_explains_a_peak(),
                host.classifiers_that_fail_start_again() as self._classifier_starts,
            ):
                if self.force:
                    forget(self.folder)
                super().run_plan()
            if not self._done:
                step = host.TRANSFER_STEP if self.plugin.tune else host.LIBRARY_STEP
                raise HostError(f"alphadia_tl.enabled is true, but alphaDIA never ran the {step} step.")
        except TransferLearningError as error:
            raise host.as_user_error(error) from error

    def run_step(self, output_directory: Path, extra_config: dict[str, Any], step_name: str) -> None:
        """Run one step of alphaDIA's plan; after the first pass, the transfer-learning step."""
        if not self.plugin.enabled:
            super().run_step(output_directory, extra_config, step_name)
        elif not self.plugin.tune and step_name == host.LIBRARY_STEP:
            self._search_with_ready_models(extra_config)
        elif step_name == host.TRANSFER_STEP:
            self._outcome = self.passes.tune(self.passes.first_pass(extra_config))
            self._done = True
        else:
            self._search(output_directory, extra_config, step_name)

    def _search(self, output_directory: Path, extra_config: dict[str, Any], step_name: str) -> None:
        """Run a pass after transfer learning as alphaDIA does; the report follows it, and match between runs again."""
        started, outcome = time.perf_counter(), self._outcome
        searched = len(self.passes.tuning_runs(self.raw_paths))
        config, reuses = self.merged(step_name, extra_config), searched < len(self.raw_paths)
        if step_name == host.LIBRARY_STEP and outcome is not None:
            config, reuses = self.passes.final_pass(extra_config, outcome), True
        with host.missing_runs_are_searched() if reuses else nullcontext():
            super().run_step(output_directory, config, step_name)
        if outcome is None:  # no transfer learning
            return
        outcome = outcome.with_seconds(f"{step_name} step", time.perf_counter() - started)
        self._outcome = outcome.with_provenance(fdr_classifier_starts=len(self._classifier_starts))
        self.passes.finish(self._outcome, searched, step_name)

    def _search_with_ready_models(self, extra_config: dict[str, Any]) -> None:
        """Run the one search of ``tune: false``."""
        passes = self.passes
        step = passes.make_step(host.LIBRARY_STEP, passes.config(host.LIBRARY_STEP, extra_config))
        models = ReadyModels(passes.settings(step.config), passes.final_folder)
        self.note_failures(host.run_search(step, models.predictor))
        models.finish(retention_times(passes.final_folder), Bundle(passes.final_folder).provenance)
        self._done = True
