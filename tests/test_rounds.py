import logging
from pathlib import Path

import pytest
import yaml
from made_outputs import precursors, write_output, write_runs

from alphadia_tl import host, rounds
from alphadia_tl.bundle import Bundle
from alphadia_tl.gate import Decision
from alphadia_tl.outcome import StepOutcome
from alphadia_tl.rounds import finish_rounds, run_rounds
from alphadia_tl.speclib import RegenerationSummary


class Made:
    """Stands for searches and tuning: writes the files that they would, notes what it is given."""

    def __init__(self, *accepted):
        self.accepted = list(accepted)
        self.searches, self.tunings = [], []

    def search(self, folder, changes):
        number = len(self.searches) + 1
        self.searches.append((folder, changes))
        for name in (host.SPECLIB_FILE, "stat.tsv", "quant/run_1/psm.parquet"):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"pass {number}")
        return [folder / "quant" / "run_1"]

    def tune(self, folder, quant, speclib):
        assert all((q / "psm.parquet").exists() for q in quant)
        assert speclib.exists()
        self.tunings.append((folder, quant, speclib))
        accepted = self.accepted[len(self.tunings) - 1]
        outcome = StepOutcome(Bundle(folder), decisions=[Decision("rt", accepted, "because")])
        if accepted:
            outcome.bundle.tuned_library.write_text(f"tuned {len(self.tunings)}")
            outcome.regeneration = RegenerationSummary(str(speclib), "", ("rt",), 1, 1, 1, 1, None)
        outcome.write_provenance()
        return outcome

    def run(self, n, folder):
        return run_rounds(n, folder, self.search, self.tune)


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_one_round_is_a_search_and_a_tuning_in_the_transfer_folder(tmp_path, caplog):
    made = Made(True)
    with caplog.at_level(host.PROGRESS_LEVEL):
        outcomes = made.run(1, tmp_path)
    assert made.searches == [(tmp_path, {})]
    assert made.tunings == [(tmp_path, [tmp_path / "quant" / "run_1"], tmp_path / "speclib.hdf")]
    assert [o.bundle.folder for o in outcomes] == [tmp_path]
    assert not list(tmp_path.glob("round_*"))
    assert "round" not in outcomes[0].provenance
    assert "round" not in caplog.text.split("rounds.py")[-1]


@pytest.mark.parametrize("n", [2, 3])
def test_each_round_searches_the_tuned_library_of_the_one_before_and_predicts_the_first_ones_again(tmp_path, n, caplog):
    made = Made(*[True] * n)
    with caplog.at_level(logging.INFO):
        outcomes = made.run(n, tmp_path)
    folders = [tmp_path / f"round_{i}" for i in range(1, n)] + [tmp_path]
    assert [o.bundle.folder for o in outcomes] == [f for f, _ in made.searches] == folders
    assert made.searches[0][1] == {}
    for number in range(1, n):
        changes = made.searches[number][1]
        assert changes["library_path"] == str(folders[number - 1] / "speclib.tuned.hdf")
        assert changes["library_prediction"]["enabled"] is False
        assert changes["library_multiplexing"]["enabled"] is False
        assert changes["general"]["reuse_quant"] is False
    assert {speclib for _, _, speclib in made.tunings} == {tmp_path / "round_1" / "speclib.hdf"}
    assert (tmp_path / "stat.tsv").read_text() == f"pass {n}"
    for number in range(1, n + 1):
        assert f"round {number} of {n}" in caplog.text
    assert yaml.safe_load((tmp_path / "alphadia_tl.yaml").read_text())["decisions"][0]["accepted"]


def test_a_first_round_that_accepts_nothing_is_the_only_one(tmp_path, caplog):
    made = Made(False, True)
    (tmp_path / "quant" / "run_1").mkdir(parents=True)
    (tmp_path / "quant" / "run_1" / "psm.parquet").write_text("of an earlier call")
    with caplog.at_level(logging.INFO):
        outcomes = made.run(2, tmp_path)
    assert len(made.searches) == len(outcomes) == 1
    assert outcomes[0].bundle.folder == tmp_path
    assert files(tmp_path) == ["alphadia_tl.yaml", "quant/run_1/psm.parquet", "speclib.hdf", "stat.tsv"]
    assert (tmp_path / "quant" / "run_1" / "psm.parquet").read_text() == "pass 1"
    assert "no further round" in caplog.text


