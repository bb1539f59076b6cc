"""The one sequence of a search with transfer learning, as one process runs it and as jobs do.

First pass, transfer learning, final pass: what each of them is set to and takes from the one before is decided here.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from alphadia_tl import host
from alphadia_tl.entrapment.database import UNKNOWN
from alphadia_tl.entrapment.searches import compare_passes, count_before_protein_fdr, estimate_pass, is_after_mbr
from alphadia_tl.errors import DataError, QuantificationError
from alphadia_tl.host.contract import PRECURSOR
from alphadia_tl.host.plan import HostPlan
from alphadia_tl.host.search_output import count_identifications, first_pass_folders
from alphadia_tl.library.selection import Scouting, Slice, first_slice
from alphadia_tl.library.sites import read_sites, write_sites
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.models.provenance import log_predictors
from alphadia_tl.models.weights import prediction_config
from alphadia_tl.search import done
from alphadia_tl.settings import EntrapmentSettings, PluginSettings
from alphadia_tl.speclib.storage import sound_library
from alphadia_tl.step import step as transfer_learning
from alphadia_tl.step.outcome import StepOutcome, finish
from alphadia_tl.step.rt_diagnosis import window_config
from alphadia_tl.step.step_settings import StepSettings, step_settings

logger = logging.getLogger(__name__)

# Nobody needs these results of the first pass; its library is kept for regeneration. Decoys that a library brings are
# made anew in both passes: tuned models have learnt its targets only.
FIRST_PASS_CONFIG: dict[str, Any] = {
    "general": {"save_library": True, "save_mbr_library": False},
    "library_loading": {"drop_decoys": True},
    "search_output": {"normalization_method": "none"},
    "transfer_library": {"enabled": True},
    "transfer_learning": {"enabled": False},
}
BEFORE_PROTEIN_FDR = "precursors_before_protein_fdr"
AMBIGUOUS_SITES = "ambiguous_sites"
BEFORE_MBR = "Match between runs has not ended: what is told of the second pass is of the pass before it."
FEWER = 0.95  # of the precursors: about what searches with other random states differ by, and some


@dataclass(frozen=True)
class Passes:
    """The passes of a search.

    ``plan`` is alphaDIA's: the user's config without the section of the plugin, folders, tolerances handed on.
    ``plugin`` is that section.
    """

    plan: HostPlan
    plugin: PluginSettings

    @property
    def transfer_folder(self) -> Path:
        """Output folder of the first pass, and the bundle."""
        return self.plan.step_folder(host.TRANSFER_STEP)

    @property
    def final_folder(self) -> Path:
        """Output folder of the pass after tuning."""
        return self.plan.step_folder(host.LIBRARY_STEP)

    @property
    def first_library(self) -> Path:
        """The library that the first pass searches, as it saves it."""
        return self.transfer_folder / host.SPECLIB_FILE

    def tuning_runs(self, raw_paths: Sequence[str]) -> list[str]:
        """Return the raw files that the first pass searches."""
        return spread(raw_paths, self.plugin.first_pass_runs)

    def config(
        self, step: str, extra: Mapping[str, Any] | None = None, outcome: StepOutcome | None = None
    ) -> dict[str, Any]:
        """Return what alphaDIA and the plugin set for a pass, beside the user's config.

        ``extra`` is what alphaDIA sets, where it runs its plan itself; with None its plan is asked. ``outcome`` is
        that of transfer learning: what the final pass searches.
        """
        config = self.plan.step_config(step) if extra is None else self.plan.merged(step, extra)
        if step == (host.TRANSFER_STEP if self.plugin.tune else host.LIBRARY_STEP):
            written = self.plan.user_config.get("library_prediction") or {}
            path, kind = written.get("peptdeep_model_path"), written.get("peptdeep_model_type")
            models = prediction_config(path, kind, self.plan.step_folder(step))  # named as alphaDIA understands it
            config = host.deep_merge(config, {"library_prediction": models})
        if step == host.TRANSFER_STEP:
            config = host.deep_merge(config, FIRST_PASS_CONFIG)
        if step == host.LIBRARY_STEP and outcome is not None:
            config = host.deep_merge(config, library_config(final_library(outcome)))
            if outcome.regeneration is not None:
                window = window_config(outcome.rt_tolerance, self.plan.user_config, self.plan.command_line)
                config = host.deep_merge(config, window)
        return config

    def make_step(self, step: str, config: Mapping[str, Any], folder: Path | None = None) -> Any:
        """Return alphaDIA's step with a config, in its own folder or another one; nothing runs yet."""
        plan = self.plan
        folder = folder or plan.step_folder(step)
        return host.make_step(folder, plan.user_config, plan.command_line, config, step, sound_library)

    def settings(self, config: Mapping[str, Any]) -> StepSettings:
        """Return all settings of transfer learning from the config of a step; custom modifications are made known."""
        host.register_modifications(config)
        return step_settings(config, self.plan.user_config, self.plugin)

    def first_pass(self, extra: Mapping[str, Any]) -> FirstPass:
        """Search with the pretrained models' library, or take up what an earlier call has searched of it.

        Of a large library a part is searched, and further ones until there is enough to tune on. A library leaves the
        memory with its step, which ends here.
        """
        started = time.perf_counter()
        config = self.config(host.TRANSFER_STEP, extra)
        step = self.make_step(host.TRANSFER_STEP, config)
        settings = self.settings(step.config)
        manager = transfer_learning.preflight(settings, self.transfer_folder)
        scouting = self.scouting(step, settings, manager)
        part, folder = None if scouting is None else scouting.part, self.transfer_folder
        quant: list[Path] = []
        while True:
            quant += self._search_part(step, folder, manager, part)
            if scouting is None or (part := scouting.next(quant, settings.fdr)) is None:
                break
            scouting = scouting.extended(part)
            folder = self.transfer_folder / f"{host.SLICE}{scouting.searches}"
            step = self.make_step(host.TRANSFER_STEP, config, folder)
        seconds = time.perf_counter() - started
        return FirstPass(settings, manager.weight_sources(), tuple(quant), seconds, scouting)

    def scouting(self, step: Any, settings: StepSettings, manager: FinetuneManager) -> Scouting | None:
        """Return which part of the library the first pass searches first; None for all of it.

        ``step`` is not run yet; the digest is left in the folder of the first pass.
        """
        wanted = settings.plugin.scout_precursors
        is_plain = not host.config_of(step)["library_multiplexing"]["enabled"]
        predicts = transfer_learning.first_predictor(manager) is not None and settings.predicts_first_library
        if wanted is None or not (is_plain and predicts and settings.charges_are_complete):
            return None
        size = done.digest(step, self.transfer_folder)
        part = first_slice(size, wanted, settings.seed)
        if part is None:
            logger.info(f"The first pass searches the whole library: it has {size:,} precursors.")
            return None
        logger.info(f"The first pass searches {part.stop:.0%} of a library of {size:,} precursors.")
        return Scouting(part, size, wanted)

    def _search_part(self, step: Any, folder: Path, manager: FinetuneManager, part: Slice | None) -> list[Path]:
        """Search a part of the library, or take up what was searched of it; return the folders of the runs."""
        predictor = transfer_learning.first_predictor(manager)
        host.search_only(step, self.tuning_runs(step.raw_path_list))

        def search() -> tuple[done.Errors, list[Path]]:
            with nullcontext() if part is None else host.digested_once(self.transfer_folder, part.rows):
                return host.run_first_pass(step, predictor)

        repeatable = predictor is not None or not host.config_of(step)["library_prediction"]["enabled"]
        errors, quant = done.first_pass(
            step,
            folder,
            manager.weight_sources(),
            search,
            repeatable=repeatable,
            part=None if part is None else asdict(part),
        )
        self.plan.note_failures(errors)
        return list(quant)

    def tune(self, first: FirstPass) -> StepOutcome:
        """Tune the models on the first pass and predict the library again, or take up the bundle of an earlier call."""
        logger.log(host.PROGRESS_LEVEL, "=================== Transfer learning ===================")
        folder, library = self.transfer_folder, self.first_library
        digest = None if first.scouting is None else self._digest

        def run() -> StepOutcome:
            return transfer_learning.run_step(
                first.settings, folder, quant_folders=first.quant_folders, speclib=library, digest=digest
            )

        outcome = done.tuning(first.settings, folder, first.quant_folders, library, first.weights, run)
        outcome = replace(outcome, seconds={"first pass": first.seconds, **outcome.seconds})
        outcome = with_scouting(outcome, first.scouting)
        outcome.write_provenance()
        _give_back_memory()
        return outcome

    def whole_library(self, outcome: StepOutcome) -> Path | None:
        """Return the digest of the whole library where the first pass has searched a part of it."""
        return self._digest if "scout" in outcome.provenance else None

    @property
    def _digest(self) -> Path:
        return self.transfer_folder / host.DIGEST_FILES[0]

    def final_pass(self, extra: Mapping[str, Any], outcome: StepOutcome) -> dict[str, Any]:
        """Return the config of the final pass: the tuned library, or the first pass's results where it stays as it was.

        Runs that an interrupted final pass has searched are not searched again.
        """
        config = self.config(host.LIBRARY_STEP, extra, outcome)
        if outcome.regeneration is None:
            logger.info("The library stays: the quantification of the first pass is used, nothing is searched again.")
            quant = str(self.transfer_folder / host.QUANT_FOLDER)
            config = host.deep_merge(config, {"general": {"reuse_quant": True, "reuse_quant_from": [quant]}})
        else:
            logger.info(f"The final pass searches the library of the tuned models: {final_library(outcome)}")
            log_predictors(outcome.changing)
        whole = host.deep_merge(self.plan.user_config, self.plan.command_line, config)
        return host.deep_merge(config, done.second_pass_config(self.final_folder, whole, config))

    def finish(self, outcome: StepOutcome, searched: int, step: str) -> StepOutcome:
        """Write what is known only after the final pass: what both passes found, and the report.

        ``searched`` is the number of runs that the first pass searched, ``step`` the last one that has ended.
        """
        runs = len(self.plan.raw_paths)
        if searched < runs:
            note = f"The first pass searched {searched} of {runs} runs: its numbers are of these."
            outcome = outcome.with_warnings(note)
        if step != self.plan.steps[-1]:
            outcome = outcome.with_warnings(BEFORE_MBR)
        return finish_search(outcome, self.plan.step_folder(step))


