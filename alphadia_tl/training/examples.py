"""Peptides as tensors, encoded once; batches are gathered from them by row number.

Rows of equal length form a bucket, and a batch holds rows of one length only, so that no padding
is needed. Values per residue or per cleavage site lie one row after the other in flat tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

Batch = dict[str, Tensor]


def _ranges(start: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Concatenate ``start[i] .. start[i] + count[i]``: (number i of each element, the element)."""
    owner = torch.repeat_interleave(torch.arange(len(start), device=start.device), count)
    shift = start - (count.cumsum(0) - count)
    return owner, shift[owner] + torch.arange(len(owner), device=start.device)


@dataclass(frozen=True)
class SparseSites:
    """Feature vectors at few positions of few rows, made dense per batch.

    ``pointer`` is (n + 1,) int64: the entries of row i are ``pointer[i]:pointer[i + 1]``. ``site`` is the position of
    each entry: 0 the N-terminus, 1 the first residue, -1 the C-terminus. ``kind`` is its row of ``table``, which is
    (kinds, features) float32.
    """

    pointer: Tensor
    site: Tensor
    kind: Tensor
    table: Tensor

    def dense(self, rows: Tensor, length: int) -> Tensor:
        """Return (len(rows), length + 2, features) for rows that all have ``length`` residues."""
        out = torch.zeros((len(rows), length + 2, self.table.shape[1]), device=self.table.device)
        row, entry = self._entries(rows)
        site = self.site[entry] % (length + 2)
        return out.index_put_((row, site), self.table[self.kind[entry]], accumulate=True)

    def select(self, rows: Tensor) -> SparseSites:
        """Return the entries of some rows, in the order given."""
        row, entry = self._entries(rows)
        count = torch.bincount(row, minlength=len(rows))
        pointer = torch.nn.functional.pad(count.cumsum(0), (1, 0))
        return SparseSites(pointer, self.site[entry], self.kind[entry], self.table)

    def _entries(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        start = self.pointer[rows]
        return _ranges(start, self.pointer[rows + 1] - start)

    def to(self, device: torch.device) -> SparseSites:
        """Return a copy on another device."""
        return SparseSites(*(t.to(device) for t in (self.pointer, self.site, self.kind, self.table)))


@dataclass(frozen=True)
class Examples:
    """Encoded rows.

    ``lengths`` is (n,) int64, the number of residues; ``residues`` is (sum of lengths,), 1 for A to 26 for Z; ``sites``
    are modification features. ``per_row`` has values with n rows each: charge, targets per peptide, …; ``per_fragment``
    has values with ``length - 1`` rows per peptide, one after the other.
    """

    lengths: Tensor
    residues: Tensor
    sites: SparseSites
    per_row: Mapping[str, Tensor] = field(default_factory=dict)
    per_fragment: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ends = self.lengths.cumsum(0)
        object.__setattr__(self, "_residue_start", ends - self.lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def residue_start(self) -> Tensor:
        """Return (n,) the first position of each row in ``residues``."""
        start: Tensor = self.__dict__["_residue_start"]
        return start

    def fragment_start(self) -> Tensor:
        """Return (n,) the first position of each row in the tensors of ``per_fragment``."""
        return self.residue_start() - torch.arange(len(self), device=self.lengths.device)

    def batch(self, rows: Tensor) -> Batch:
        """Gather rows of one length.

        A batch has "residues" (b, length + 2) int64 with 0 at both ends, "modifications" (b, length + 2, features)
        float32, and the values per row (b, …) and per fragment (b, length - 1, …).
        """
        length = int(self.lengths[rows[0]])
        start = self.residue_start()[rows, None]
        span = torch.arange(length, device=start.device)
        residues = torch.nn.functional.pad(self.residues[start + span].long(), (1, 1))
        batch = {"residues": residues, "modifications": self.sites.dense(rows, length)}
        batch.update({name: values[rows] for name, values in self.per_row.items()})
        if self.per_fragment:
            position = self.fragment_start()[rows, None] + span[:-1]
            batch.update({name: values[position] for name, values in self.per_fragment.items()})
        return batch

    def select(self, rows: Tensor) -> Examples:
        """Return some rows, in the order given."""
        lengths = self.lengths[rows]
        fragments = _ranges(self.fragment_start()[rows], lengths - 1)[1]
        return Examples(
            lengths,
            self.residues[_ranges(self.residue_start()[rows], lengths)[1]],
            self.sites.select(rows),
            {k: v[rows] for k, v in self.per_row.items()},
            {k: v[fragments] for k, v in self.per_fragment.items()},
        )

    def to(self, device: torch.device) -> Examples:
        """Return a copy on another device."""
        return Examples(
            self.lengths.to(device),
            self.residues.to(device),
            self.sites.to(device),
            {k: v.to(device) for k, v in self.per_row.items()},
            {k: v.to(device) for k, v in self.per_fragment.items()},
        )


def _by_length(lengths: Tensor, rows: Tensor) -> Iterator[Tensor]:
    rows = rows[torch.argsort(lengths[rows], stable=True)]
    _, counts = torch.unique_consecutive(lengths[rows], return_counts=True)
    yield from torch.split(rows, counts.tolist())


def length_batches(examples: Examples, batch_size: int) -> Iterator[Tensor]:
    """Yield the row numbers of batches of one length each, in a fixed order."""
    lengths = examples.lengths
    for bucket in _by_length(lengths, torch.arange(len(lengths), device=lengths.device)):
        yield from torch.split(bucket, batch_size)


def training_steps(
    examples: Examples, batch_size: int, generator: torch.Generator, *, rows: int | None = None
) -> Iterator[list[Tensor]]:
    """Yield optimizer steps: lists of batches that add up to about ``batch_size`` rows.

    Rows are shuffled within their length, and steps among each other. What is left over of a
    length is put together with other lengths' rests, so that a rare length is not a step of its own.

    With ``rows``, a random sample of so many is taken.
    """
    chosen = torch.randperm(len(examples), generator=generator)[:rows].to(examples.lengths.device)
    full: list[list[Tensor]] = []
    rests: list[Tensor] = []
    for bucket in _by_length(examples.lengths, chosen):
        batches = torch.tensor_split(bucket, max(1, round(len(bucket) / batch_size)))
        full += [[b] for b in batches if 2 * len(b) > batch_size]
        rests += [b for b in batches if 2 * len(b) <= batch_size]
    steps = full + _packed([rests[i] for i in torch.randperm(len(rests), generator=generator)], batch_size)
    for i in torch.randperm(len(steps), generator=generator).tolist():
        yield steps[i]


def _packed(rests: list[Tensor], batch_size: int) -> list[list[Tensor]]:
    steps: list[list[Tensor]] = []
    size = batch_size
    for batch in rests:
        if size + len(batch) // 2 >= batch_size:
            steps.append([])
            size = 0
        steps[-1].append(batch)
        size += len(batch)
    return steps
