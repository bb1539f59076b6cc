import numpy as np
import pandas as pd
import pytest
import torch
from peptdeep.model.featurize import parse_instrument_indices

from alphadia_tl.errors import DataError
from alphadia_tl.models.weights import new_network
from alphadia_tl.tasks import get_task
from alphadia_tl.tasks.base import TaskData
from tasks.made import all_of, make_fragments, make_peptides

PEPTIDES = make_peptides(40)
FRAGMENTS = make_fragments(PEPTIDES)
LOSSES = ["b_z1", "b_z2", "y_z1", "y_z2", "b_modloss_z1", "y_modloss_z1"]


def ms2_data(df=PEPTIDES, fragments=FRAGMENTS, mask=None):
    return TaskData(df, fragments, mask)


@pytest.mark.parametrize("instrument", ["Lumos", "QE", "timsTOF"])
def test_precursors_without_an_instrument_are_of_the_tasks(instrument):
    examples = get_task("ms2", instrument=instrument, nce=27.0).encode(PEPTIDES)
    assert set(all_of(examples, "instrument")) == set(parse_instrument_indices([instrument]))
    assert all_of(examples, "nce") == pytest.approx(0.27)


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
