import dataclasses
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from alphadia_tl.errors import SettingsError
from alphadia_tl.settings import (
    EntrapmentSettings,
    PluginSettings,
    TrainingSettings,
    TransferLibrarySettings,
    reference,
    section_template,
)

WRONG = [
    (PluginSettings, {"enabld": True}, "alphadia_tl.enabld"),
    (PluginSettings, {"enabled": 1}, "true or false"),
    (PluginSettings, {"models": "rt"}, "a list"),
    (PluginSettings, {"models": ["rt", "mobility"]}, "rt, charge, ms2, ccs"),
    (PluginSettings, {"models": ["rt", "rt"]}, "none twice"),
    (PluginSettings, {"models": [1]}, "rt, charge, ms2, ccs"),
    (PluginSettings, {"min_training_peptides": 0}, "at least 1"),
    (PluginSettings, {"min_training_peptides": 1.5}, "a whole number"),
    (PluginSettings, {"min_training_peptides": True}, "a whole number"),
    (PluginSettings, {"max_training_precursors": 10}, "min_training_peptides"),
    (PluginSettings, {"gate_confidence": 1.0}, "below 1"),
    (PluginSettings, {"charge_filter_recall": 0.0}, "above 0"),
    (PluginSettings, {"precision": "int8"}, "auto, fp32, bf16"),
    (PluginSettings, {"rt_tolerance": 0}, "above 0"),
    (PluginSettings, {"rt_tolerance": "wide"}, "auto, a number, above 0 or null"),
    (EntrapmentSettings, {"prefix": " "}, "text, not empty or null"),
    (EntrapmentSettings, {"design": "sample"}, "one of shuffled, foreign"),
    (EntrapmentSettings, {"ratio": 0}, "above 0"),
    (EntrapmentSettings, {"prefx": "E_"}, "prefix, ratio"),
    (TrainingSettings, {"train_fraction": 1.2}, "above 0 and below 1"),
    (TrainingSettings, {"train_fraction": 0.8}, "a sum of at most 1"),
    (TrainingSettings, {"epochs": -1}, "at least 1"),
    (TrainingSettings, {"max_lr": 0.0}, "above 0"),
    (TrainingSettings, {"max_lr": "fast"}, "a number"),
    (TrainingSettings, {"batch_size": 0}, "at least 1"),
    (TransferLibrarySettings, {"fragment_types": []}, "a list, not empty"),
    (TransferLibrarySettings, {"top_k_samples": 0}, "at least 1"),
]


@pytest.mark.parametrize(("cls", "values", "message"), WRONG)
def test_wrong_values_are_refused_with_key_and_expectation(cls, values, message):
    with pytest.raises(SettingsError, match=message) as caught:
        cls.from_mapping(values)
    assert cls.section in str(caught.value)


DELETED = [
    (PluginSettings, {"rounds": 1}, "the models are tuned once"),
    (TrainingSettings, {"test_interval": 2}, "validated after every epoch"),
    (PluginSettings, {"tune_again": False}, "alphadia-tl workflow --tune-again"),
    (EntrapmentSettings, {"train": True}, "entrapment is treated as every target is"),
    (PluginSettings, {"cross_fit": 1}, "one model predicts every peptide"),
    (PluginSettings, {"cross_fit": 2}, "one model predicts every peptide"),
]


@pytest.mark.parametrize(("cls", "values", "what_became_of_it"), DELETED)
def test_a_deleted_key_is_refused_with_what_became_of_it(cls, values, what_became_of_it):
    with pytest.raises(SettingsError, match=what_became_of_it) as caught:
        cls.from_mapping(values)
    assert f"'{cls.section}.{next(iter(values))}' does not exist any more" in str(caught.value)


@pytest.mark.parametrize("values", [[], "on", 3])
def test_a_section_that_is_no_mapping_is_refused(values):
    with pytest.raises(SettingsError, match="must be a mapping"):
        PluginSettings.from_mapping(values)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False)])
def test_true_and_false_as_text_count_as_in_alphadia(text, value):
    assert PluginSettings.from_mapping({"enabled": text}).enabled is value


def test_an_empty_section_gives_the_defaults_and_is_off():
    assert PluginSettings.from_mapping(None) == PluginSettings()
    assert not PluginSettings().enabled


def test_keys_of_alphadia_are_ignored_only_where_asked():
    values = {"enabled": True, "nce": 27, "epochs": 7}
    assert TrainingSettings.from_mapping(values, ignore_unknown=True).epochs == 7
    with pytest.raises(SettingsError, match="Unknown config key"):
        TrainingSettings.from_mapping(values)


@pytest.mark.parametrize("cls", [PluginSettings, TrainingSettings, TransferLibrarySettings])
def test_settings_survive_yaml(cls):
    settings = cls()
    assert cls.from_mapping(yaml.safe_load(yaml.safe_dump(settings.to_mapping()))) == settings


def test_the_template_names_every_key_with_its_default_and_a_comment():
    template = section_template()
    parsed = yaml.safe_load(template)["alphadia_tl"]
    assert PluginSettings.from_mapping(parsed) == PluginSettings(enabled=True)
    assert set(parsed) == {f.name for f in dataclasses.fields(PluginSettings)}
    assert template.count("  # ") >= len(parsed)


@given(st.integers(0, 20))
def test_early_stopping_gives_the_scheduler_four_chances(patience):
    assert TrainingSettings(lr_patience=patience).stopping_patience == max(1, 4 * patience)


@pytest.mark.parametrize(
    ("path", "generated"), [("docs/configuration.md", reference), ("config/alphadia_tl.yaml", section_template)]
)
def test_files_made_from_the_settings_are_up_to_date(path, generated):
    assert (Path(__file__).parents[1] / path).read_text() == generated()


def test_a_section_within_a_section_is_checked_and_written_back():
    settings = PluginSettings.from_mapping({"entrapment": {"prefix": "ENTRAPMENT_", "ratio": 2}})
    assert settings.entrapment == EntrapmentSettings(prefix="ENTRAPMENT_", ratio=2)
    assert PluginSettings.from_mapping(settings.to_mapping()) == settings
    with pytest.raises(SettingsError, match=r"alphadia_tl\.entrapment\.ratio"):
        PluginSettings.from_mapping({"entrapment": {"ratio": -1}})


def test_validation_after_every_epoch_may_still_be_asked_for():
    assert TrainingSettings.from_mapping({"test_interval": 1}, ignore_unknown=True) == TrainingSettings()
