"""alphaDIA's search plan with transfer learning between the first and the second pass."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alphadia.search_plan import SearchPlan

from alphadia_tl import host
from alphadia_tl.bundle import Bundle
from alphadia_tl.errors import HostError, SettingsError, TransferLearningError
from alphadia_tl.search import done
from alphadia_tl.search.done import forget, the_only_search
from alphadia_tl.search.passes import announce, finish_search, library_config, sample_note, spread
from alphadia_tl.settings import PluginSettings
from alphadia_tl.step.outcome import StepOutcome
from alphadia_tl.step.rt_diagnosis import window_config

if TYPE_CHECKING:
    from alphadia_tl.step.step_settings import StepSettings

logger = logging.getLogger(__name__)

# Nobody needs these results of the first pass; its library is kept for regeneration.
FIRST_PASS_CONFIG: dict[str, Any] = {
    "general": {"save_library": True, "save_mbr_library": False},
    "search_output": {"normalization_method": "none"},
    "transfer_library": {"enabled": True},
    "transfer_learning": {"enabled": False},
}


class TransferLearningPlan(SearchPlan):  # type: ignore[misc]
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
    """

    force = False

    def __init__(
        self,
        output_directory: str,
        config: dict[str, Any] | None = None,
        cli_params_config: dict[str, Any] | None = None,
    ) -> None:
        host.check_host()
        config = copy.deepcopy(config) if config is not None else {}
        try:
            self._plugin = PluginSettings.from_mapping(config.pop(PluginSettings.section, None))
        except SettingsError as error:
            raise host.as_user_error(error) from error
        if self._plugin.enabled:
            config = host.deep_merge(config, {"general": {"transfer_step_enabled": self._plugin.tune}})
        self._step_outcome: Any = None
        self._ready_models: Any = None
        super().__init__(output_directory, config, cli_params_config)

    def run_plan(self) -> None:
        """Run all passes; errors of the plugin leave as alphaDIA's user errors (exit code 1)."""
        if not self._plugin.enabled:
            super().run_plan()
            return
        folder = self._output_dir
        try:
            with the_only_search(folder), host.classifiers_that_fail_start_again():
                if self.force:
                    forget(folder)
                super().run_plan()
            if self._step_outcome is None and self._ready_models is None:
                step = host.TRANSFER_STEP if self._plugin.tune else host.LIBRARY_STEP
                raise HostError(f"alphadia_tl.enabled is true, but alphaDIA never ran the {step} step.")
        except TransferLearningError as error:
            raise host.as_user_error(error) from error

    def run_step(self, output_directory: Path, extra_config: dict[str, Any], step_name: str) -> None:
        """Run one step of alphaDIA's plan; after the first pass, the transfer-learning step."""
        if not self._plugin.enabled:
            super().run_step(output_directory, extra_config, step_name)
            return
        extra_config = self._merged(step_name, extra_config)
        if not self._plugin.tune:
            self._run_with_ready_models(output_directory, extra_config, step_name)
            return
        start = time.perf_counter()
        if step_name == host.TRANSFER_STEP:
            self._search_and_tune(Path(output_directory), extra_config)
            return
        continued: dict[str, Any] = {}
        if step_name == host.LIBRARY_STEP:
            extra_config = host.deep_merge(extra_config, self._second_pass_config())
            whole = host.deep_merge(self._user_config, self._cli_params_config, extra_config)
            continued = done.second_pass_config(Path(output_directory), whole, extra_config)
        some = continued or self._plugin.tuning_runs is not None
        with host.missing_runs_are_searched() if some else nullcontext():
            super().run_step(output_directory, host.deep_merge(extra_config, continued), step_name)
        seconds = time.perf_counter() - start
        self._step_outcome = self._step_outcome.with_seconds(f"{step_name} step", seconds)
        if step_name == host.LIBRARY_STEP:
            self._write_report()

    def _search_and_tune(self, folder: Path, extra_config: dict[str, Any]) -> None:
        """Run the first pass and the transfer-learning step, or take up what an earlier call has finished of them."""
        from alphadia_tl.step.step import run_step

        start = time.perf_counter()
        settings, weights, quant = self._run_first_pass(folder, extra_config)
        seconds = time.perf_counter() - start
        announce("Transfer learning")
        library = folder / host.SPECLIB_FILE

        def tune() -> StepOutcome:
            return run_step(settings, folder, quant_folders=quant, speclib=library)

        outcome = done.tuning(settings, folder, quant, library, weights, tune)
        self._step_outcome = replace(outcome, seconds={"first pass": seconds, **outcome.seconds})

    def _run_first_pass(
        self, folder: Path, extra_config: dict[str, Any]
    ) -> tuple[StepSettings, Mapping[str, Any], list[Path]]:
        """Return all settings, where the weights came from, and the quantification folders of the runs.

        The library leaves the memory with the step that ends here.
        """
        from alphadia_tl.step.step import first_predictor, preflight
        from alphadia_tl.step.step_settings import step_settings

        extra_config = self._first_pass_config(folder, extra_config)
        step = host.make_step(folder, self._user_config, self._cli_params_config, extra_config, host.TRANSFER_STEP)
        settings = step_settings(step.config, self._user_config, self._plugin)
        manager = preflight(settings, folder)
        weights = manager.weight_sources()
        predictor = first_predictor(manager)
        host.register_modifications(step.config)
        host.search_only(step, spread(step.raw_path_list, self._plugin.tuning_runs))
        errors, quant = done.first_pass(
            step,
            folder,
            weights,
            lambda: host.run_first_pass(step, predictor),
            repeatable=predictor is not None or not host.config_of(step)["library_prediction"]["enabled"],
        )
        self._raw_files_with_errors.extend(errors)
        return settings, weights, quant

    def _merged(self, step_name: str, extra_config: dict[str, Any]) -> dict[str, Any]:
        """Merge what is set for a step key by key; by section, as alphaDIA does, mbr's own search settings are lost."""
        return host.deep_merge(self._multistep_config.get(step_name, {}), extra_config)

    def _first_pass_config(self, output_directory: Path, extra_config: dict[str, Any]) -> dict[str, Any]:
        return host.deep_merge(extra_config, FIRST_PASS_CONFIG, self._prediction_config(output_directory))

    def _run_with_ready_models(self, output_directory: Path, extra_config: dict[str, Any], step_name: str) -> None:
        if step_name != host.LIBRARY_STEP:
            super().run_step(output_directory, extra_config, step_name)
            return
        from alphadia_tl.search.ready_models import ReadyModels
        from alphadia_tl.step.step_settings import step_settings

        extra_config = host.deep_merge(extra_config, self._prediction_config(output_directory))
        step = host.make_step(output_directory, self._user_config, self._cli_params_config, extra_config, step_name)
        self._ready_models = ReadyModels(
            step_settings(step.config, self._user_config, self._plugin), Path(output_directory)
        )
        host.register_modifications(step.config)
        self._raw_files_with_errors.extend(host.run_search(step, self._ready_models.predictor))
        self._ready_models.finish(host.retention_times(Path(output_directory)))

    def _raw_paths(self) -> list[str]:
        return list(host.deep_merge(self._user_config, self._cli_params_config).get("raw_paths") or ())

    def _prediction_config(self, output_directory: Path) -> dict[str, Any]:
        """Name the models for alphaDIA's own prediction in the way that it understands."""
        from alphadia_tl.models.weights import prediction_config

        written = self._user_config.get("library_prediction") or {}
        path, kind = written.get("peptdeep_model_path"), written.get("peptdeep_model_type")
        return {"library_prediction": prediction_config(path, kind, Path(output_directory))}

    def _second_pass_config(self) -> dict[str, Any]:
        """Point the final pass at the tuned library, or at the results of the pass before if nothing changed."""
        bundle: Bundle = self._step_outcome.bundle
        config = library_config(bundle.tuned_library)
        if self._step_outcome.regeneration is not None:
            logger.info(f"The final pass searches the library predicted by the tuned models: {bundle.tuned_library}")
            window = window_config(self._step_outcome.rt_tolerance, self._user_config, self._cli_params_config)
            return host.deep_merge(config, window)
        logger.info(
            "The library stays as it was: the quantification of the pass before is used, nothing is searched again."
        )
        return host.deep_merge(
            config,
            {
                "library_path": str(bundle.folder / host.SPECLIB_FILE),
                "general": {"reuse_quant": True, "reuse_quant_from": [str(bundle.folder / host.QUANT_FOLDER)]},
            },
        )

    def _write_report(self) -> None:
        runs, tuning = len(self._raw_paths()), self._plugin.tuning_runs
        if tuning is not None and (note := sample_note(tuning, runs)):
            self._step_outcome = self._step_outcome.with_warnings(note)
        self._step_outcome = finish_search(self._step_outcome, self._library_step_output_dir)
