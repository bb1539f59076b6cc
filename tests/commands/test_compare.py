import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from made_inputs import searchable
from made_outputs import precursors, write_output
from stand_in import put_in_place

from alphadia_tl import cli
from alphadia_tl.commands.compare import main, search_names
from alphadia_tl.comparison.searches import RECORD
from alphadia_tl.errors import QuantificationError, SettingsError

WRONG = precursors(range(900, 920), proteins="ENTRAPMENT_P{}")


@pytest.fixture
def folders(tmp_path):
    return [
        write_output(tmp_path / "searches" / name, precursors(range(n)), WRONG) for name, n in (("a", 100), ("b", 120))
    ]


def compare(*arguments):
    said = []
    code = main([str(a) for a in arguments], said.append)
    return code, "".join(said)


def test_finished_folders_are_compared(folders, tmp_path):
    code, said = compare(*folders, "-o", tmp_path / "out")
    assert code == 0
    assert "b vs a: 140 against 120" in said
    assert "no error estimate" in said
    table = pd.read_csv(tmp_path / "out" / "comparison.tsv", sep="\t")
    assert set(table["arm"]) == {"a", "b", "b vs a"}
    assert (tmp_path / "out" / "comparison.html").exists()


def test_it_is_a_sub_command(folders, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["alphadia-tl"])
    assert cli.main(["compare", *map(str, folders), "-o", str(tmp_path / "out")]) == 0
    assert "Identified at the claimed FDR" in capsys.readouterr().out
    assert cli.main(["compare", str(folders[0]), str(tmp_path), "-o", str(tmp_path / "out")]) == 1
    assert "TL_QUANT" in capsys.readouterr().err
    assert "alphadia-tl compare" in cli.EPILOG


def test_entrapment_given_by_flags_is_estimated(folders, tmp_path):
    _, said = compare(*folders, "-o", tmp_path, "--entrapment-prefix", "ENTRAPMENT_", "--entrapment-ratio", "0.5")
    assert "no error estimate" not in said
    assert "precursor, b: estimated FDP 42.86%" in said  # 20 (1 + 1 / 0.5) / 140
    assert "taken for 1" not in said
    assert "To check b: java -jar fdrbench.jar -level precursor" in said
    assert [len(pd.read_csv(tmp_path / f"fdrbench.{name}.tsv", sep="\t")) for name in "ab"] == [120, 140]


def test_a_ratio_that_is_not_given_is_told(folders, tmp_path):
    _, said = compare(*folders, "-o", tmp_path, "--entrapment-prefix", "ENTRAPMENT_")
    assert "The entrapment ratio is taken for 1" in said


def test_a_prefix_that_the_plugin_wrote_down_is_used(folders, tmp_path):
    provenance = {"alphadia_tl": {"enabled": True, "entrapment": {"prefix": "ENTRAPMENT_"}}}
    on = write_output(tmp_path / "on", precursors(range(100)), WRONG, provenance=provenance)
    assert "estimated FDP" in compare(folders[0], on, "-o", tmp_path / "out")[1]


def test_what_the_entrapment_command_wrote_beside_the_fasta_is_used(tmp_path):
    targets, twins = (t["precursor.sequence"].unique() for t in (precursors(range(20)), WRONG))
    facts = {"prefix": "ENTRAPMENT_", "design": "shuffled", "k": 1, "r": 0.8}
    (tmp_path / "x.entrapment.yaml").write_text(yaml.safe_dump(facts))
    (tmp_path / "x.left_out.tsv").write_text("entrapment_peptide\n")
    (tmp_path / "x.twins.tsv").write_text("twin_peptide\ttarget_peptide\n")
    made = {"fasta_paths": [str(tmp_path / "x.fasta")]}
    made_folders = [write_output(tmp_path / name, precursors(range(100)), WRONG, **made) for name in "ab"]
    assert len(targets) == len(twins) == 10
    _, said = compare(*made_folders, "-o", tmp_path / "out")
    assert "estimated FDP" in said
    assert "taken for 1" not in said


