import pytest
import torch

from alphadia_tl.training.examples import Examples, SparseSites, length_batches, training_steps


@pytest.fixture
def examples():
    lengths = torch.tensor([3, 2, 3, 4])
    residues = torch.tensor([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], dtype=torch.int8)
    sites = SparseSites(
        pointer=torch.tensor([0, 2, 2, 3, 5]),
        site=torch.tensor([0, 2, -1, 1, 1]),
        kind=torch.tensor([0, 1, 0, 0, 1]),
        table=torch.tensor([[1.0, 0.0], [0.0, 2.0]]),
    )
    fragments = torch.arange(8.0)[:, None]
    return Examples(lengths, residues, sites, {"target": torch.arange(4.0)}, {"intensity": fragments})


def test_batch_gathers_what_belongs_to_each_row(examples):
    batch = examples.batch(torch.tensor([2, 0]))
    assert batch["residues"].tolist() == [[0, 6, 7, 8, 0], [0, 1, 2, 3, 0]]
    assert batch["target"].tolist() == [2.0, 0.0]
    assert batch["intensity"][..., 0].tolist() == [[3.0, 4.0], [0.0, 1.0]]
    expected = torch.zeros(2, 5, 2)
    expected[0, 4, 0] = 1  # site -1 is the C-terminus
    expected[1, 0, 0] = 1
    expected[1, 2, 1] = 2
    assert torch.equal(batch["modifications"], expected)


def test_several_modifications_on_one_site_add_up(examples):
    assert examples.batch(torch.tensor([3]))["modifications"][0, 1].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("rows", [[0], [3, 1], [2, 0, 3], [1, 1]])
def test_selected_rows_give_the_same_batches(examples, rows):
    selected = examples.select(torch.tensor(rows))
    assert len(selected) == len(rows)
    for i, row in enumerate(rows):
        new, old = selected.batch(torch.tensor([i])), examples.batch(torch.tensor([row]))
        assert all(torch.equal(new[k], old[k]) for k in old)


def many(n=500, seed=0):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(7, 30, (n,), generator=generator)
    sites = SparseSites(
        torch.zeros(n + 1, dtype=torch.long), torch.zeros(0).long(), torch.zeros(0).long(), torch.zeros(1, 2)
    )
    return Examples(lengths, torch.ones(int(lengths.sum()), dtype=torch.int8), sites)


@pytest.mark.parametrize("batch_size", [1, 7, 32, 1000])
def test_an_epoch_has_every_row_once_and_one_length_per_batch(batch_size):
    examples = many()
    steps = list(training_steps(examples, batch_size, torch.Generator().manual_seed(1)))
    rows = torch.cat([b for s in steps for b in s])
    assert sorted(rows.tolist()) == list(range(len(examples)))
    assert all(len(set(examples.lengths[b].tolist())) == 1 for s in steps for b in s)


@pytest.mark.parametrize("rows", [1, 50, 10_000])
def test_an_epoch_may_be_a_sample_that_differs_from_epoch_to_epoch(rows):
    examples, generator = many(), torch.Generator().manual_seed(1)

    def sample():
        return {int(r) for s in training_steps(examples, 16, generator, rows=rows) for b in s for r in b}

    first, second = sample(), sample()
    assert len(first) == len(second) == min(rows, len(examples))
    assert first != second or rows >= len(examples)


@pytest.mark.parametrize("batch_size", [16, 64])
def test_steps_are_about_as_large_as_asked_for(batch_size):
    sizes = [sum(map(len, s)) for s in training_steps(many(), batch_size, torch.Generator().manual_seed(1))]
    assert max(sizes) <= 2 * batch_size
    assert sum(s < batch_size / 2 for s in sizes) <= 1


def test_shuffle_depends_on_the_generator_only():
    def order(seed):
        return [b.tolist() for s in training_steps(many(), 32, torch.Generator().manual_seed(seed)) for b in s]

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_length_batches_cover_all_rows_in_a_fixed_order():
    examples = many()
    batches = list(length_batches(examples, 50))
    assert sorted(torch.cat(batches).tolist()) == list(range(len(examples)))
    assert all(len(b) <= 50 and len(set(examples.lengths[b].tolist())) == 1 for b in batches)


def test_no_rows_give_no_batches():
    empty = many(n=0)
    assert list(length_batches(empty, 10)) == []
    assert list(training_steps(empty, 10, torch.Generator())) == []
