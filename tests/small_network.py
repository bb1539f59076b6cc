"""A network of a few numbers, and rows that it can learn."""

import torch

from alphadia_tl.training.examples import Examples, SparseSites


class Net(torch.nn.Module):
    """Sum of a learnt value per residue."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.emb = torch.nn.Embedding(27, 1, padding_idx=0)
        torch.nn.init.zeros_(self.emb.weight)
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, residues):
        return self.dropout(self.emb(residues)).sum(dim=(1, 2))


def forward(network, batch):
    return network(batch["residues"])


def loss(output, batch):
    return (output - batch["target"]).abs().mean()


def made(n=300, seed=0):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(7, 12, (n,), generator=generator)
    residues = torch.randint(1, 27, (int(lengths.sum()),), generator=generator).to(torch.int8)
    owner = torch.repeat_interleave(torch.arange(n), lengths)
    target = torch.zeros(n).index_add_(0, owner, residues.float() / 26)
    sites = SparseSites(
        torch.zeros(n + 1, dtype=torch.long), torch.zeros(0).long(), torch.zeros(0).long(), torch.zeros(1, 1)
    )
    return Examples(lengths, residues, sites, {"target": target})
