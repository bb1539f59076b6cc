"""``alphadia-tl compare``: finished searches beside each other, or the same search with the plugin off and on."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from alphadia_tl.commands.common import add_search_flags, make_parser, say, search_config
from alphadia_tl.comparison.compare import compare
from alphadia_tl.comparison.searches import ON, run_searches, search_configs, wall_seconds
from alphadia_tl.entrapment import database
from alphadia_tl.entrapment.database import Entrapment, fastas_of
from alphadia_tl.entrapment.searches import FDRBENCH, precursors_by_run, write_fdrbench
from alphadia_tl.errors import SettingsError
from alphadia_tl.host.contract import CONFIG_FILE
from alphadia_tl.host.search_output import moved, read_mapping
from alphadia_tl.host.search_tables import SearchOutput, read_outputs
from alphadia_tl.report.comparison_page import render_text, write_comparison
from alphadia_tl.settings import EntrapmentSettings, PluginSettings

Write = Callable[[str], object]
SEARCH = ("config", "stock", "file", "directory", "regex", "library", "fasta", "quant_dir", "config_dict")

DESCRIPTION = (
    "Compare finished output folders with the first of them. With --config the same search is run with the plugin off "
    "and on, and these are compared."
)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "compare",
        DESCRIPTION,
        usage="%(prog)s FOLDER FOLDER [FOLDER ...] -o OUT [options]\n"
        "       %(prog)s --config CONFIG -o OUT [--stock] [options] [alphaDIA's flags]",
    )
    parser.add_argument("folders", type=Path, nargs="*", metavar="FOLDER", help="Output folder of a search.")
    parser.add_argument("--config", "-c", type=Path, help="alphaDIA config; its search is run off and on.")
    parser.add_argument("--stock", action="store_true", help="With --config: also with alphaDIA's own transfer step.")
    add_search_flags(parser)
    folder = "Folder of the comparison."
    parser.add_argument("--output", "--output-directory", "-o", type=Path, required=True, help=folder)
    prefix = "Start of the accessions of entrapment proteins; known where alphadia-tl entrapment wrote the FASTA."
    parser.add_argument("--entrapment-prefix", help=prefix)
    parser.add_argument("--entrapment-ratio", type=float, help="Entrapment peptides per target peptide (1).")
    kind = "Kind of entrapment (shuffled with --twins)."
    parser.add_argument("--entrapment-design", choices=("shuffled", "foreign"), help=kind)
    parser.add_argument("--twins", type=Path, help="Table *.twins.tsv of alphadia-tl entrapment.")
    return parser


def search_names(folders: Sequence[Path]) -> dict[str, Path]:
    """Name folders by as few of their last parts as tell them apart; at least two different ones are needed."""
    whole = [f.resolve() for f in folders]
    if len(whole) < 2 or len(set(whole)) < len(whole):
        raise SettingsError("A comparison needs at least two different folders.", "See alphadia-tl compare --help.")
    for depth in range(1, max(len(f.parts) for f in whole) + 1):
        names = ["/".join(f.parts[-depth:]) for f in whole]
        if len(set(names)) == len(names):
            return dict(zip(names, folders, strict=True))
    raise AssertionError("different paths differ in their parts")


def _flags(options: argparse.Namespace) -> dict[str, Any]:
    """Return the keys of `EntrapmentSettings` that flags give."""
    flags = {
        "prefix": options.entrapment_prefix,
        "ratio": options.entrapment_ratio,
        "design": options.entrapment_design,
        "twins": None if options.twins is None else str(options.twins),
    }
    return {name: value for name, value in flags.items() if value is not None}


def find_entrapment(
    options: argparse.Namespace, outputs: Sequence[SearchOutput]
) -> tuple[dict[str, Entrapment], list[str]]:
    """Return how the entrapment of each search is marked, and what was taken for granted.

    Flags count before what ``alphadia-tl entrapment`` wrote beside a search's FASTA, and that before what a search with
    the plugin wrote down. A search with neither of the latter two may have that of one which has. Raises SettingsError
    without a prefix, or if the table of twins is that of another FASTA.
    """
    flags, notes = _flags(options), list[str]()
    own = {o.name: _written_of(o, flags, notes) for o in outputs}
    known = [dataclasses.replace(s, **flags) for s in own.values() if s.prefix is not None]
    if not known and "prefix" not in flags:
        if flags:
            raise SettingsError("No entrapment prefix is known.", "Give it with --entrapment-prefix.")
        return {}, notes
    other = known[0] if known else EntrapmentSettings(**flags)
    settings = {o.name: dataclasses.replace(own[o.name] if own[o.name].prefix else other, **flags) for o in outputs}
    has_twins = {"shuffled": any(s.twins for s in settings.values()), "foreign": "twins" in flags}
    if (design := flags.get("design")) and has_twins[design] != (design == "shuffled"):
        raise SettingsError(f"Entrapment is not {design} here.", "Shuffled is what has --twins, foreign what has none.")
    read = {o.name: database.entrapment_of(settings[o.name], fastas_of(o.settings)) for o in outputs}
    for o in outputs if options.twins else ():
        if problem := database.twins_problem(options.twins, str(settings[o.name].prefix), o.settings):
            raise SettingsError(problem, "Give that of the search with --twins.")
    notes += [note for o in outputs if (note := database.digest_note(o.settings))]
    if "ratio" not in flags and all(s.ratio == EntrapmentSettings().ratio for s in settings.values()):
        notes.append("The entrapment ratio is taken for 1; set it with --entrapment-ratio.")
    return {name: e for name, e in read.items() if e is not None}, list(dict.fromkeys(notes))


def _written_of(output: SearchOutput, flags: Mapping[str, Any], notes: list[str]) -> EntrapmentSettings:
    """Return what is written about a search's entrapment, beside its FASTA or by the plugin; no prefix without.

    Files of it that are not here are noted: results are read on other machines, too.
    """
    made = database.with_files(EntrapmentSettings(), fastas_of(output.settings))
    section = (output.provenance.get("alphadia_tl") or {}).get("entrapment")
    known = {f.name for f in dataclasses.fields(EntrapmentSettings)}  # an earlier version may have written more
    recorded = {k: v for k, v in section.items() if k in known} if isinstance(section, Mapping) else {}
    written = made if made.prefix is not None else EntrapmentSettings.from_mapping(recorded)
    if written.twins and "twins" not in flags:
        was = read_mapping(output.folder / CONFIG_FILE).get("output_directory") or output.folder
        twins = moved(Path(written.twins), Path(was), output.folder)
        if not twins.is_file():
            notes.append(f"{twins} is not here: no pairs are counted in {output.name}. Give it with --twins.")
        written = dataclasses.replace(written, twins=str(twins) if twins.is_file() else None)
    gone = [f for f in output.settings.get("fasta_paths") or () if not Path(f).is_file()]
    if gone and written.prefix is None and "prefix" not in flags:
        notes.append(
            f"{gone[0]} of {output.name} is not here, nor what alphadia-tl entrapment may have written beside it: give "
            "--entrapment-prefix, --entrapment-ratio and --twins."
        )
    return written if flags.get("prefix") in (None, written.prefix) else EntrapmentSettings()


def _compare(folders: Mapping[str, Path], options: argparse.Namespace, wall: Mapping[str, float], write: Write) -> None:
    outputs, notes = read_outputs(folders)
    outputs = [
        dataclasses.replace(o, seconds={**o.seconds, "wall": wall[o.name]}) if o.name in wall else o for o in outputs
    ]
    entrapment, assumed = find_entrapment(options, outputs)
    comparison = compare(outputs, entrapment, notes=[*notes, *assumed])
    table, page = write_comparison(options.output, comparison)
    write(f"\n{render_text(comparison)}\nWritten: {table}, {page}\n")
    for output in (o for o in outputs if o.name in entrapment and len(o.judged)):
        marked, stem = entrapment[output.name], options.output / f"{FDRBENCH}.{output.name.replace('/', '.')}"
        if not database.why_unknown(marked, output.judged, output.settings):
            tables = precursors_by_run(output.judged, marked)
            write(f"To check {output.name}: {write_fdrbench(stem, tables, marked)}\n")


def main(arguments: Sequence[str], write: Write = say) -> int:
    """Run the sub-command, whose text for the user ``write`` takes; the exit code is that of the search that failed."""
    parser = _parser()
    options = parser.parse_intermixed_args(arguments)
    of_searches = [name for name in SEARCH if getattr(options, name)]
    if options.folders and of_searches:
        parser.error(f"--{of_searches[0].replace('_', '-')} is for a search; finished folders are compared without it")
    if options.folders:
        _compare(search_names(options.folders), options, {}, write)
        return 0
    if not of_searches:
        parser.error("give output folders of searches, or --config")
    config = search_config(options)
    configs = search_configs(config, stock=options.stock)
    settings = PluginSettings.from_mapping(configs[ON][PluginSettings.section]).entrapment
    database.require_entrapment(dataclasses.replace(settings, **_flags(options)), config)
    code = run_searches(configs, options.output, write)
    if code == 0:
        wall = wall_seconds(options.output, configs)
        _compare({name: options.output / name for name in configs}, options, wall, write)
    return code