@pytest.mark.parametrize(
    ("flags", "error", "message"),
    [
        (["--entrapment-ratio", "1"], SettingsError, "No entrapment prefix is known"),
        (["--entrapment-prefix", "E", "--entrapment-design", "shuffled"], SettingsError, "is not shuffled here"),
        (["--entrapment-prefix", "E", "--entrapment-design", "foreign", "--twins", "t"], SettingsError, "not foreign"),
        (["--entrapment-prefix", ""], SettingsError, "is '': expected text, not empty"),
        (["--entrapment-prefix", "E", "--entrapment-ratio", "0"], SettingsError, "is 0.0: expected a number, above 0"),
        (["--entrapment-prefix", "E", "--twins", "nowhere.tsv"], QuantificationError, "nowhere.tsv cannot be read"),
    ],
)
def test_impossible_entrapments_are_refused(folders, tmp_path, flags, error, message):
    with pytest.raises(error, match=message):
        compare(*folders, "-o", tmp_path / "out", *flags)
    assert not (tmp_path / "out" / "comparison.tsv").exists()


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["x/a", "x/b"], ["a", "b"]),
        (["x/out", "y/out"], ["x/out", "y/out"]),
        (["x/1/out", "y/1/out", "y/2/z"], ["x/1/out", "y/1/out", "y/2/z"]),
    ],
)
def test_folders_are_named_by_as_few_parts_as_tell_them_apart(tmp_path, paths, names):
    found = search_names([tmp_path / p for p in paths])
    assert list(found) == names


@pytest.mark.parametrize("paths", [["a"], ["a", "a"], ["a", "b/../a"]])
def test_a_folder_alone_or_twice_is_refused(tmp_path, paths):
    with pytest.raises(SettingsError, match="two different folders"):
        search_names([tmp_path / p for p in paths])


@pytest.mark.parametrize("flags", [["--stock"], ["-f", "a.raw"]])
def test_flags_of_searches_are_refused_for_finished_folders(folders, tmp_path, flags, capsys):
    with pytest.raises(SystemExit):
        compare(*folders, "-o", tmp_path / "out", *flags)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({**searchable(tmp_path), "general": {"random_state": 1}}))
    return path


@pytest.fixture
def searches(tmp_path, monkeypatch):
    """Let each search find more precursors than the one before; a program in its place takes no time."""

    def make(*, ends="", **output):
        made = tmp_path / "stand_in"
        for n, name in enumerate(("off", "on", "stock")):
            write_output(made / name, precursors(range(100 + 10 * n)), **output)
        code = (
            "import shutil\nfrom pathlib import Path\nOUT = Path(ARGS[ARGS.index('-o') + 1])\n"
            "shutil.copytree(OUT.name, OUT)\nprint('searching')\n"
        )
        put_in_place(monkeypatch, made, "alphadia_tl.cli", code + ends)

    return make


COLUMNS = (
    "ModifiedPeptide", "PrecursorCharge", "iRT", "RelativeIntensity",
    "FragmentType", "FragmentCharge", "FragmentNumber",
)  # fmt: skip


def test_with_a_config_the_searches_are_run_and_compared(tmp_path, config, searches, monkeypatch):
    searches()
    here = Path.cwd()
    searchable(here, "x.mzML", "raw/y.mzML")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "z.tsv").write_text("\t".join(COLUMNS) + "\n")
    more = ["--config-dict", '{"general": {"thread_count": 1}}', "--config-dict", '{"alphadia_tl": {"tuning_runs": 1}}']
    flags = ["-f", "x.mzML", "-d", "raw", "--regex", "x|y", "--fasta", "a.fasta", "-l", "~/z.tsv", *more]
    command = ("--config", config, "-o", tmp_path / "out", "--stock", *flags)
    code, said = compare(*command)
    assert code == 0
    assert re.findall(r"\[(\w+)\] searching", said) == ["off", "on", "stock"]
    on = yaml.safe_load((tmp_path / "out" / "on.config.yaml").read_text())
    assert on["raw_paths"] == [str(here / "x.mzML"), str(here / "raw" / "y.mzML")]
    assert on["fasta_paths"] == [str(here / "a.fasta")]
    assert on["library_path"] == str(tmp_path / "z.tsv")
    assert on["general"]["thread_count"] == 1
    assert on["alphadia_tl"] == {"enabled": True, "tuning_runs": 1}
    assert "on vs off: 110 against 100" in said
    assert "stock vs off: 120 against 100" in said
    record = tmp_path / "out" / RECORD
    record.write_text(re.sub(r"seconds: .*", "seconds: 61.0", record.read_text()))
    code, said = compare(*command)
    assert code == 0
    assert "] searching" not in said
    assert next(line for line in said.splitlines() if line.startswith("wall ")).count("1 min 01 s") == 3


def test_a_failed_search_is_not_compared(tmp_path, config, searches):
    searches(ends="sys.exit(7)")
    assert compare("-c", config, "-o", tmp_path / "out")[0] == 7
    assert not list((tmp_path / "out").glob("comparison.*"))


