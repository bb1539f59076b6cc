import shlex

import numpy as np
import pandas as pd
import pytest
import yaml
from made_outputs import precursors, write_output

from alphadia_tl.entrapment.searches import (
    CLASSES,
    NO_DECOYS,
    NO_ENTRAPMENT,
    compare_passes,
    count_before_protein_fdr,
    estimate_pass,
)
from alphadia_tl.errors import QuantificationError
from alphadia_tl.settings import EntrapmentSettings

PREFIX = "ENTRAPMENT_"


@pytest.fixture
def folder(tmp_path):
    targets = precursors(range(1000))
    false = precursors(range(2000, 2008), proteins=PREFIX + "P{}")
    beyond = precursors(range(3000, 3100), proteins=PREFIX + "P{}", **{"precursor.qval": 0.02})
    decoys = precursors(range(4000, 4100), proteins=PREFIX + "P{}", **{"precursor.decoy": 1})
    write_output(tmp_path / "out", targets, false, beyond, decoys)
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("ratio", "expected", "said"),
    [(1.0, 16 / 1008, "inconclusive"), (0.5, 24 / 1008, "inconclusive"), (4.0, 10 / 1008, "inconclusive")],
)
def test_entrapment_among_what_a_pass_reports_gives_its_error(folder, ratio, expected, said):
    settings = EntrapmentSettings(prefix=PREFIX, design="foreign", ratio=ratio)
    estimate = estimate_pass(folder, settings, claimed_fdr=0.01)
    assert estimate["fdp"] == pytest.approx(expected)
    assert estimate["fdp_lower"] == pytest.approx(8 / 1008)
    assert estimate["entrapment"] == 8
    assert estimate["verdict"] == said
    assert estimate["fdp_interval"][0] < estimate["fdp"] < estimate["fdp_interval"][1]


@pytest.mark.parametrize(("claimed", "said"), [(0.001, "invalid"), (0.015, "inconclusive"), (0.05, "valid")])
def test_the_verdict_follows_the_claimed_fdr(tmp_path, claimed, said):
    write_output(tmp_path, precursors(range(1000)), precursors(range(2000, 2012), proteins=PREFIX + "P{}"))
    table = pd.read_parquet(tmp_path / "precursors.parquet")
    table.assign(**{"precursor.qval": 1e-4}).to_parquet(tmp_path / "precursors.parquet")
    settings = EntrapmentSettings(prefix=PREFIX, design="foreign")
    assert estimate_pass(tmp_path, settings, claimed_fdr=claimed)["verdict"] == said


def test_without_a_prefix_nothing_is_estimated(folder):
    assert estimate_pass(folder, EntrapmentSettings(), claimed_fdr=0.01) == {}


def test_a_missing_table_of_twins_is_an_error(folder):
    settings = EntrapmentSettings(prefix=PREFIX, twins=str(folder / "no.tsv"))
    with pytest.raises(QuantificationError, match=r"no\.tsv cannot be read"):
        estimate_pass(folder, settings, claimed_fdr=0.01)


@pytest.mark.parametrize("listed", ["beside the FASTA", "beside the twins"])
def test_entrapment_peptides_that_a_target_may_explain_are_not_counted(folder, tmp_path, listed):
    table = pd.read_parquet(folder / "precursors.parquet")
    marked = table["pg.proteins"].str.startswith(PREFIX) & table["precursor.decoy"].eq(0)
    peptides = table.loc[marked & table["precursor.qval"].le(0.01), "precursor.sequence"].unique()[:2]
    pd.DataFrame({"entrapment_peptide": peptides}).to_csv(tmp_path / "db.left_out.tsv", sep="\t", index=False)
    config = yaml.safe_load((folder / "frozen_config.yaml").read_text())
    settings = EntrapmentSettings(prefix=PREFIX, design="foreign")
    if listed == "beside the FASTA":
        config["fasta_paths"] = [str(tmp_path / "db.fasta")]
        (folder / "frozen_config.yaml").write_text(yaml.safe_dump(config))
    else:
        (tmp_path / "db.twins.tsv").write_text("twin_peptide\ttarget_peptide\n")
        settings = EntrapmentSettings(prefix=PREFIX, twins=str(tmp_path / "db.twins.tsv"))
    left_out = int(table.loc[marked & table["precursor.qval"].le(0.01), "precursor.sequence"].isin(peptides).sum())
    assert left_out >= 2
    assert estimate_pass(folder, settings, claimed_fdr=0.01)["entrapment"] == 8 - left_out


