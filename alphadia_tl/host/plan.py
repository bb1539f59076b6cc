"""alphaDIA's plan of steps, with names for what it keeps to itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from alphadia.constants.keys import SearchPlanFiles
from alphadia.search_plan import SearchPlan

from alphadia_tl.host.contract import LIBRARY_STEP, MBR_STEP, PLAN_ATTRIBUTES, TRANSFER_STEP, check_attributes
from alphadia_tl.host.steps import deep_merge


class HostPlan(SearchPlan):  # type: ignore[misc]
    """alphaDIA's plan; the private attributes that are read here are checked when it is made."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        check_attributes(self, PLAN_ATTRIBUTES)

    @property
    def folder(self) -> Path:
        """Output folder of the whole search."""
        return Path(self._output_dir)

    @property
    def user_config(self) -> dict[str, Any]:
        """What the user wrote."""
        config: dict[str, Any] = self._user_config
        return config

    @property
    def command_line(self) -> dict[str, Any]:
        """What the command line adds."""
        config: dict[str, Any] = self._cli_params_config
        return config

    @property
    def raw_paths(self) -> list[str]:
        """All raw files."""
        return list(deep_merge(self.user_config, self.command_line).get("raw_paths") or ())

    @property
    def steps(self) -> list[str]:
        """Names of the steps of a search with transfer learning, in their order."""
        return [TRANSFER_STEP, LIBRARY_STEP, *([MBR_STEP] if self._mbr_step_enabled else [])]

    def step_folder(self, step: str) -> Path:
        """Return the output folder of a step."""
        if step == TRANSFER_STEP:
            return self.folder / TRANSFER_STEP
        return Path(self._library_step_output_dir) if step == LIBRARY_STEP else self.folder

    def note_failures(self, failures: Iterable[tuple[str, str]]) -> None:
        """Let alphaDIA tell at the end which raw files failed at which step."""
        self._raw_files_with_errors.extend(failures)

    def merged(self, step: str, extra: Mapping[str, Any]) -> dict[str, Any]:
        """Merge what is set for a step key by key; by section, as alphaDIA does, mbr's own search settings are lost."""
        return deep_merge(self._multistep_config.get(step, {}), extra)

    def step_config(self, step: str) -> dict[str, Any]:
        """Return what alphaDIA sets for a step of a search with a transfer step, once the steps before are done.

        Tolerances of the first pass are handed on to later ones, and match between runs searches its own library.
        """
        if step == TRANSFER_STEP:
            return self.merged(step, {})
        handed_on = self._get_optimized_values_config(self.step_folder(TRANSFER_STEP))
        if step == LIBRARY_STEP:
            models = str(self.step_folder(TRANSFER_STEP) / SearchPlanFiles.TRANSFER_MODEL_FOLDER_NAME)
            prediction = {"library_prediction": {"peptdeep_model_path": models, "enabled": True}}
            return self.merged(step, deep_merge(prediction, handed_on))
        library = self.step_folder(LIBRARY_STEP) / SearchPlanFiles.MBR_LIBRARY_FILE_NAME
        return self.merged(step, deep_merge(handed_on, {"library_path": str(library)}))
