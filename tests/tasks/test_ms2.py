import numpy as np
import pandas as pd
import pytest
import torch
from alphabase.peptide.mobility import ccs_to_mobility_for_df
from peptdeep.model.charge import group_psm_df_by_modseq
from peptdeep.model.featurize import parse_instrument_indices

from alphadia_tl.errors import DataError
from alphadia_tl.models.weights import new_network
from alphadia_tl.tasks import get_task
from alphadia_tl.tasks.base import TaskData
from alphadia_tl.tasks.charge import observable_states
from alphadia_tl.tasks.predict import choose_dtype
from alphadia_tl.tasks.scalar import measured_ccs
from tasks.made import make_fragments, make_peptides

PEPTIDES = make_peptides(40)
FRAGMENTS = make_fragments(PEPTIDES)
LOSSES = ["b_z1", "b_z2", "y_z1", "y_z2", "b_modloss_z1", "y_modloss_z1"]


def ms2_data(df=PEPTIDES, fragments=FRAGMENTS, mask=None):
    return TaskData(df, fragments, mask)


def all_of(examples, name):
    values = examples.per_row.get(name, examples.per_fragment.get(name))
    return values.numpy()


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


def test_charge_states_of_a_peptidoform_are_put_together_as_peptdeep_does():
    df = pd.concat([PEPTIDES, PEPTIDES.iloc[::3].assign(charge=4), PEPTIDES.iloc[:5]], ignore_index=True)
    df.loc[df.index[:2], "mods"] = ""
    df.loc[df.index[:2], "mod_sites"] = ""
    prepared = get_task("charge").prepare(TaskData(df))
    expected = group_psm_df_by_modseq(df, 1, 10)
    assert len(prepared.examples) == len(expected)
    got = {(*t, s) for s, t in zip(prepared.sequences, all_of(prepared.examples, "target"), strict=True)}
    want = {(*t, s) for s, t in zip(expected["sequence"], expected["charge_indicators"], strict=True)}
    assert got == want


@pytest.mark.parametrize(
    ("charges", "mz", "expected"),
    [
        (None, None, list(range(1, 11))),
        ((2, 4), None, [2, 3, 4]),
        (None, (400.0, 800.0), [2]),
        ((1, 6), (300.0, 1000.0), [1, 2, 3]),
    ],
)
def test_observable_states_follow_the_search_limits(charges, mz, expected):
    df = pd.DataFrame({"sequence": ["PEPTIDEK"], "mods": [""], "mod_sites": [""]})  # MH+ 928.46
    got = observable_states(df, charges, mz)
    assert (np.flatnonzero(got[0]) + 1).tolist() == expected


def test_states_outside_the_limits_are_no_negatives():
    task = get_task("charge")
    data = TaskData(PEPTIDES, charge_limits=(2, 3))
    batch = task.prepare(data).examples.batch(torch.tensor([0]))
    logits = torch.zeros(1, 10, requires_grad=True)
    task.loss(logits, batch).backward()
    assert (logits.grad[0] != 0).tolist() == [False, True, True] + [False] * 7


def test_states_that_the_library_did_not_have_are_no_negatives():
    """A library of measured spectra has one charge state of many a peptide: the others were not looked for."""
    df = PEPTIDES.iloc[:3].assign(charge=[2, 3, 2])
    columns = ["sequence", "mods", "mod_sites", "charge"]
    searched = pd.concat([df[columns], df[columns].iloc[:1].assign(charge=4), df[columns].iloc[1:2].assign(charge=11)])
    data = TaskData(df, charge_limits=(2, 4), searched_df=searched.sample(frac=1, random_state=0))
    observable = all_of(get_task("charge").prepare(data).examples, "observable")
    assert [(np.flatnonzero(row) + 1).tolist() for row in np.asarray(observable)] == [[2, 4], [3], [2]]


def test_a_state_that_was_found_counts_although_it_lies_outside_the_windows():
    """Windows of one run do not cover what another run found."""
    df = PEPTIDES.iloc[:5].assign(charge=[2, 3, 4, 2, 6])
    examples = get_task("charge").prepare(TaskData(df, charge_limits=(2, 3))).examples
    observable, target = all_of(examples, "observable"), all_of(examples, "target")
    assert observable[target > 0].all()
    assert observable.sum() == 5 * 2 + 2


def test_what_is_predicted_for_states_that_could_not_be_seen_changes_no_score():
    task = get_task("charge")
    examples = task.prepare(TaskData(PEPTIDES, charge_limits=(2, 3))).examples
    observable = all_of(examples, "observable").astype(bool)
    good = np.where(all_of(examples, "target") > 0, 0.9, 0.1).astype(np.float32)
    elsewhere = np.where(observable, good, 0.999).astype(np.float32)
    one, two = (task.evaluate(p, examples, None) for p in (good, elsewhere))
    np.testing.assert_array_equal(one.scores, two.scores)
    assert one.metrics == two.metrics
    worse = task.evaluate(np.where(observable, 1 - good, good), examples, None)
    assert (worse.scores > one.scores).all()