def test_entrapments_that_the_protein_fdr_takes_away_are_counted(folder, caplog):
    caplog.set_level("INFO")
    settings = EntrapmentSettings(prefix=PREFIX, design="foreign")
    assert estimate_pass(folder, settings, claimed_fdr=0.01)["entrapment"] == 8
    assert "counted after the protein FDR" in caplog.text
    table = pd.read_parquet(folder / "precursors.parquet")
    names = ("sequence", "mods", "mod_sites", "charge", "decoy", "qval", "proba")
    runs = table.rename(columns={f"precursor.{n}": n for n in names} | {"pg.proteins": "proteins"})
    marked = runs["proteins"].str.startswith(PREFIX)
    (folder / "quant" / "run_1").mkdir(parents=True)
    runs[[*names, "proteins"]].to_parquet(folder / "quant" / "run_1" / "psm.parquet")
    table[~marked].to_parquet(folder / "precursors.parquet")  # as the protein FDR leaves it
    assert estimate_pass(folder, settings, claimed_fdr=0.01)["entrapment"] == 8


@pytest.mark.parametrize("taken", [True, False])
def test_tables_that_a_pass_took_from_another_folder_are_its_own(folder, tmp_path, taken):
    """As where nothing was accepted: both passes must be judged alike."""
    config = yaml.safe_load((folder / "frozen_config.yaml").read_text())
    config.setdefault("general", {})["reuse_quant_from"] = [str(tmp_path / "first")] if taken else []
    config["raw_paths"] = ["/data/run_1.raw"]
    (folder / "frozen_config.yaml").write_text(yaml.safe_dump(config))
    runs = pd.DataFrame({"sequence": ["AK", "CK"], "mods": "", "mod_sites": "", "charge": 2, "decoy": 0, "qval": 0.001,
                         "proba": 0.1, "proteins": ["P1", PREFIX + "P2"]})  # fmt: skip
    for name in ("run_1", "of_an_earlier_call"):
        (tmp_path / "first" / name).mkdir(parents=True)
        runs.assign(sequence=runs["sequence"] + name).to_parquet(tmp_path / "first" / name / "psm.parquet")
    settings = EntrapmentSettings(prefix=PREFIX, design="foreign")
    assert estimate_pass(folder, settings, claimed_fdr=0.01)["entrapment"] == (1 if taken else 8)


def test_a_damaged_table_of_a_run_is_an_error(folder):
    (folder / "quant" / "run_1").mkdir(parents=True)
    (folder / "quant" / "run_1" / "psm.parquet").write_bytes(b"PAR1")
    with pytest.raises(QuantificationError, match=r"psm\.parquet cannot be read"):
        estimate_pass(folder, EntrapmentSettings(prefix=PREFIX, design="foreign"), claimed_fdr=0.01)


def psm(sequences, *, q=0.001, false=()):
    """Precursors of a run, as alphaDIA leaves them before the protein FDR."""
    proteins = [PREFIX + "P" if s in set(false) else "P" for s in sequences]
    return pd.DataFrame({"sequence": list(sequences), "mods": "", "mod_sites": "", "charge": 2, "decoy": 0, "qval": q,
                         "proba": 0.1, "proteins": proteins})  # fmt: skip


