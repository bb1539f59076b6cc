import pandas as pd
import pytest

from alphadia_tl.models.provenance import describe_training, differences, gradient_difference

LIBRARY = pd.DataFrame(
    {"raw_name": ["a", "a", "b", "b"], "rt_observed": [60.0, 1200.0, 30.0, 1260.0], "sequence": list("ABCD")}
)
NOW = {
    "fragment_types": ["b_z1", "y_z1"],
    "modifications": ["Oxidation@M"],
    "nce": 25.0,
    "instrument": "Lumos",
}


def record(accepted=("rt", "ms2"), modifications=None):
    trained = describe_training(
        LIBRARY,
        fragment_types=["b_z1", "y_z1", "y_z2"],
        modifications=modifications or {"Oxidation@M": {"rt": 60, "ms2": 55}, "Acetyl@K": {"rt": 0, "ms2": 0}},
        nce=25.0,
        instrument="Lumos",
    )
    models = ("rt", "charge", "ms2", "ccs")
    return {"trained_on": trained, "decisions": [{"model": m, "accepted": m in accepted} for m in models]}


def test_the_record_holds_what_a_later_search_needs():
    assert record()["trained_on"] == {
        "fragment_types": ["b_z1", "y_z1", "y_z2"],
        "modifications": {"Oxidation@M": {"rt": 60, "ms2": 55}},
        "gradient_minutes": 20.5,
        "nce": 25.0,
        "instrument": "Lumos",
        "runs": ["a", "b"],
    }


def test_the_same_task_gives_no_warning():
    assert differences(record(), **NOW) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fragment_types": ["b_z1", "y_z1", "a_z1"]}, "fragment types a_z1 are predicted"),
        ({"modifications": ["Oxidation@M", "Phospho@S"]}, r"Phospho@S was not learnt .*rt 0, ms2 0"),
        ({"nce": 30.0}, "nce is 30.0, but the models were tuned with 25.0"),
        ({"instrument": "timsTOF"}, "instrument is timsTOF"),
    ],
)
def test_each_difference_is_told(changes, message):
    import re

    (line,) = differences(record(), **{**NOW, **changes})
    assert re.search(message, line)


def test_a_modification_with_few_peptides_in_one_model_names_that_model_only():
    (line,) = differences(record(modifications={"Oxidation@M": {"rt": 60, "ms2": 49}}), **NOW)
    assert "(training peptides: ms2 49)" in line


def test_models_that_were_not_tuned_need_not_have_learnt_anything():
    assert differences(record(accepted=("rt",), modifications={"Oxidation@M": {"rt": 60, "ms2": 1}}), **NOW) == []
    assert "no tuned model was accepted" in differences(record(accepted=()), **NOW)[0]


def test_a_record_without_training_is_told():
    assert "not recorded" in differences({}, **NOW)[0]


@pytest.mark.parametrize(("minutes", "told"), [(20.5, 0), (24.5, 0), (25.0, 1), (16.0, 1), (None, 0)])
def test_another_gradient_is_told(minutes, told):
    assert len(gradient_difference(record(), minutes)) == told
    assert gradient_difference({}, minutes) == []