def test_a_second_round_that_accepts_nothing_keeps_the_search_of_the_first_ones_library(tmp_path):
    made = Made(True, False)
    outcomes = made.run(3, tmp_path)
    assert len(made.searches) == 2
    assert made.searches[1][1]["library_path"] == str(tmp_path / "round_1" / "speclib.tuned.hdf")
    assert outcomes[-1].bundle.folder == tmp_path
    assert (tmp_path / "speclib.hdf").read_text() == "pass 2"
    assert (tmp_path / "round_1" / "speclib.hdf").read_text() == "pass 1"
    assert not (tmp_path / "round_2").exists()


def test_each_rounds_report_compares_the_passes_before_and_after_it(tmp_path, monkeypatch):
    made = Made(True, True)
    outcomes = made.run(2, tmp_path / "transfer")
    seen = []
    monkeypatch.setattr(host, "count_identifications", lambda folder: {"precursors": len(str(folder)), "proteins": 1})
    monkeypatch.setattr(
        rounds, "finish", lambda o, first_pass, second_pass: seen.append((o.bundle.folder, first_pass, second_pass))
    )
    finish_rounds(outcomes, tmp_path)
    folders: list[Path] = [tmp_path / "transfer" / "round_1", tmp_path / "transfer", tmp_path]
    found = [{"precursors": len(str(f)), "proteins": 1} for f in folders]
    assert seen == [(folders[0], found[0], found[1]), (folders[1], found[1], found[2])]


@pytest.mark.parametrize(("n_second", "warned"), [(96, False), (80, True)])
def test_a_pass_that_reports_fewer_is_held_against_what_the_protein_fdr_took_away(tmp_path, caplog, n_second, warned):
    first, final = tmp_path / "transfer", tmp_path
    write_runs(write_output(first, precursors(range(100))), precursors(range(104)))
    beyond = precursors(range(500, 600), **{"precursor.qval": 0.02})
    write_runs(write_output(final, precursors(range(n_second))), precursors(range(110)), beyond)
    outcome = StepOutcome(Bundle(first), decisions=[Decision("rt", True, "because")], provenance={"fdr": 0.01})
    finish_rounds([outcome], final)
    identified = yaml.safe_load(outcome.bundle.provenance.read_text())["identified"]
    assert identified["first_pass"] == {"precursors": 100, "proteins": 25, "precursors_before_protein_fdr": 104}
    assert identified["second_pass"]["precursors_before_protein_fdr"] == 110
    fewer = [w for w in outcome.warnings if "reports 80 precursors, the one before 100" in w]
    assert bool(fewer) == warned == ("before the protein FDR they are 110 and 104" in caplog.text)
    assert all(str(first) in w for w in fewer)
    assert "before the protein FDR" in outcome.bundle.report.read_text()


class Stages(Made):
    """As `Made`, but a round whose files are there is not done again, as the manifest of its folder has it."""

    def search(self, folder, changes):
        if (folder / "stat.tsv").is_file():
            return [folder / "quant" / "run_1"]
        return super().search(folder, changes)


@pytest.mark.parametrize("accepted", [(False,), (True, False)])
def test_a_search_whose_last_round_accepted_nothing_finds_its_rounds_again(tmp_path, accepted):
    made = Stages(*accepted)
    made.run(3, tmp_path)
    before = {name: (tmp_path / name).read_text() for name in files(tmp_path)}
    again = Stages(*accepted)
    again.run(3, tmp_path)
    assert again.searches == []
    assert {name: (tmp_path / name).read_text() for name in files(tmp_path)} == before


def test_a_search_of_fewer_rounds_leaves_the_folder_as_it_is(tmp_path):
    Stages(False).run(2, tmp_path)
    again = Stages(False)
    again.run(1, tmp_path)
    assert not (tmp_path / "round_1").exists()
    assert again.searches == []