def write_search(folder, runs, **config):
    """Write the tables of runs, by the folder that they lie in, and a config."""
    folder.mkdir(parents=True, exist_ok=True)
    for path, table in runs.items():
        (folder / path).mkdir(parents=True)
        table.to_parquet(folder / path / "psm.parquet")
    (folder / "frozen_config.yaml").write_text(yaml.safe_dump({"output_directory": str(folder), **config}))
    return folder


def test_runs_that_were_searched_beside_reused_ones_count_as_well(tmp_path):
    """As with tuning_runs where no model was accepted: some runs are taken from the first pass, the others searched."""
    runs = {"transfer/quant/a": psm("AB"), "transfer/quant/b": psm("CD"), "quant/c": psm("EF"), "quant/b": psm("XY"),
            "quant/of_an_earlier_call": psm("Z")}  # fmt: skip
    general = {"reuse_quant_from": [str(tmp_path / "out" / "transfer" / "quant")]}
    folder = write_search(tmp_path / "out", runs, general=general, raw_paths=[f"/data/{r}.raw" for r in "abc"])
    assert count_before_protein_fdr(folder, claimed_fdr=0.01) == len("ABCDEF")
    moved = folder.rename(tmp_path / "out.before_1")
    assert count_before_protein_fdr(moved, claimed_fdr=0.01) == len("ABCDEF")
    write_search(tmp_path / "out", {"transfer/quant/a": psm("Q")}, raw_paths=["/data/a.raw"])
    assert count_before_protein_fdr(moved, claimed_fdr=0.01) == len("ABCDEF")


def test_the_claim_is_judged_for_each_run_and_the_errors_of_all_together_are_told(tmp_path, caplog):
    """Ten runs of 1 % false precursors each are sound, although their list has far more than 1 %."""
    caplog.set_level("INFO")
    true = [f"T{i}" for i in range(990)]
    runs = {f"quant/run_{i}": psm([*true, *(f"E{i}{j}" for j in range(5))], false=[f"E{i}{j}" for j in range(5)])
            for i in range(10)}  # fmt: skip
    settings = EntrapmentSettings(prefix=PREFIX, design="foreign")
    told = estimate_pass(write_search(tmp_path / "out", runs), settings, claimed_fdr=0.01)
    assert told["fdp"] == pytest.approx(10 / 995)
    assert told["fdp_all_runs"] == pytest.approx(100 / 1040)
    assert told["entrapment"] == 50
    assert told["verdict"] == "inconclusive"
    assert "in each of 10 runs" in caplog.text
    assert "9.62% of all runs' precursors together" in caplog.text


@pytest.mark.parametrize(
    ("fasta", "reason"),
    [
        (">sp|P1|A\nMKAAAAR\n", "no protein of the FASTA begins with 'TARP_'"),
        (None, "there is no FASTA to look into"),
        (">sp|TARP_P1|A\nMKAAAAR\n>sp|P2|B\nMKCCCCR\n", None),
    ],
    ids=["prefix of nobody", "no FASTA", "searched and not found"],
)
def test_nothing_found_is_an_estimate_only_where_entrapment_was_searched(tmp_path, fasta, reason):
    write_output(tmp_path, precursors(range(1000)))
    if fasta:
        (tmp_path / "p.fasta").write_text(fasta)
    config = {"fasta_paths": [str(tmp_path / "p.fasta")] if fasta else []}
    (tmp_path / "frozen_config.yaml").write_text(yaml.safe_dump(config))
    said = estimate_pass(tmp_path, EntrapmentSettings(prefix="TARP_", design="foreign"), claimed_fdr=0.01)
    if reason is None:
        assert said["fdp"] == 0
        assert said["fdp_interval"][1] > 0
    else:
        assert said == {"verdict": said["verdict"]}
        assert said["verdict"].startswith("cannot be said")
        assert reason in said["verdict"]


