"""What is wrong with the inputs of a search is told all at once, and what is told to do mends it."""

import gzip
import itertools
import logging
import re
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
import yaml
from alphadia.constants.keys import ConfigKeys
from e2e.support import call
from made_inputs import searchable
from made_mzml import in_seconds, without, write_cycles

from alphadia_tl.cli import main
from alphadia_tl.commands.common import check_command
from alphadia_tl.errors import OutputError, SettingsError, TransferLearningError
from alphadia_tl.host import deep_merge, default_config
from alphadia_tl.search.inputs import check_search, check_values, raw_files, switched_on

VALUES = [  # section, key, value, what is told
    ("general", "thread_count", "auto", "a whole number, at least 1"),
    ("general", "thread_count", -1, "a whole number, at least 1"),
    ("general", "thread_count", 2.0, "Write 2."),
    ("general", "thread_count", True, "a whole number"),
    ("general", "thread_count", None, "default, 10"),
    ("general", "random_state", "42", "Write 42."),
    ("general", "log_level", "info", "Write INFO."),
    ("general", "use_gpu", "yes", "true or false"),
    ("library_prediction", "nce", "auto", "a number, above 0"),
    ("library_prediction", "nce", float("nan"), "a number, above 0"),
    ("library_prediction", "instrument", None, "default, Lumos"),
    ("library_prediction", "precursor_charge", [4, 2], "Write [2, 4]."),
    ("library_prediction", "precursor_len", [40, 7], "Write [7, 40]."),
    ("library_prediction", "precursor_len", [7], "two whole numbers"),
    ("library_prediction", "precursor_mz", [1200, 400], "Write [400, 1200]."),
    ("library_prediction", "precursor_mz", [500, 500], "the first below the second"),
    ("library_prediction", "precursor_mz", ["400", "1200"], "two numbers"),
    ("library_prediction", "missed_cleavages", -1, "at least 0"),
    ("library_prediction", "min_charge_probability", "1e-2", "Write 0.01."),
    ("library_prediction", "enzyme", "Trypsin", "Write trypsin."),
    ("library_prediction", "enzyme", "Trypsin/P2", "Did you mean trypsin/p"),
    ("library_prediction", "fragment_types", ["B", "y"], "Write b."),
    ("library_prediction", "fragment_types", "b", "Write [b]."),
    ("library_prediction", "variable_modifications", "Oxidation@M; Acetyl@Protein_N-term", "Acetyl@Protein_N-term."),
    ("library_prediction", "fixed_modifications", "Mystery@C", "is not known"),
    ("library_prediction", "fixed_modifications", "Carbamidomethyl@C;", "is not known"),
    ("library_prediction", "peptdeep_model_type", "HLA-I", "Known: generic, phospho, digly"),
    ("search", "target_ms1_tolerance", "7", "Write 7."),
    ("search_initial", "ms1_tolerance", -5, "above 0"),
    ("search", "extraction_backend", "Rust", "Write rust."),
    ("fdr", "fdr", 5, "at most 1"),
    ("search_output", "file_format", "csv", "one of parquet, tsv"),
    ("transfer_library", "fragment_types", ["B", "Y"], "Write b."),
    ("transfer_library", "max_charge", 0, "at least 1"),
    ("transfer_learning", "max_lr", "1e-4", "Write 0.0001."),
    ("transfer_learning", "train_fraction", 1.5, "above 0 and below 1"),
    ("alphadia_tl", "tuning_runs", "all", "a whole number"),
]


@pytest.fixture
def config(tmp_path):
    return deep_merge(switched_on(searchable(tmp_path)), {"library_prediction": {"peptdeep_model_path": str(tmp_path)}})


@pytest.mark.parametrize(("section", "key", "value", "told"), VALUES)
def test_a_wrong_value_is_told_with_its_key_and_what_is_told_to_write_is_right(config, section, key, value, told):
    with pytest.raises(TransferLearningError) as caught:
        check_search(deep_merge(config, {section: {key: value}}))
    said = str(caught.value)
    assert key in said
    assert told in said
    if (advised := re.search(r"Write (\[.*\]|[^ ]+?)\.$", said)) and key != "fragment_types":
        written = yaml.safe_load(advised[1])
        if ";" in str(value):
            written = value.replace("; ", ";")
        check_search(deep_merge(config, {section: {key: written}}))