@dataclass(frozen=True)
class FirstPass:
    """What the first pass leaves to transfer learning.

    ``weights`` tells where the weights came from that predicted its library, ``scouting`` which part of the whole one
    was searched; None for all of it.
    """

    settings: StepSettings
    weights: Mapping[str, Any]
    quant_folders: tuple[Path, ...]
    seconds: float
    scouting: Scouting | None = None


def with_scouting(outcome: StepOutcome, scouting: Scouting | None) -> StepOutcome:
    """Return the outcome with the part of the library that was searched before it."""
    if scouting is None:
        return outcome
    if not outcome.changing:
        outcome = outcome.with_warnings(
            "Nothing that changes the library was accepted: the final pass is one pass with the pretrained models."
        )
    facts = {**asdict(scouting.part), "library": scouting.size, "searches": scouting.searches}
    return outcome.with_provenance(scout=facts)


def manager_of(settings: StepSettings, outcome: StepOutcome | None, folder: Path) -> FinetuneManager:
    """Return the models that predict the library of a pass: those to start from, or the tuned ones that were accepted.

    ``outcome`` is None before transfer learning, where the output folder is checked, too; errors as in `preflight`.
    """
    if outcome is None:
        return transfer_learning.preflight(settings, folder)
    manager = transfer_learning.start_manager(settings)
    manager.load_tuned(outcome.bundle.models, outcome.accepted)
    if "ms2" in outcome.accepted:
        manager.use_nce(float(outcome.provenance["nce"]), outcome.provenance["instrument_used"])
    return manager