def test_mbr_in_all_searches_is_told_and_kept_out(tmp_path, config, searches):
    searches(mbr=True)
    _, said = compare("--config", config, "-o", tmp_path / "out")
    assert "Match between runs was on in all of them" in said
    assert "on vs off: 110 against 100" in said


def write_sidecar(folder, *, twins=(), left_out=(), name="x", **changes):
    """Write what alphadia-tl entrapment leaves beside a FASTA file, and return the config that names it."""
    facts = {"prefix": "ENTRAPMENT_", "design": "shuffled", "k": 1, "r": 0.8} | changes
    (folder / f"{name}.entrapment.yaml").write_text(yaml.safe_dump(facts))
    (folder / f"{name}.left_out.tsv").write_text("\n".join(["entrapment_peptide", *left_out]) + "\n")
    (folder / f"{name}.twins.tsv").write_text("\n".join(["twin_peptide\ttarget_peptide", *twins]) + "\n")
    return {"fasta_paths": [str(folder / f"{name}.fasta")]}


@pytest.mark.parametrize("given", ["beside the FASTA", "flags"])
@pytest.mark.parametrize("order", [1, -1])
def test_a_search_without_entrapment_in_its_database_is_not_called_sound(tmp_path, order, given):
    """It has no entrapment that it could find: 0 of 100 says nothing."""
    made, flags = {"fasta_paths": ["marked.fasta"]}, ["--entrapment-prefix", "ENTRAPMENT_"]
    if given == "beside the FASTA":
        made, flags = write_sidecar(tmp_path, left_out=["NEARK"]), []
    marked = write_output(tmp_path / "marked", precursors(range(2000)), WRONG, **made)
    plain = write_output(tmp_path / "plain", precursors(range(2000)), fasta_paths=["plain.fasta"])
    _, said = compare(*[marked, plain][::order], "-o", tmp_path / "out", *flags)
    assert "precursor, marked: estimated FDP" in said
    assert "precursor, plain: estimated FDP" not in said
    assert ("To check marked" in said, "To check plain" in said) == (True, False)
    assert "plain: the error cannot be said: no protein that was found begins with 'ENTRAPMENT_'" in said
    assert "targets at the same estimated FDP" not in said


def test_a_search_of_the_same_database_that_found_no_entrapment_is_judged(tmp_path):
    made = write_sidecar(tmp_path, left_out=["NEARK"])
    found = [
        write_output(tmp_path / n, precursors(range(2000)), *more, **made) for n, more in (("a", [WRONG]), ("b", []))
    ]
    _, said = compare(*found, "-o", tmp_path / "out")
    assert "precursor, b: estimated FDP 0.00%" in said
    assert "the error cannot be said" not in said


def test_the_recorded_ratio_counts_and_a_file_beside_the_fasta_counts_before_it(tmp_path):
    section = {"prefix": "ENTRAPMENT_", "design": "foreign", "ratio": 0.25}
    provenance = {"alphadia_tl": {"enabled": True, "entrapment": section}}
    for made, expected in (({}, 20 * 5 / 120), (write_sidecar(tmp_path, design="foreign", r=0.5), 20 * 3 / 120)):
        names = [f"{n}{len(made)}" for n in "ab"]
        found = [
            write_output(tmp_path / n, precursors(range(100)), WRONG, provenance=provenance, **made) for n in names
        ]
        _, said = compare(*found, "-o", tmp_path / "out")
        assert f"precursor, {names[0]}: estimated FDP {expected:.2%}" in said
        assert "taken for 1" not in said


def test_an_explicit_prefix_keeps_what_was_written_beside_the_fasta(tmp_path):
    listed = WRONG["precursor.sequence"].unique()[:5]  # two precursors each
    made = write_sidecar(tmp_path, design="foreign", r=0.5, left_out=listed)
    found = [write_output(tmp_path / n, precursors(range(100)), WRONG, **made) for n in "ab"]
    _, said = compare(*found, "-o", tmp_path / "out", "--entrapment-prefix", "ENTRAPMENT_")
    assert f"precursor, a: estimated FDP {10 * 3 / 110:.2%}" in said