@pytest.mark.parametrize("instrument", ["Lumos", "QE", "timsTOF"])
def test_precursors_without_an_instrument_are_of_the_tasks(instrument):
    examples = get_task("ms2", instrument=instrument, nce=27.0).encode(PEPTIDES)
    assert set(all_of(examples, "instrument")) == set(parse_instrument_indices([instrument]))
    assert all_of(examples, "nce") == pytest.approx(0.27)


def test_charge_network_without_its_sigmoid_gives_the_same_probabilities():
    task, network = get_task("charge"), new_network("charge").model.eval()
    batch = task.encode(PEPTIDES).batch(torch.tensor([4]))
    residues = batch["residues"]
    letters = torch.tensor([[0, *map(ord, PEPTIDES["sequence"][4]), 0]])
    assert residues.shape == letters.shape
    expected = network(letters, batch["modifications"])
    torch.testing.assert_close(torch.sigmoid(task.forward(network, batch)), expected)


def test_spectra_are_normalised_by_their_highest_trusted_fragment():
    mask = pd.DataFrame(True, index=FRAGMENTS.index, columns=FRAGMENTS.columns)
    highest = FRAGMENTS["y_z1"].iloc[: PEPTIDES["nAA"][0] - 1].idxmax()
    mask.loc[highest, "y_z1"] = False
    examples = get_task("ms2").prepare(ms2_data(mask=mask)).examples
    first = examples.batch(torch.tensor([0]))
    assert first["target"].max() == 1
    assert first["target"][0, highest, 2] == 0
    assert not first["mask"][0, highest, 2]
    assert int(first["mask"].sum()) == first["mask"].numel() - 1


def test_masked_fragments_change_neither_loss_nor_scores():
    task = get_task("ms2")
    mask = pd.DataFrame(np.random.default_rng(0).random(FRAGMENTS.shape) < 0.7, columns=FRAGMENTS.columns)
    other = FRAGMENTS.where(mask, 1e6)
    losses, scores = [], []
    generator = torch.Generator().manual_seed(0)
    for fragments in (FRAGMENTS, other):
        examples = task.prepare(ms2_data(fragments=fragments, mask=mask)).examples
        batch = examples.batch(torch.tensor([1]))
        output = torch.rand(batch["target"].shape, generator=generator.manual_seed(0))
        losses.append(float(task.loss(output, batch)))
        spoilt = torch.where(batch["mask"], output, output + 5)
        assert float(task.loss(spoilt, batch)) == pytest.approx(losses[-1], rel=1e-6)
        predictions = np.random.default_rng(1).random((len(FRAGMENTS), 4)).astype(np.float32)
        scores.append(task.evaluate(predictions, examples, None).scores)
    assert losses[0] == losses[1]
    np.testing.assert_array_equal(*scores)


