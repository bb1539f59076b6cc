"""The tuned library is written only where an accepted model changes it."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import yaml

from alphadia_tl.bundle import Bundle
from alphadia_tl.errors import PredictionError
from alphadia_tl.models.gate import Decision
from alphadia_tl.settings import PluginSettings
from alphadia_tl.speclib.regenerate import RegenerationSummary
from alphadia_tl.step import rewrite_library as library_stage
from alphadia_tl.step.outcome import StepOutcome
from alphadia_tl.step.rewrite_library import UNCHANGED, rewrite_library

SUMMARY = RegenerationSummary("speclib.tuned.hdf", "", ("rt",), 1, 1, 1, 1, None)


@pytest.mark.parametrize(
    ("accepted", "changing"), [((), None), (("charge",), None), (("rt",), ["rt"]), (("rt", "charge"), ["rt"])]
)
def test_a_charge_model_that_filters_nothing_changes_no_library(tmp_path, monkeypatch, accepted, changing):
    asked = []

    def regenerate(speclib, tuned, models):
        asked.append(models.accepted)
        return SUMMARY

    monkeypatch.setattr(library_stage, "regenerate", regenerate)
    settings = SimpleNamespace(plugin=PluginSettings(charge_filter_recall=1.0), predicted_frag_types=())
    outcome = StepOutcome(Bundle(tmp_path), decisions=tuple(Decision(m, True, "better") for m in accepted))
    outcome.bundle.tuned_library.write_text("of an earlier call")
    outcome = rewrite_library(settings, SimpleNamespace(), outcome, tmp_path / "speclib.hdf")
    assert asked == ([] if changing is None else [changing])
    assert outcome.bundle.tuned_library.exists() == (changing is not None)
    assert outcome.regeneration == (None if changing is None else SUMMARY)
    assert outcome.warnings == ((UNCHANGED,) if accepted == ("charge",) else ())


def test_a_tuned_model_that_cannot_predict_makes_way_and_the_others_go_on(tmp_path, monkeypatch):
    """What is written beside the library is of the models that predicted it: weights, energy, RT tolerance."""
    asked, done = [], []

    def regenerate(speclib, tuned, models):
        asked.append(models.accepted)
        if "rt" in models.accepted:
            error = PredictionError("The RT model's predictions are not all finite.")
            error.model = "rt"
            raise error
        return SUMMARY

    monkeypatch.setattr(library_stage, "regenerate", regenerate)
    monkeypatch.setattr(library_stage, "collision_energy", lambda *a: done.append("energy") or {"nce": 30.0})
    monkeypatch.setattr(library_stage, "save_models", lambda *a: done.append("weights") or {"rt": "hash"})
    manager = SimpleNamespace(restore_pretrained=lambda name: done.append(f"pretrained {name}"))
    settings = SimpleNamespace(plugin=PluginSettings(), predicted_frag_types=())
    decisions = tuple(Decision(m, True, "better") for m in ("rt", "ms2"))
    outcome = StepOutcome(Bundle(tmp_path), decisions=decisions, rt_tolerance=0.07)
    outcome = rewrite_library(settings, manager, outcome, tmp_path / "speclib.hdf")
    assert asked == [["rt", "ms2"], ["ms2"]]
    assert done == ["pretrained rt", "energy", "weights"]
    assert outcome.accepted == ("ms2",)
    assert outcome.regeneration == SUMMARY
    assert outcome.rt_tolerance is None
    assert (outcome.provenance["nce"], outcome.provenance["models"]) == (30.0, {"rt": "hash"})
    assert yaml.safe_load(outcome.bundle.provenance.read_text()) == outcome.to_mapping()


def test_an_error_of_no_model_ends_the_step(tmp_path, monkeypatch):
    def regenerate(*args, **kwargs):
        raise PredictionError("The library has no precursor.", "Check the FASTA file.")

    monkeypatch.setattr(library_stage, "regenerate", regenerate)
    settings = SimpleNamespace(plugin=PluginSettings(), predicted_frag_types=())
    outcome = StepOutcome(Bundle(tmp_path), decisions=(Decision("rt", True, "better"),))
    with pytest.raises(PredictionError, match="no precursor"):
        rewrite_library(settings, SimpleNamespace(), outcome, tmp_path / "speclib.hdf")


def test_what_stays_a_given_librarys_own_is_not_predicted(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(library_stage, "regenerate", lambda a, b, models: asked.append(models.accepted) or SUMMARY)
    settings = SimpleNamespace(plugin=PluginSettings(), predicted_frag_types=())
    decisions = tuple(Decision(m, True, "better") for m in ("rt", "ms2"))
    outcome = StepOutcome(Bundle(tmp_path), decisions=decisions, library_values_kept=("ms2",))
    outcome = rewrite_library(settings, SimpleNamespace(), outcome, tmp_path / "speclib.hdf")
    assert asked == [["rt"]]
    outcome = replace(outcome, library_values_kept=("ms2", "rt"))
    outcome = rewrite_library(settings, SimpleNamespace(), outcome, tmp_path / "speclib.hdf")
    assert asked == [["rt"]]
    assert outcome.regeneration is None
    assert outcome.warnings == ()  # what stays was told where it was decided
