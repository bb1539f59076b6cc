import pytest
import torch
from small_network import Net, forward, loss, made

from alphadia_tl.training.epoch import infer


def test_outputs_come_in_the_order_of_the_rows():
    network, examples = Net(), made()
    torch.nn.init.normal_(network.emb.weight)
    outputs, _ = infer(network, examples, forward, batch_size=7)
    for i in (0, 17, 299):
        one = network(examples.batch(torch.tensor([i]))["residues"])
        assert outputs[i] == pytest.approx(one.item(), abs=1e-5)


def test_outputs_per_fragment_come_in_the_order_of_the_rows():
    examples = made(n=40)

    def positions(network, batch):
        return batch["target"][:, None, None] + torch.arange(batch["residues"].shape[1] - 3.0)[None, :, None]

    outputs, _ = infer(Net(), examples, positions, batch_size=3)
    expected = torch.cat(
        [t + torch.arange(n - 1.0) for t, n in zip(examples.per_row["target"], examples.lengths, strict=True)]
    )
    torch.testing.assert_close(outputs[:, 0], expected)


def test_mean_loss_does_not_depend_on_the_batches():
    losses = [infer(Net(), made(), forward, loss=loss, batch_size=b)[1] for b in (1, 13, 512)]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)


def test_inference_leaves_the_mode_of_the_network():
    network = Net().train()
    infer(network, made(n=10), forward)
    assert network.training
