import numpy as np
import pandas as pd
import pytest
import torch
from peptdeep.model.charge import group_psm_df_by_modseq

from alphadia_tl.models.weights import new_network
from alphadia_tl.tasks import get_task
from alphadia_tl.tasks.base import TaskData
from alphadia_tl.tasks.charge import observable_states
from tasks.made import all_of, make_peptides

PEPTIDES = make_peptides(40)


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


def test_charge_network_without_its_sigmoid_gives_the_same_probabilities():
    task, network = get_task("charge"), new_network("charge").model.eval()
    batch = task.encode(PEPTIDES).batch(torch.tensor([4]))
    residues = batch["residues"]
    letters = torch.tensor([[0, *map(ord, PEPTIDES["sequence"][4]), 0]])
    assert residues.shape == letters.shape
    expected = network(letters, batch["modifications"])
    torch.testing.assert_close(torch.sigmoid(task.forward(network, batch)), expected)