SEARCHED = [  # alphaDIA searches with these
    {"library_prediction": {"missed_cleavages": 1.0, "precursor_len": [7.0, 35.0], "precursor_mz": [-5, 1200]}},
    {"library_prediction": {"variable_modifications": "Oxidation@M;", "peptdeep_model_type": None}},
    {"library_prediction": {"variable_modifications": "", "fixed_modifications": "", "peptdeep_model_type": "HLA"}},
    {"general": {"use_gpu": "False", "random_state": -1, "save_figures": None, "mbr_step_enabled": 0}},
    {"search": {"target_ms1_tolerance": -1, "target_rt_tolerance": 0, "channel_filter": None}},
    {"search_output": {"normalization_method": "DirectLFQ"}},
    {
        "custom_modifications": [{"name": "A@K", "composition": "H(2)"}],
        "library_prediction": {"fixed_modifications": "A@K"},
    },
    {"transfer_learning": {"epochs": None, "batch_size": None}, "fdr": {"fdr": 1}},
    {"general": {"astral_ms1": False}, "library_prediction": {"fragment_types": ["b", "y", "b_modloss"]}},
]


LIGHT, HEAVY = ({"Dimethyl@K": f"Dimethyl{isotopes}@K"} for isotopes in ("", ":2H(4)"))
PAIR = [{"channel_name": 0, "modifications": LIGHT}, {"channel_name": 4, "modifications": HEAVY}]


def channels(*mapping, made="Dimethyl@K", **asked):
    return {
        "library_prediction": {"fixed_modifications": made},
        "library_multiplexing": {"enabled": True, "multiplex_mapping": list(mapping)},
        "multiplexing": {"enabled": bool(asked), **asked},
    }


SEARCHED += [
    channels(*PAIR),
    {**channels(), "library_multiplexing": {"enabled": False}},
    {"library_prediction": {"enzyme": "non-specific", "missed_cleavages": 10, "precursor_len": [8, 11]}},
]

NO_CHANNELS = [
    (channels(), "None is no channel"),
    (channels("4"), "'4' is no channel"),
    (channels({"channel_name": "light", "modifications": LIGHT}), "'light'"),
    (channels({"channel_name": [4], "modifications": LIGHT}), "[4]"),
    (channels({"channel_name": 256, "modifications": LIGHT}), "is no channel"),
    (channels({"channel_name": 4, "modifications": {}}), "is no channel"),
    (channels(PAIR[0], {"channel_name": 0, "modifications": HEAVY}), "Number each once"),
    (channels(PAIR[0], {"channel_name": 4, "modifications": LIGHT}), "channel 4 has the label of another: Dimethyl@K"),
    (channels(PAIR[0], {"channel_name": 4, "modifications": {"Dimethyl@K": "Dimethyl:4@K"}}), "'Dimethyl:4@K' is not"),
    (channels(*PAIR, made="Carbamidomethyl@C"), "no peptide has the Dimethyl@K of which channel 0 is to be made"),
    (channels(*PAIR, target_channels="4"), "channels that are not made: 12"),
    ({"multiplexing": {"enabled": True}}, "channels that are not made: 12, 4, 8"),
    (channels(*PAIR, target_channels="0", decoy_channel=4, reference_channel=0), "after it, alphaDIA cannot quantify"),
    ({"library_prediction": {"enzyme": "non-specific", "precursor_len": [8, 11]}}, "missed_cleavages: 10"),
]


@pytest.mark.parametrize(("values", "told"), NO_CHANNELS, ids=[told for _, told in NO_CHANNELS])
def test_a_library_that_cannot_be_made_is_refused(config, values, told):
    with pytest.raises(SettingsError) as caught:
        check_search(deep_merge(config, values))
    assert told in str(caught.value)


@pytest.mark.parametrize("values", SEARCHED)
def test_what_alphadia_searches_with_is_not_refused(config, values):
    check_search(deep_merge(config, values))


