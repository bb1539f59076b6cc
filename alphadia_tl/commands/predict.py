"""``alphadia-tl predict``: a library of the tuned models, without a search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alphadia_tl.commands.common import add_config_dict, make_parser, read_config, run_logged

DESCRIPTION = (
    "Predict a spectral library of a FASTA file, or of a list of peptides or precursors, with tuned models. What lies "
    "outside of what they learnt is told."
)


def main(arguments: Sequence[str]) -> int:
    """Run the sub-command; return its exit code."""
    parser = make_parser("predict", DESCRIPTION)
    parser.add_argument("--models", "-m", type=Path, required=True, help="Bundle, search with one, or weight files.")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--fasta", "--fasta-path", type=Path, action="append", default=[], help="FASTA file; many.")
    source.add_argument(
        "--precursors",
        type=Path,
        help="Peptides, one a line, or a table (.tsv, .csv, .parquet) with sequence and, where known, mods, mod_sites, "
        "charge, proteins, genes.",
    )
    parser.add_argument("--config", "-c", type=Path, help="The alphaDIA config; its library_prediction counts.")
    add_config_dict(parser)
    parser.add_argument("--output", "-o", type=Path, required=True, help="The library, .hdf.")
    options = parser.parse_args(arguments)

    def predict() -> int:
        from alphadia_tl.search.ready_models import predict_library

        config = read_config(options.config, options.config_dict)
        predict_library(
            options.models, options.output, fasta=options.fasta, precursors=options.precursors, config=config
        )
        return 0

    return run_logged(predict)
