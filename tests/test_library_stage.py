"""The tuned library is written only where an accepted model changes it."""

from types import SimpleNamespace

import pytest

from alphadia_tl import library_stage
from alphadia_tl.bundle import Bundle
from alphadia_tl.gate import Decision
from alphadia_tl.library_stage import UNCHANGED, regenerate_library
from alphadia_tl.outcome import StepOutcome
from alphadia_tl.settings import PluginSettings


@pytest.mark.parametrize(
    ("accepted", "changing"), [((), None), (("charge",), None), (("rt",), ["rt"]), (("rt", "charge"), ["rt"])]
)
def test_a_charge_model_that_filters_nothing_changes_no_library(tmp_path, monkeypatch, accepted, changing):
    asked = []

    def regenerate(speclib, tuned, *, accepted, **kwargs):
        asked.append(accepted)
        return "summary"

    monkeypatch.setattr(library_stage, "regenerate", regenerate)
    settings = SimpleNamespace(plugin=PluginSettings(charge_filter_recall=1.0), predicted_frag_types=())
    outcome = StepOutcome(Bundle(tmp_path), decisions=[Decision(m, True, "better") for m in accepted])
    outcome.bundle.tuned_library.write_text("of an earlier call")
    regenerate_library(settings, SimpleNamespace(), outcome, tmp_path / "speclib.hdf")
    assert asked == ([] if changing is None else [changing])
    assert outcome.bundle.tuned_library.exists() == (changing is not None)
    assert outcome.regeneration == (None if changing is None else "summary")
    assert outcome.warnings == ([UNCHANGED] if accepted == ("charge",) else [])
