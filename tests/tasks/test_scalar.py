import numpy as np
import pytest
import torch
from alphabase.peptide.mobility import ccs_to_mobility_for_df

from alphadia_tl.errors import DataError
from alphadia_tl.models.weights import new_network
from alphadia_tl.tasks import get_task
from alphadia_tl.tasks.base import TaskData
from alphadia_tl.tasks.scalar import measured_ccs, mobility_per_ccs
from tasks.made import all_of, make_peptides

PEPTIDES = make_peptides(40)


@pytest.mark.parametrize(("name", "column"), [("rt", "rt_norm"), ("ccs", "ccs")])
def test_scalar_targets_are_the_measured_values(name, column):
    prepared = get_task(name).prepare(TaskData(PEPTIDES))
    assert all_of(prepared.examples, "target") == pytest.approx(PEPTIDES[column].to_numpy(), rel=1e-6)
    assert prepared.sequences.tolist() == PEPTIDES["sequence"].tolist()


def test_a_false_identification_pulls_less_on_retention_times_than_a_true_one():
    """Near the truth the loss is the absolute error; at half the gradient its slope is a sixth."""
    errors = torch.tensor([0.002, 0.1, 0.5], requires_grad=True)
    loss = get_task("rt").loss(errors, {"target": torch.zeros(3)})
    loss.backward()
    assert (3 * errors.grad).tolist() == pytest.approx([1 / 1.02, 1 / 2, 1 / 6])
    near = torch.tensor([0.001, -0.002])
    assert float(get_task("rt").loss(near, {"target": torch.zeros(2)})) == pytest.approx(0.0015, rel=0.02)


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        ("rt", "rt_norm", np.nan),
        ("rt", "rt_norm", np.inf),
        ("ccs", "charge", None),
        ("charge", "charge", 11),
        ("charge", "charge", 0),
    ],
)
def test_unusable_values_are_found_before_training(name, column, value):
    df = PEPTIDES.astype({column: object})
    df.loc[3, column] = value
    with pytest.raises(DataError, match=column):
        get_task(name).prepare(TaskData(df))


@pytest.mark.parametrize(
    ("name", "column", "value", "told"),
    [
        ("rt", "rt_norm", np.nan, "rt_norm that is no number: 1"),
        ("rt", "mod_sites", "99", "numbers of mods and mod_sites that differ: 1"),
        ("ccs", "charge", np.nan, "charge other than 1 to 10: 1"),
        ("charge", "charge", 0, "charge other than 1 to 10: 1"),
        ("ms2", "nce", np.nan, "nce other than 1 to 100: 1"),
        ("ms2", "nce", 0.3, "nce other than 1 to 100: 1"),
        ("ms2", "instrument", "Quantum9000", "unknown instrument Quantum9000: 1"),
    ],
)
def test_rows_that_cannot_be_learnt_are_told_and_left_out(name, column, value, told, caplog):
    df = PEPTIDES.assign(nce=30.0, instrument="exploris").astype({column: object})
    row = df.index[df["mods"] == ""][3]
    df.loc[row, column] = value
    assert get_task(name).learnable(df).index.tolist() == df.index.drop(row).tolist()
    assert told in caplog.text
    with pytest.raises(DataError, match=r"1 of 1 rows for the .* cannot be learnt"):
        get_task(name).learnable(df.loc[[row]])


@pytest.mark.parametrize("column", ["ccs", "mobility"])
@pytest.mark.parametrize("missing", [np.nan, 0.0])
def test_precursors_without_a_measured_ccs_are_left_out(column, missing):
    """Those of runs without ion mobility, searched together with runs that have it."""
    df = PEPTIDES.assign(precursor_mz=400.0 + PEPTIDES.index)
    df["mobility"] = ccs_to_mobility_for_df(df.copy(), "ccs")
    df = df.drop(columns={"ccs": "mobility", "mobility": "ccs"}[column])
    df.loc[df.index % 2 == 1, column] = missing
    prepared = get_task("ccs").prepare(TaskData(df))
    assert prepared.sequences.tolist() == df["sequence"][::2].tolist()
    assert all_of(prepared.examples, "target") == pytest.approx(PEPTIDES["ccs"].to_numpy()[::2], rel=1e-5)
    with pytest.raises(DataError, match="no row with a CCS"):
        get_task("ccs").prepare(TaskData(df.assign(**{column: missing})))