def test_alphadias_own_defaults_are_right(config):
    check_values({key: value for key, value in default_config().items() if key != ConfigKeys.VERSION})


def hdf(path, name):
    with h5py.File(path, "w") as file:
        file.create_group(name)


def raw_folder(name, *files):
    def make(config, folder):
        (folder / name).mkdir()
        for file in files:
            (folder / name / file).parent.mkdir(exist_ok=True)
            (folder / name / file).write_text("a")
        config.update(raw_paths=[str(folder / name)])

    return make


def raw_file(name):
    def make(config, folder):
        (folder / name).write_text("a")
        config.update(raw_paths=[str(folder / name)])

    return make


def timstof(config, folder, *others):
    raw_folder("b.d", "analysis.tdf", "analysis.tdf_bin")(config, folder)
    config["raw_paths"] += others


FILES = {
    "no raw file": (lambda c, f: c.update(raw_paths=[]), "names no raw files"),
    "raw files as text": (lambda c, f: c.update(raw_paths="/a/b.mzML"), "Write [/a/b.mzML]."),
    "no list of raw files": (lambda c, f: c.update(raw_paths=None), "'raw_paths' is None"),
    "a missing raw file": (lambda c, f: c.update(raw_paths=["/no/a.raw"]), "/no/a.raw does not exist"),
    "an empty raw file": (lambda c, f: (f / "a.mzML").write_text(""), "a.mzML is empty"),
    "a folder": (lambda c, f: ((f / "b.hdf").mkdir(), c.update(raw_paths=[str(f / "b.hdf")])), "Is a directory"),
    "Waters": (raw_folder("b.raw", "_FUNC001.DAT"), "b.raw is of a Waters instrument"),
    "Agilent": (raw_folder("b.D", "AcqData/MSScan.bin"), "b.D is of an Agilent instrument"),
    "an empty timsTOF": (raw_folder("b.d"), "no analysis.tdf and no analysis.tdf_bin in it"),
    "half a timsTOF": (raw_folder("b.d", "analysis.tdf"), "no analysis.tdf_bin in it. Copy or unpack the whole"),
    "a folder in its folder": (raw_folder("b.d", "b.d/analysis.tdf"), "no analysis.tdf and no analysis.tdf_bin"),
    "timsTOF as a file": (raw_file("b.d"), "b.d is no folder, as a timsTOF writes. Unpack it"),
    **{
        f"packed, {name}": (raw_file(name), f"{name} is packed. Unpack it")
        for name in ("b.d.zip", "b.d.tar", "b.mzML.gz", "b.mzML.XZ", "b.mzML.zip", "b.raw.gz", "b.d.tar.gz", "b.7z")
    },
    "text": (lambda c, f: ((f / "b.txt").write_text("a"), c.update(raw_paths=[str(f / "b.txt")])), "of no kind"),
    "another HDF": (lambda c, f: (hdf(f / "b.hdf", "x"), c.update(raw_paths=[str(f / "b.hdf")])), "lacks 'ms_data'"),
    "timsTOF, Rust written": (
        lambda c, f: (timstof(c, f), c.update(search={"extraction_backend": "rust"})),
        "Rust engine cannot read",
    ),
    "timsTOF beside another": (
        lambda c, f: timstof(c, f, str(f / "a.mzML")),
        "Of 2 raw files 1 are of a timsTOF (b.d), not a.mzML.",
    ),
    "timsTOF, one pass": (lambda c, f: (timstof(c, f), c.pop("alphadia_tl")), "cannot read timsTOF runs"),
    "one name": (lambda c, f: c.update(raw_paths=["/a/x.raw", "/b/x.mzML"]), "'x': /a/x.raw and /b/x.mzML. Rename one"),
    "one file twice": (lambda c, f: c.update(raw_paths=["/a/x.raw"] * 2), "Name it once"),
    "no FASTA": (lambda c, f: c.update(fasta_paths=[]), "no FASTA file and no library"),
    "FASTA as text": (lambda c, f: c.update(fasta_paths="a.fasta"), "Write [a.fasta]."),
    "a missing FASTA": (lambda c, f: c.update(fasta_paths=["/no/a.fasta"]), "/no/a.fasta cannot be read"),
    "an empty FASTA": (lambda c, f: (f / "a.fasta").write_text(""), "is empty"),
    "a packed FASTA": (lambda c, f: (f / "a.fasta").write_bytes(gzip.compress(b">a\nMK\n")), "Unpack it"),
    "no library": (lambda c, f: c["library_prediction"].update(enabled=False), "There is no library"),
    "a missing library": (lambda c, f: c.update(library_path="/no/a.hdf"), "/no/a.hdf does not exist"),
    "a library of no kind": (lambda c, f: c.update(library_path=str(f / "a.fasta")), "of no kind"),
    "another library": (
        lambda c, f: (hdf(f / "b.hdf", "x"), c.update(library_path=str(f / "b.hdf"))),
        "lacks 'library/precursor_df'",
    ),
    "a damaged library": (
        lambda c, f: ((f / "b.hdf").write_text("x"), c.update(library_path=str(f / "b.hdf"))),
        "is no HDF5 file",
    ),
    "a library without columns": (
        lambda c, f: ((f / "b.tsv").write_text("PrecursorCharge\n"), c.update(library_path=str(f / "b.tsv"))),
        "lacks columns: LibraryIntensity or",
    ),
    "no models": (lambda c, f: c["library_prediction"].update(peptdeep_model_path="/no/m"), "/no/m does not exist"),
    "an empty section": (lambda c, f: c.update(search=None), "section 'search' is empty"),
    "an empty own section": (lambda c, f: c.update(alphadia_tl=None), "section 'alphadia_tl' is empty"),
    "text for a section": (lambda c, f: c.update(search="fast"), "no mapping of keys to values"),
    "no composition": (lambda c, f: c.update(custom_modifications=[{"name": "A@K"}]), "composition of known elements"),
    "a missing table of twins": (
        lambda c, f: c["alphadia_tl"].update(entrapment={"prefix": "E_", "twins": "/no/t.tsv"}),
        "/no/t.tsv cannot be read",
    ),
    "an output that is a file": (lambda c, f: c.update(quant_directory=str(f / "a.fasta" / "q")), "a.fasta is a file"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_wrong_input_is_told(config, tmp_path, case):
    spoil, told = FILES[case]
    check_search(config, tmp_path / "out")
    spoil(config, tmp_path)
    with pytest.raises(TransferLearningError) as caught:
        check_search(config, tmp_path / "out")
    assert told in str(caught.value)


def zeros(text):
    return re.sub(r'(offset" value=)"[^"]*"', r'\1"0"', text)


def of_dda(text):
    numbers = itertools.count(400)
    return re.sub(r'(selected ion m/z" value=)"[^"]*"', lambda m: f'{m[1]}"{next(numbers)}"', text)


def renamed(old, new):
    return lambda text: text.replace(old, new)


def packed(term):
    return renamed('MS:1000574" name="zlib', f'MS:1" name="{term}')


CENTROID = 'MS:1000127" name="centroid'
MZML = {  # what is done to an mzML file of DIA, what is told
    "no mzML": (lambda t: "Not Found", "is no mzML file. Convert"),
    "mzXML": (lambda t: "<mzXML>\n</mzXML>", "is no mzML file"),
    "truncated": (lambda t: t[: len(t) // 2], "its end is missing. Copy"),
    "filled up": (lambda t: t[:-40] + "\0" * 40, "its end is missing"),
    "damaged": (lambda t: t.replace("<scan>", "<scan", 1), r"that is damaged, or .* \(XMLSyntaxError"),
    "damaged later": (lambda t: "</x>".join(t.rsplit("</scanList>", 1)), r"that is damaged, or .* \(XMLSyntaxError"),
    "damaged arrays": (lambda t: t.replace("<binary>e", "<binary>f", 3), r"that is damaged, or .* \(error"),
    "Numpress": (packed("MS-Numpress linear prediction"), "pip install pynumpress. Or: msconvert FILE --mzML --zlib"),
    "Numpress and zlib": (packed("MS-Numpress short logged float compression followed by zlib"), "Or: msconvert"),
    "zstd": (packed("zstd"), "'zstd compression', which cannot be read here. Convert"),
    "profile": (renamed(CENTROID, 'MS:1000128" name="profile'), 'has profile spectra, .* --filter "peakPicking vendor'),
    "profile MS2": (lambda t: t[:5000] + t[5000:].replace(CENTROID, 'MS:1000128" name="profile'), "profile spectra"),
    "no MS2": (renamed('ms level" value="2"', 'ms level" value="1"'), "has no MS2 spectra. Give runs of DIA"),
    "no spectra": (lambda t: without(t, "<spectrumList.*</spectrumList>"), "has no spectra. Give runs"),
    "no offsets": (lambda t: without(t, "<[^<]*window (lower|upper) offset[^>]*>"), "windows without a width. Convert"),
    "one offset": (lambda t: without(t, "<[^<]*window lower offset[^>]*>"), "windows without a width"),
    "offsets of 0": (zeros, "windows without a width"),
    "no windows": (lambda t: without(t, "<isolationWindow>.*?</isolationWindow>"), "windows without a width"),
    "no precursors": (lambda t: without(t, "<precursorList.*?</precursorList>"), "windows without a width"),
    "no times": (lambda t: without(t, "<[^<]*scan start time[^>]*>"), "lacks what alphaDIA reads"),
    "no levels": (lambda t: without(t, "<[^<]*ms level[^>]*>"), "lacks what alphaDIA reads"),
    "DDA": (of_dda, "not of DIA: windows do not repeat in its first 50 MS2 spectra"),
}


@pytest.mark.parametrize("case", MZML)
@pytest.mark.parametrize("index", [False, True])
def test_an_mzml_file_that_cannot_be_searched_is_told(config, tmp_path, case, index):
    path, (spoil, told) = tmp_path / "a.mzML", MZML[case]
    text = path.read_text()
    if index:
        text = text.replace("<mzML", "<indexedmzML>\n<mzML") + "<indexList count='0'/>\n</indexedmzML>\n"
    path.write_text(text)
    check_search(config)
    path.write_text(spoil(text))
    with pytest.raises(SettingsError, match=rf"The raw file {path}.*{told}"):
        check_search(config)


READ = {
    "seconds": in_seconds,
    "an empty spectrum": lambda t: without(t, "<binaryDataArrayList.*?</binaryDataArrayList>", 1),
    "no selected ions": lambda t: without(t, "<selectedIonList.*?</selectedIonList>"),
    "no unit": lambda t: without(t, ' unitCvRef="UO" unitAccession="UO:0000031" unitName="minute"'),
    "peaks picked later": renamed('<scanList count="1">', '<cvParam name="profile spectrum"/><scanList count="1">'),
    "no line break at the end": str.strip,
    "MS1 first": lambda t: t.replace('ms level" value="2"', 'ms level" value="1"', 40),
}


@pytest.mark.parametrize("case", READ)
def test_what_is_read_right_is_not_refused(config, tmp_path, case):
    path = tmp_path / "a.mzML"
    path.write_text(READ[case](path.read_text()))
    check_search(config)


@pytest.mark.parametrize("windows", [1, 150])
def test_a_long_cycle_is_dia_and_a_large_file_is_not_read_whole(config, tmp_path, windows):
    path = tmp_path / "a.mzML"
    write_cycles(path, cycles=3 if windows > 1 else 200, windows=windows)
    text = path.read_text()
    path.write_text(text[:-2000] + "<damaged" + text[-2000:])
    check_search(config)


def test_all_that_is_wrong_is_told_at_once(config):
    wrong = {"raw_paths": ["/no/a.raw", "/no/b.raw"], "general": {"thread_count": 0, "random_stat": 1}, "search": None}
    with pytest.raises(SettingsError) as caught:
        check_search(deep_merge(config, wrong, {"transfer_learning": {"epochs": 0, "max_lr": 2}}))
    lines = str(caught.value).splitlines()
    assert lines[0] == "7 things are wrong:"
    named = ("random_stat'", "'search'", "thread_count", "max_lr", "epochs", "/no/a.raw", "/no/b.raw")
    assert all(any(name in line for line in lines[1:]) for name in named)
    assert "Did you mean 'random_state'?" in str(caught.value)


def test_files_of_a_folder_come_sorted_after_those_that_are_listed(tmp_path):
    searchable(tmp_path, "b.mzML", "a.mzML")
    found = raw_files({"raw_paths": ["/z/c.mzML"], "directory": str(tmp_path)}, [], [], r"mzML$")
    assert [path.rsplit("/", 1)[1] for path in found] == ["c.mzML", "a.mzML", "b.mzML"]


def test_a_search_without_transfer_learning_is_left_to_alphadia_where_the_command_is_alphadias(tmp_path):
    (tmp_path / "c.yaml").write_text("raw_paths: [/no/a.raw]\nalphadia_tl: {enabled: false}\n")
    words = ["--config", str(tmp_path / "c.yaml"), "-o", str(tmp_path / "out")]
    check_command(words, enabled_only=True)
    with pytest.raises(SettingsError, match="2 things are wrong"):
        check_command(words)


@pytest.mark.parametrize("words", [["--check"], ["--version"], ["--no-such-flag"], []])
def test_a_command_that_searches_nothing_is_not_checked(words):
    check_command(words)


def test_the_command_line_counts_with_the_config(tmp_path, caplog):
    config = searchable(tmp_path)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"alphadia_tl": {"enabled": True}}))
    flags = ["--file", config["raw_paths"][0], "--fasta", config["fasta_paths"][0]]
    more = ["--config-dict", '{"library_prediction": {"enabled": true}}']
    with caplog.at_level(logging.ERROR):
        check_command(["--config", str(tmp_path / "c.yaml"), "-o", str(tmp_path / "out"), *flags, *more])
    with pytest.raises(OutputError, match="is a file"):
        check_command(["--config", str(tmp_path / "c.yaml"), "-o", str(tmp_path / "c.yaml"), *flags, *more])


REGISTERED = "from alphadia_tl import startup; startup.sys.orig_argv = ['python', 'alphadia']; startup.begin(); "
COMMANDS = {
    "alphadia-tl": [],
    "alphadia, registered": ["-c", f"import sys; {REGISTERED}import alphadia.cli; sys.exit(alphadia.cli.run())"],
    "compare": ["compare"],
    "workflow": ["workflow"],
    "job": ["job", "prepare", "--step", "transfer"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_tells_all_before_it_begins_with_exit_code_1(tmp_path, command):
    (tmp_path / "c.yaml").write_text("raw_paths: [/a/x.raw, /b/x.raw]\nalphadia_tl: {enabled: true}\nsearch: null\n")
    words = [*COMMANDS[command], "--config", str(tmp_path / "c.yaml"), "-o", str(tmp_path / "out")]
    if command == "alphadia, registered":
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
        code, told = done.returncode, done.stdout + done.stderr
    else:
        code, told = call("alphadia-tl", words, Path.home())
    assert code == 1, told
    assert "Traceback" not in told
    assert len(re.findall("TL_CONFIG:? 5 things are wrong", told)) == 1, told
    assert "Two raw files are named 'x'" in told
    assert "section 'search' is empty" in told
    assert not list(tmp_path.rglob("speclib*"))


def test_runs_of_one_name_are_not_tuned_on(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder / "run").mkdir(parents=True)
        (tmp_path / folder / "run" / "psm.parquet").touch()
    quant = [word for folder in "ab" for word in ("--quant-dir", str(tmp_path / folder))]
    code, told = call("alphadia-tl", ["finetune", *quant, "-o", tmp_path / "out"], Path.home())
    assert code == 1
    assert "Two raw files are named 'run'" in told


def test_the_entrapment_command_checks_the_digest_of_its_config(tmp_path, capsys):
    (tmp_path / "c.yaml").write_text("library_prediction: {enabled: true, precursor_len: [40, 7]}\n")
    fasta = searchable(tmp_path)["fasta_paths"][0]
    assert main(["entrapment", "-f", fasta, "-c", str(tmp_path / "c.yaml"), "-o", str(tmp_path / "o.fasta")]) == 1
    assert "Write [7, 40]." in capsys.readouterr().err
