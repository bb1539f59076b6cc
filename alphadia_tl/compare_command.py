"""``alphadia-tl compare``: finished searches beside each other, or the same search with the plugin off and on."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from alphadia_tl import arms
from alphadia_tl.errors import SettingsError
from alphadia_tl.finetune_command import read_config
from alphadia_tl.report.comparison import render_text, write_comparison
from alphadia_tl.validate.compare import compare
from alphadia_tl.validate.levels import Entrapment, beside
from alphadia_tl.validate.marked import read_left_out, read_twins
from alphadia_tl.validate.tables import SearchOutput, read_outputs

Write = Callable[[str], object]
CONFIG_FLAGS = ("--config", "-c")

DESCRIPTION = (
    "Compare finished output folders with the first of them. With --config the same search is run with the plugin off "
    "and on, and these are compared; other flags are alphaDIA's."
)


def _parser(*, searches: bool) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="alphadia-tl compare",
        description=DESCRIPTION,
        allow_abbrev=False,
        usage="%(prog)s FOLDER FOLDER [FOLDER ...] -o OUT [options]\n"
        "       %(prog)s --config CONFIG -o OUT [--stock] [options] [alphaDIA's flags]",
    )
    if not searches:
        parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="Output folder of a search.")
    parser.add_argument(*CONFIG_FLAGS, type=Path, help="alphaDIA config; its search is run off and on.")
    parser.add_argument("--stock", action="store_true", help="With --config: also with alphaDIA's own transfer step.")
    parser.add_argument("--output", "-o", type=Path, required=True, help="Folder of the comparison.")
    parser.add_argument(
        "--entrapment-prefix",
        help="Start of the accessions of entrapment proteins; known where alphadia-tl entrapment wrote the FASTA.",
    )
    parser.add_argument("--entrapment-ratio", type=float, help="Entrapment peptides per target peptide (1).")
    parser.add_argument(
        "--entrapment-design", choices=("shuffled", "foreign"), help="Kind of entrapment (shuffled with --twins)."
    )
    parser.add_argument("--twins", type=Path, help="Table *.twins.tsv of alphadia-tl entrapment.")
    return parser


def arm_names(folders: Sequence[Path]) -> dict[str, Path]:
    """Name folders by as few of their last parts as tell them apart.

    Raises
    ------
    SettingsError
        If a folder is given twice or there are fewer than two.
    """
    whole = [f.resolve() for f in folders]
    if len(whole) < 2 or len(set(whole)) < len(whole):
        raise SettingsError("A comparison needs at least two different folders.", "See alphadia-tl compare --help.")
    for depth in range(1, max(len(f.parts) for f in whole) + 1):
        names = ["/".join(f.parts[-depth:]) for f in whole]
        if len(set(names)) == len(names):
            return dict(zip(names, folders, strict=True))
    raise AssertionError("different paths differ in their parts")


def find_entrapment(
    options: argparse.Namespace, outputs: Sequence[SearchOutput]
) -> tuple[Entrapment | None, list[str]]:
    """Return how entrapment is marked, and what was taken for granted.

    Flags count; without ``--entrapment-prefix`` what ``alphadia-tl entrapment`` wrote beside a FASTA file of the first
    search, or the prefix that a search with the plugin wrote down.

    Raises
    ------
    SettingsError
        If flags say something about an entrapment that has no prefix.
    DataError
        If a value is impossible or a file that belongs to the FASTA cannot be read.
    """
    found = None if options.entrapment_prefix is not None else _beside_fasta(outputs)
    prefix = options.entrapment_prefix if options.entrapment_prefix is not None else _recorded_prefix(outputs)
    changes: dict[str, Any] = {"r": options.entrapment_ratio, "design": options.entrapment_design}
    if options.twins:
        changes["target_of"], changes["k"] = read_twins(options.twins)
        changes["left_out"] = read_left_out(options.twins)
    changes = {name: value for name, value in changes.items() if value is not None}
    if found is not None:
        return dataclasses.replace(found, **changes), []
    if prefix is None:
        if changes:
            raise SettingsError("No entrapment prefix is known.", "Give it with --entrapment-prefix.")
        return None, []
    notes = [] if "r" in changes else ["The entrapment ratio is taken for 1; set it with --entrapment-ratio."]
    # without twins there are no pairs: the combined estimate alone, which the foreign design has
    return Entrapment(**{"prefix": prefix, "design": "shuffled" if options.twins else "foreign", **changes}), notes


def _beside_fasta(outputs: Sequence[SearchOutput]) -> Entrapment | None:
    for fasta in outputs[0].settings.get("fasta_paths") or ():
        if beside(Path(fasta), "entrapment.yaml").is_file():
            return Entrapment.read(Path(fasta))
    return None


def _recorded_prefix(outputs: Sequence[SearchOutput]) -> str | None:
    for output in outputs:
        section = (output.provenance.get("alphadia_tl") or {}).get("entrapment")
        if isinstance(section, dict) and section.get("prefix"):
            return str(section["prefix"])
    return None


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _compare(folders: Mapping[str, Path], options: argparse.Namespace, wall: Mapping[str, float], write: Write) -> None:
    outputs, notes = read_outputs(folders)
    outputs = [
        dataclasses.replace(o, seconds={**o.seconds, "wall": wall[o.name]}) if o.name in wall else o for o in outputs
    ]
    entrapment, assumed = find_entrapment(options, outputs)
    comparison = compare(outputs, entrapment, notes=[*notes, *assumed])
    table, page = write_comparison(options.output, comparison)
    write(f"\n{render_text(comparison)}\nWritten: {table}, {page}\n")


def main(arguments: Sequence[str], write: Write = _say) -> int:
    """Run the sub-command.

    Parameters
    ----------
    arguments : sequence of str
        Command line after ``compare``.
    write : callable, optional
        Takes the text for the user; default standard output, at once.

    Returns
    -------
    int
        0, or the exit code of the search that failed.

    Raises
    ------
    TransferLearningError
        If a folder, file or flag is wrong.
    """
    searches = any(a.split("=")[0] in CONFIG_FLAGS for a in arguments)
    parser = _parser(searches=searches)
    options, flags = parser.parse_known_args(arguments)
    if not searches:
        if flags or options.stock:
            parser.error(f"only with --config: {' '.join([*flags, *['--stock'] * options.stock])}")
        _compare(arm_names(options.folders), options, {}, write)
        return 0
    configs = arms.arm_configs(read_config(options.config), stock=options.stock)
    code = arms.run_arms(configs, flags, options.output, write)
    if code == 0:
        _compare({name: options.output / name for name in configs}, options, arms.wall_seconds(options.output), write)
    return code
