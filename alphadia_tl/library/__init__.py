"""The transfer library: collected from pass 1, selected, normalised, masked and split."""

from alphadia_tl.library.collect import collect
from alphadia_tl.library.split import split_by_peptide
from alphadia_tl.library.transfer_library import TransferLibrary, describe

__all__ = ["TransferLibrary", "collect", "describe", "split_by_peptide"]