def test_untrusted_fragments_get_no_gradient_at_all():
    task = get_task("ms2")
    mask = pd.DataFrame(np.random.default_rng(3).random(FRAGMENTS.shape) < 0.6, columns=FRAGMENTS.columns)
    examples = task.prepare(ms2_data(mask=mask)).examples
    batch = examples.batch(torch.tensor([1]))
    output = torch.rand(batch["target"].shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    task.loss(output, batch).backward()
    assert (~batch["mask"]).any()
    assert (output.grad[~batch["mask"]] == 0).all()
    assert (output.grad[batch["mask"]] != 0).all()


def test_predictions_are_scaled_by_their_highest_trusted_fragment_before_they_are_scored():
    task = get_task("ms2")
    mask = pd.DataFrame(np.random.default_rng(3).random(FRAGMENTS.shape) < 0.6, columns=FRAGMENTS.columns)
    examples = task.prepare(ms2_data(mask=mask)).examples
    perfect = all_of(examples, "target") * 0.3
    spoilt = np.where(all_of(examples, "mask"), perfect, 1)
    for predictions in (perfect, spoilt):
        assert task.evaluate(predictions, examples, None).metrics["l1_loss"] == pytest.approx(0, abs=1e-6)


def test_perfect_prediction_has_no_loss_and_a_full_score():
    task = get_task("ms2")
    examples = task.prepare(ms2_data()).examples
    batch = examples.batch(torch.tensor([2]))
    assert float(task.loss(batch["target"], batch)) == pytest.approx(0, abs=5e-3)
    evaluation = task.evaluate(all_of(examples, "target"), examples, None)
    assert evaluation.metrics["l1_loss"] == pytest.approx(0, abs=1e-7)
    assert evaluation.scores == pytest.approx(np.ones(len(PEPTIDES)), abs=1e-3)


def test_rows_not_meant_for_ms2_or_without_a_trusted_fragment_are_left_out():
    df = PEPTIDES.assign(use_for_ms2=True)
    df.loc[[1, 5], "use_for_ms2"] = False
    mask = pd.DataFrame(True, index=FRAGMENTS.index, columns=FRAGMENTS.columns)
    mask.iloc[df["frag_start_idx"][2] : df["frag_stop_idx"][2]] = False
    fragments = FRAGMENTS.copy()
    fragments.iloc[df["frag_start_idx"][3] : df["frag_stop_idx"][3]] = 0
    kept = get_task("ms2").prepare(ms2_data(df, fragments, mask)).sequences
    assert kept.tolist() == df["sequence"].drop([1, 2, 3, 5]).tolist()


@pytest.mark.parametrize("seed", [0, 1])
def test_spectra_follow_their_precursors_in_any_row_order(seed):
    task = get_task("ms2")
    straight = task.prepare(ms2_data()).examples
    shuffled_df = PEPTIDES.sample(frac=1, random_state=seed)
    shuffled = task.prepare(ms2_data(shuffled_df)).examples
    for new, old in enumerate(shuffled_df.index[:10]):
        first, second = straight.batch(torch.tensor([old])), shuffled.batch(torch.tensor([new]))
        assert all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda df, f: (df.drop(columns="frag_start_idx"), f), "frag_start_idx"),
        (lambda df, f: (df.assign(frag_stop_idx=df["frag_stop_idx"] + 1), f), "one row per cleavage site"),
        (lambda df, f: (df, f.iloc[:-1]), "outside the fragment table"),
        (lambda df, f: (df, f.rename(columns=lambda c: "x" + c)), "none of the columns"),
        (lambda df, f: (df, f * np.nan), "not finite"),
        (lambda df, f: (df, None), "without a table"),
    ],
)
def test_unusable_fragment_tables_are_refused(change, message):
    df, fragments = change(PEPTIDES, FRAGMENTS)
    with pytest.raises(DataError, match=message):
        get_task("ms2").prepare(ms2_data(df, fragments))


def test_fragment_types_that_were_not_measured_are_masked():
    examples = get_task("ms2").prepare(ms2_data(fragments=FRAGMENTS.drop(columns="y_z2"))).examples
    assert not all_of(examples, "mask")[:, 3].any()
    assert all_of(examples, "mask")[:, :3].all()


def test_the_loss_of_a_spectrum_is_that_of_its_trusted_fragments():
    """However many others there are, and whatever is predicted for them."""
    generator = torch.Generator().manual_seed(0)
    output, target = torch.rand(3, 6, 4, generator=generator), torch.rand(3, 6, 4, generator=generator)
    mask = torch.zeros(3, 6, 4)
    mask[:, :2] = 1
    task = get_task("ms2")
    alone = task.loss(output[:, :2], {"target": target[:, :2], "mask": mask[:, :2]})
    with_others = task.loss(output, {"target": target * mask, "mask": mask})
    torch.testing.assert_close(alone, with_others)


def test_skipping_the_layers_for_losses_changes_nothing():
    network = new_network("ms2", LOSSES).model.eval()
    supported = network.supported_charged_frag_types
    task = get_task("ms2", charged_frag_types=["y_z1", "b_z2"], supported=supported)
    batch = task.encode(PEPTIDES).batch(torch.tensor([0]))
    inputs = [batch[k] for k in ("residues", "modifications", "charge", "nce", "instrument")]
    full = network(*inputs)
    columns = [supported.index("y_z1"), supported.index("b_z2")]
    torch.testing.assert_close(task.forward(network, batch), full[:, :, columns])
    assert network._num_modloss_types == 2
    with_loss = get_task("ms2", charged_frag_types=["y_modloss_z1"], supported=supported)
    torch.testing.assert_close(with_loss.forward(network, batch)[..., 0], full[..., supported.index("y_modloss_z1")])


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


@pytest.mark.parametrize(
    ("name", "training", "precision", "expected"),
    [
        ("charge", False, "auto", torch.bfloat16),
        ("charge", True, "auto", None),
        ("charge", True, "bf16", torch.bfloat16),
        ("rt", False, "bf16", None),
    ],
)
def test_a_network_is_trained_in_bf16_only_where_that_is_faster(monkeypatch, name, training, precision, expected):
    monkeypatch.setattr("alphadia_tl.training.precision.hardware_has_bf16", lambda device: True)
    task, network = get_task(name), new_network(name).model
    examples = task.encode(pd.DataFrame({"sequence": ["PEPTIDEK", "AGHCEWQMK"], "mods": "", "mod_sites": ""}))
    assert choose_dtype(task, network, examples, precision, training=training) == expected