def test_a_search_with_another_digest_than_its_entrapment_is_told(tmp_path):
    digest = {"enzyme": "trypsin", "missed_cleavages": 1, "min_length": 7, "max_length": 35}
    made = write_sidecar(tmp_path, left_out=["NEARK"], digest=digest)
    for cleavages, told in ((1, False), (2, True)):
        searched = {"enabled": True, "enzyme": "trypsin", "missed_cleavages": cleavages, "precursor_len": [7, 35]}
        names = [f"{n}{cleavages}" for n in "ab"]
        found = [
            write_output(tmp_path / n, precursors(range(100)), WRONG, library_prediction=searched, **made)
            for n in names
        ]
        _, said = compare(*found, "-o", tmp_path / "out")
        assert ("missed_cleavages 1 for 2" in said) == told


def test_searches_are_compared_where_they_were_moved_to_and_nothing_there_is_changed(tmp_path, monkeypatch):
    made = write_sidecar(tmp_path, left_out=["NEARK"])["fasta_paths"][0]
    Path(made).touch()
    for name, fasta in (("a", made), ("b", "../x.fasta")):
        write_output(tmp_path / "searches" / name, precursors(range(2000)), WRONG, fasta_paths=[fasta])
    frozen = tmp_path / "searches" / "b" / "frozen_config.yaml"
    frozen.write_text(frozen.read_text().replace(str(tmp_path / "searches" / "b"), "searches/b").replace("../x.", "x."))
    place = (tmp_path / "ä b").absolute()
    place.mkdir()
    for path in [*tmp_path.glob("x.*"), tmp_path / "searches"]:
        path.rename(place / path.name)
    (tmp_path / "link").symlink_to(place / "searches" / "b")
    before = {p: p.stat().st_mtime_ns for p in place.rglob("*")}
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, said = compare("../ä b/searches/a/", "../link", "-o", "out/")
    assert code == 0
    assert "precursor, a: estimated FDP" in said
    assert "precursor, b: estimated FDP" in said
    assert "is not here" not in said
    assert (tmp_path / "elsewhere" / "out" / "comparison.html").is_file()
    assert {p: p.stat().st_mtime_ns for p in place.rglob("*")} == before


def test_entrapment_that_stayed_on_another_machine_is_told(tmp_path):
    section = {"prefix": "ENTRAPMENT_", "ratio": 0.8, "twins": "/gone/x.twins.tsv"}
    recorded = {"alphadia_tl": {"enabled": True, "entrapment": section}}
    on = write_output(tmp_path / "on", precursors(range(99)), WRONG, provenance=recorded, fasta_paths=["/gone/x.fasta"])
    off = write_output(tmp_path / "off", precursors(range(99)), WRONG, fasta_paths=["/gone/x.fasta"])
    _, said = compare(off, on, "-o", tmp_path / "out")
    assert "/gone/x.fasta of off is not here" in said
    assert "/gone/x.twins.tsv is not here: no pairs are counted in on. Give it with --twins." in said
    assert "precursor, on: estimated FDP" in said


def test_a_database_is_not_known_by_its_name_alone(tmp_path):
    marked = write_output(
        tmp_path / "marked", precursors(range(2000)), WRONG, fasta_paths=[str(tmp_path / "1/x.fasta")]
    )
    plain = write_output(tmp_path / "plain", precursors(range(2000)), fasta_paths=[str(tmp_path / "2/x.fasta")])
    _, said = compare(marked, plain, "-o", tmp_path / "out", "--entrapment-prefix", "ENTRAPMENT_")
    assert "plain: the error cannot be said" in said


RUNS_OF = {
    "the same file": (["/x/run_1.raw"], ["/x/run_1.raw"], None),
    "two files of one name": (["/x/run_1.raw"], ["/y/run_1.raw"], "run_1 is /y/run_1.raw in one search and /x/run_1"),
    "two in one search": (["/x/run_1.raw"], ["/x/run_1.raw", "/x/run_1.d"], "b: several raw files are named run_1"),
}


@pytest.mark.parametrize(("one", "two", "told"), RUNS_OF.values(), ids=RUNS_OF.keys())
def test_runs_that_may_not_be_what_their_name_says_are_told(tmp_path, one, two, told):
    folders = [write_output(tmp_path / n, precursors(range(9)), raw_paths=raw) for n, raw in (("a", one), ("b", two))]
    _, said = compare(*folders, "-o", tmp_path / "out")
    assert (told in said) if told else ("run_1" not in said)


def test_a_run_that_is_named_as_all_runs_are_is_refused(tmp_path):
    folders = [write_output(tmp_path / n, precursors(range(9), run="all")) for n in "ab"]
    with pytest.raises(SettingsError, match="named 'all'"):
        compare(*folders, "-o", tmp_path / "out")