TWINS = {"MCGAMK": "AMGMCK", "EDITPEPK": "PEPTIDEK", "EDLTPEPK": "PEPTLDEK", "SAMPLEDK": "DELPMASK", "SGNOLK": "LONGSK"}
SECOND_TWINS = {"CMGAMK": "AMGMCK", "DEITPEPK": "PEPTIDEK", "DELTPEPK": "PEPTLDEK"}
FDRBENCH_ROWS = [
    # sequence, mods, mod_sites, charge, proteins, proba (lower is better); q rises with it
    ("MCGAMK", "Oxidation@M", "5", 2, PREFIX + "P1", 0.01),  # above its target
    ("AMGMCK", "Oxidation@M", "4", 2, "P1", 0.02),
    ("MCGAMK", "Acetyl@Protein_N-term;Oxidation@M", "0;1", 2, PREFIX + "P1", 0.03),  # alone: its target is not there
    ("AMGMCK", "", "", 2, "P1", 0.04),
    ("MCGAMK", "", "", 3, PREFIX + "P1", 0.05),  # alone in its charge
    ("PEPTIDEK", "", "", 2, "P2", 0.06),
    ("EDITPEPK", "", "", 2, PREFIX + "P2", 0.07),  # below its target
    ("EDLTPEPK", "", "", 2, PREFIX + "P3", 0.08),  # alone: the target with I is not its own
    ("DELPMASK", "", "", 2, "P4;P5", 0.09),
    ("SHAREDK", "", "", 2, PREFIX + "P4;P4", 0.10),  # a target
    ("NEARK", "", "", 2, PREFIX + "P4", 0.11),  # not to be counted
]

SECOND_ROWS = [
    ("CMGAMK", "Oxidation@M", "5", 2, PREFIX + "P1_2", 0.015),  # both above the target
    ("DEITPEPK", "", "", 2, PREFIX + "P2_2", 0.055),  # one above, one below
    ("DELTPEPK", "", "", 2, PREFIX + "P3_2", 0.085),  # both alone
]


def fdrbench(command):
    """Estimate (lower, combined, paired) from FDRBench's files alone, as it does (Wen et al. 2025)."""
    words = shlex.split(command)
    options = dict(zip(words[3::2], words[4::2], strict=True))
    assert words[:3] == ["java", "-jar", "fdrbench.jar"]
    assert (options["-level"], options["-score"]) == ("precursor", "score:0")
    table = pd.read_csv(options["-i"], sep="\t").sort_values(["q_value", "score"], kind="stable", ignore_index=True)
    names = [f"{p}{z}" for p, z in zip(table["peptide"], table["charge"], strict=True)]
    if "-pep" not in options:
        label, r = options["-entrapment_label"], float(options["-r"])
        false = [all(p.startswith(label) for p in group.split(";")) for group in table["protein"]]
        return np.array([sum(false), sum(false) * (1 + 1 / r)]) / len(false)
    k = int(options["-fold"])
    pairs = pd.read_csv(options["-pep"], sep="\t", index_col="sequence")
    assert pairs.index.is_unique
    assert set(pairs["decoy"]) == {"No"}
    target_of = pairs[pairs["peptide_type"] == "target"].reset_index().set_index("peptide_pair_index")["sequence"]
    rank = {name: i for i, name in enumerate(names)}
    assert len(rank) == len(names)
    false = pairs["peptide_type"][table["peptide"]].eq("p_target").to_numpy()
    twins = {}
    for name, peptide, charge in zip(names, table["peptide"], table["charge"], strict=True):
        if pairs["peptide_type"][peptide] == "p_target":
            target = target_of[pairs["peptide_pair_index"][peptide]]
            twins.setdefault(f"{target}{charge}", []).append(rank[name])
    wrong = 0.0
    for target, found in twins.items():
        if target not in rank:
            wrong += len(found) / (k - len(found) + 1)
        elif len(found) == k and max(found) < rank[target]:
            wrong += k + 1
    return np.array([sum(false), sum(false) * (1 + 1 / k), sum(false) + wrong]) / len(false)