@pytest.mark.parametrize(("name", "column"), [("rt", "rt_norm"), ("ccs", "ccs"), ("charge", "charge")])
def test_missing_target_is_an_error(name, column):
    with pytest.raises(DataError, match=column):
        get_task(name).prepare(TaskData(PEPTIDES.drop(columns=column)))


def test_ccs_comes_from_mobility_in_any_row_order():
    df = PEPTIDES.assign(precursor_mz=400.0 + PEPTIDES.index)
    df["mobility"] = ccs_to_mobility_for_df(df.copy(), "ccs")
    without = df.drop(columns=["ccs", "precursor_mz"])
    got = measured_ccs(df.drop(columns="ccs"))
    assert got == pytest.approx(df["ccs"].to_numpy(), rel=1e-6)
    shuffled = without.sample(frac=1, random_state=0)
    assert measured_ccs(shuffled) == pytest.approx(measured_ccs(without)[shuffled.index], rel=1e-9)
    assert "precursor_mz" not in shuffled.columns


@pytest.mark.parametrize(("name", "slope", "offset"), [("rt", 3.0, -0.2), ("ccs", 0.5, 100.0)])
def test_warm_start_puts_the_outputs_on_the_scale_of_the_targets(name, slope, offset):
    task, network = get_task(name), new_network(name).model.eval()
    examples = task.prepare(TaskData(PEPTIDES)).examples
    rows = torch.tensor([0])
    before = task.forward(network, examples.batch(rows)).detach()
    outputs = torch.linspace(0, 1, len(examples))
    examples.per_row["target"].copy_(slope * outputs + offset)
    task.warm_start(network, outputs, examples)
    torch.testing.assert_close(task.forward(network, examples.batch(rows)).detach(), slope * before + offset)


@pytest.mark.parametrize("outputs", [torch.zeros(40), -torch.linspace(0, 1, 40)])
def test_warm_start_leaves_a_network_alone_that_knows_nothing(outputs):
    task, network = get_task("rt"), new_network("rt").model
    examples = task.prepare(TaskData(PEPTIDES)).examples
    examples.per_row["target"].copy_(torch.linspace(0, 1, 40))
    before = {k: v.clone() for k, v in network.state_dict().items()}
    task.warm_start(network, outputs, examples)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_rt_headline_forgives_what_a_search_calibrates_away():
    task = get_task("rt")
    df = make_peptides(300)
    examples = task.prepare(TaskData(df)).examples
    target = df["rt_norm"].to_numpy()
    predictions = np.sqrt(target) * 3
    evaluation = task.evaluate(predictions, examples, task.calibrate(predictions, examples))
    assert evaluation.metrics["median_abs_error_calibrated"] < 0.01
    assert evaluation.metrics["l1_loss"] > 0.5
    assert np.median(evaluation.scores) == evaluation.metrics["median_abs_error_calibrated"]


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (1.04, 0.0), (0.97, 0.03)])
def test_a_shift_of_the_mobility_scale_is_no_error_of_the_ccs_model(slope, offset):
    """As a search calibrates mobility in each run; differences between precursors stay errors."""
    task, prepared = get_task("ccs"), get_task("ccs").prepare(TaskData(PEPTIDES))
    mobility = mobility_per_ccs(PEPTIDES) * PEPTIDES["ccs"].to_numpy()
    predicted = (slope * mobility + offset) / mobility_per_ccs(PEPTIDES)
    shifted = task.evaluate(predicted, prepared.examples, task.calibrate(predicted, prepared.examples))
    assert shifted.metrics[task.headline.name] == pytest.approx(0, abs=1e-4)
    noisy = predicted * np.random.default_rng(1).normal(1, 0.05, len(predicted))
    wrong = task.evaluate(noisy, prepared.examples, task.calibrate(noisy, prepared.examples))
    assert wrong.metrics[task.headline.name] > 0.01