def final_library(outcome: StepOutcome) -> Path:
    """Return the library that the pass after tuning searches: the tuned one, or the first pass's where it stays."""
    bundle = outcome.bundle
    return bundle.tuned_library if outcome.regeneration is not None else bundle.folder / host.SPECLIB_FILE


def library_config(library: Path) -> dict[str, Any]:
    """Return the config that makes a pass search a finished library."""
    return {
        "library_prediction": {"enabled": False, "peptdeep_model_path": None},
        "library_path": str(library),
        "library_multiplexing": {"enabled": False},
    }


def spread(raw_paths: Sequence[str], number: int | None) -> list[str]:
    """Choose raw files that are spread evenly over all of them, in their order, the first and the last among them.

    Raw files are mostly in the order in which they were acquired; a column ages and an instrument drifts over a batch,
    and models for all of it must see all of it. With ``number`` None all are chosen.
    """
    if number is None or number >= len(raw_paths):
        return list(raw_paths)
    if number == 1:
        chosen = [len(raw_paths) // 2]
    else:
        chosen = [round(i * (len(raw_paths) - 1) / (number - 1)) for i in range(number)]
    logger.info(
        f"The first pass searches {number} of {len(raw_paths)} raw files, spread evenly over them "
        "(alphadia_tl.tuning_runs); the models are tuned on these."
    )
    return [raw_paths[i] for i in chosen]


def finish_search(outcome: StepOutcome, final_folder: Path) -> StepOutcome:
    """Write what is known only after the final pass: what both passes found, and the report.

    A table that cannot be read costs its figures and a warning: the search is done and stays.
    """
    folders = [outcome.bundle.folder, final_folder]
    parts, scout = first_pass_folders(folders[0]), outcome.provenance.get("scout")
    counts = [count_identifications(*parts), count_identifications(final_folder)]
    if scout and counts[0] is not None:
        counts[0]["of_library"] = scout["stop"]
    if counts[1] is not None and is_after_mbr(final_folder):
        counts[1]["match_between_runs"] = True
    warnings: list[str] = []
    with _warned(warnings, "Precursors before the protein FDR were not counted"):
        told = _look_before_protein_fdr((parts, [final_folder]), counts, outcome.provenance.get("fdr"))
        warnings += [] if scout else told
    provenance = dict(outcome.provenance)
    for folder, count in zip(folders, counts, strict=True):
        with _warned(warnings, f"Ambiguous sites were not counted for {folder}"):
            sites = read_sites(folder, provenance.get("fdr") or 1.0)
            if folder == final_folder:
                write_sites(outcome.bundle.sites, sites)
            if count is not None and sites is not None:
                count[AMBIGUOUS_SITES] = len(sites[sites["site_ambiguous"]].drop_duplicates(PRECURSOR))
    entrapment = EntrapmentSettings.from_mapping((provenance.get("alphadia_tl") or {}).get("entrapment"))
    fdr = provenance["fdr"]
    with _warned(warnings, "Precursors that were kept, gained and lost were not counted"):
        provenance["between_passes"] = compare_passes(folders[0], final_folder, entrapment, claimed_fdr=fdr)
    if entrapment.prefix is not None:
        for folder, count in ((f, c) for f, c in zip(folders, counts, strict=True) if c is not None):
            with _warned(warnings, f"No error estimate for {folder}"):
                count["verdict"] = UNKNOWN
                count |= estimate_pass(folder, entrapment, claimed_fdr=fdr)
    for warning in warnings:
        logger.warning(warning)
    outcome = replace(outcome, provenance=provenance).with_warnings(*warnings)
    return finish(outcome, first_pass=counts[0], second_pass=counts[1])


@contextmanager
def _warned(warnings: list[str], text: str) -> Iterator[None]:
    try:
        yield
    except (QuantificationError, DataError) as error:
        warnings.append(f"{text}: {error}")


def _look_before_protein_fdr(
    folders: Sequence[Sequence[Path]], counts: Sequence[dict[str, Any] | None], fdr: float | None
) -> list[str]:
    """Add to the counts of each pass what it found before the protein FDR; warn where the later one reports fewer."""
    first, second = counts
    if fdr is None or first is None or second is None:
        return []
    before = [count_before_protein_fdr(*of_pass, claimed_fdr=fdr) for of_pass in folders]
    for count, number in zip((first, second), before, strict=True):
        if number is not None:
            count[BEFORE_PROTEIN_FDR] = number
    if second["precursors"] >= FEWER * first["precursors"]:
        return []
    found = f"{second['precursors']:,} precursors, the one before {first['precursors']:,}"
    taken = "" if None in before else f"before the protein FDR they are {before[1]:,} and {before[0]:,}. "
    return [f"The pass after tuning reports {found}; {taken}Tables of the pass before: {folders[0][0]}"]


def _give_back_memory() -> None:
    """Let the C library give back what was freed: after the tuning of a small search half of the process's memory."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:  # not musl
        trim(0)