@pytest.mark.parametrize("n_runs", [1, 2])
@pytest.mark.parametrize(
    ("twins", "ratio"), [(TWINS, 1.0), (TWINS | SECOND_TWINS, 2.0), (None, 0.5)], ids=["twins", "two each", "foreign"]
)
def test_fdrbench_finds_in_its_file_what_is_estimated(tmp_path, caplog, n_runs, twins, ratio):
    caplog.set_level("INFO")
    found_rows = FDRBENCH_ROWS + (SECOND_ROWS if ratio == 2 else [])
    rows = pd.DataFrame(found_rows, columns=["sequence", "mods", "mod_sites", "charge", "proteins", "proba"])
    runs = {}
    for i in range(n_runs):
        proba = rows["proba"].to_numpy()[:: 1 - 2 * i]
        runs[f"quant/run_{i}"] = rows.assign(decoy=0, proba=proba, qval=proba / 100)
    folder = write_search(tmp_path / "out 1", runs)
    settings = EntrapmentSettings(prefix=PREFIX, design="foreign", ratio=ratio)
    pd.DataFrame({"entrapment_peptide": ["NEARK"]}).to_csv(tmp_path / "db.left_out.tsv", sep="\t", index=False)
    write_search(tmp_path / "out 1", {}, fasta_paths=[str(tmp_path / "db.fasta")])
    if twins:
        table = pd.DataFrame({"twin_peptide": list(twins), "target_peptide": list(twins.values())})
        table.to_csv(tmp_path / "db.twins.tsv", sep="\t", index=False)
        settings = EntrapmentSettings(prefix=PREFIX, twins=str(tmp_path / "db.twins.tsv"), ratio=ratio)
    told = estimate_pass(folder, settings, claimed_fdr=0.01)
    command = caplog.messages[-1].removeprefix("To check it: ")
    found = fdrbench(command)
    assert found[0] == pytest.approx(told["fdp_lower"])
    assert found[-1] == pytest.approx(told["fdp"])
    assert found[-1] > found[0] > 0
    written = pd.read_csv(folder / "fdrbench.tsv", sep="\t")
    header = ["run", "peptide", "mod_peptide", "charge", "q_value", "PEP", "protein", "score"]
    assert list(written.columns) == header
    assert len(written) == n_runs * (len(rows) - 1)
    assert written["PEP"].isna().all()
    assert "M[Oxidation]CGAMK" not in set(written["mod_peptide"])
    assert {"MCGAM[Oxidation]K", "[Acetyl]-M[Oxidation]CGAMK", "SHAREDK"} <= set(written["mod_peptide"])
    best = written[written["run"] == "run_0"].sort_values("score")
    assert best["q_value"].is_monotonic_increasing


def test_fdrbench_gets_no_file_that_it_could_not_work_off(folder, caplog, monkeypatch):
    caplog.set_level("INFO")
    monkeypatch.setattr("alphadia_tl.entrapment.searches.MAX_FDRBENCH_ROWS", 1007)
    estimate_pass(folder, EntrapmentSettings(prefix=PREFIX, design="foreign"), claimed_fdr=0.01)
    assert "FDRBench is not made for 1,008 rows" in caplog.text
    assert not list(folder.glob("fdrbench*"))


def test_a_pass_that_took_its_runs_from_elsewhere_is_not_compared(tmp_path):
    first = write_search(tmp_path / "out" / "transfer", {"quant/a": psm("AB")}, raw_paths=["/data/a.raw"])
    general = {"reuse_quant_from": [str(first / "quant")]}
    second = write_search(tmp_path / "out", {}, general=general, raw_paths=["/data/a.raw"])
    assert compare_passes(first, second, EntrapmentSettings(), claimed_fdr=0.01) is None


def test_kept_gained_and_lost_are_told_run_by_run_whatever_type_the_charges_have(tmp_path):
    """The second pass has a run more, which is not compared; a precursor found in the other run alone is gained."""
    first = {"quant/a": psm("ABC").astype({"charge": "int8"}), "quant/b": psm("D").astype({"charge": "int8"})}
    second = {"quant/a": psm("BCD").astype({"charge": "uint8"}), "quant/b": psm("D"), "quant/c": psm("XYZ")}
    folders = [write_search(tmp_path / str(i), runs) for i, runs in enumerate((first, second))]
    told = compare_passes(*folders, EntrapmentSettings(), claimed_fdr=0.01)
    assert [told[name] for name in CLASSES] == [3, 1, 1]
    assert told["errors"] == {name: {} for name in CLASSES}
    assert told["unknown"] == {"decoys": NO_DECOYS, "entrapment": NO_ENTRAPMENT}


DECOY = {"AAAAK": "ALALK", "CAAAK": "CLALK", "DAAAK": "DLALK"}  # of each target, as alphaDIA's "diann" decoys are


def found_in(targets, decoys=()):
    return pd.concat([psm(targets), psm([DECOY[t] for t in decoys]).assign(decoy=1)], ignore_index=True)


def test_after_scouting_only_what_both_passes_searched_is_compared(tmp_path):
    """The first pass searched A and C, in two searches; the second D, too."""
    config = {"fdr": {"decoy_type": "diann"}, "raw_paths": ["/data/a.raw"]}
    first = write_search(tmp_path / "transfer", {"quant/a": found_in(["AAAAK"], ["AAAAK"])}, **config)
    write_search(first / "slice_2", {"quant/a": psm([])}, **config)
    second = write_search(tmp_path / "2", {"quant/a": found_in(DECOY, DECOY)}, **config)
    places = pd.util.hash_array(np.array(list(DECOY), dtype=object), hash_key=f"{5:016d}") / 2.0**64
    middle, last = sorted(places)[1:]
    scouted = [name for name, place in zip(DECOY, places, strict=True) if place < last]
    pd.DataFrame({"sequence": list(DECOY)}).to_parquet(first / "digest.precursors.parquet")
    scout = {"key": 5, "start": 0.0, "stop": float(middle + last) / 2, "library": 3, "searches": 2}
    (first / "alphadia_tl.yaml").write_text(yaml.safe_dump({"scout": scout}))
    told = compare_passes(first, second, EntrapmentSettings(), claimed_fdr=0.01)
    kept = int("AAAAK" in scouted)
    assert [told[name] for name in CLASSES] == [kept, 2 - kept, 1 - kept]
    assert told["errors"]["gained"]["decoys"] == 2 - kept
    (first / "digest.precursors.parquet").unlink()
    with pytest.raises(QuantificationError, match="which part of the library"):
        compare_passes(first, second, EntrapmentSettings(), claimed_fdr=0.01)


def test_a_twin_counts_as_wrong_in_its_class_whichever_class_its_target_is_in(tmp_path):
    """The combined estimate: the paired one would take the twin of a kept target for one that was found alone."""
    (tmp_path / "db.twins.tsv").write_text("twin_peptide\ttarget_peptide\nCAAK\tACAK\n")
    first = write_search(tmp_path / "1", {"quant/a": psm(["ACAK", "LLLK"])})
    second = write_search(tmp_path / "2", {"quant/a": psm(["ACAK", "LLLK", "CAAK", "VVVK"], false=["CAAK"])})
    settings = EntrapmentSettings(prefix=PREFIX, twins=str(tmp_path / "db.twins.tsv"), ratio=1.0)
    errors = compare_passes(first, second, settings, claimed_fdr=0.01)["errors"]
    assert errors["gained"]["fdp"] == 1.0  # 1 (1 + 1 / 1) / 2
    few = EntrapmentSettings(prefix=PREFIX, twins=settings.twins, ratio=0.2)
    gained = compare_passes(first, second, few, claimed_fdr=0.01)["errors"]["gained"]
    assert gained["fdp"] == gained["fdp_interval"][1] == 1.0  # not 1 (1 + 1 / 0.2) / 2
    assert errors["kept"]["fdp"] == 0
    assert errors["kept"]["fdp_interval"][1] > 0
    assert errors["lost"] == {}
