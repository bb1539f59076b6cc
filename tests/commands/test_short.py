import pytest
from report.conftest import made_facts, write_bundle

from alphadia_tl.cli import main


@pytest.mark.parametrize("folder", ["", "transfer"])
def test_report_of_a_finished_run_is_made_again(tmp_path, capsys, folder):
    bundle = write_bundle(tmp_path / "transfer", made_facts())
    assert main(["report", str(tmp_path / folder)]) == 0
    assert capsys.readouterr().out == f"{bundle.report}\n"
    assert "18,950 precursors in the second pass" in bundle.report.read_text(encoding="utf-8")
    assert bundle.report_json.is_file()


def test_the_report_of_a_run_that_may_not_be_written_to_goes_elsewhere(tmp_path, capsys, monkeypatch):
    bundle = write_bundle(tmp_path / "ä b" / "transfer", made_facts())
    before = {p: p.stat().st_mtime_ns for p in bundle.folder.rglob("*")}
    monkeypatch.chdir(bundle.folder)  # the second pass's config is in the folder above "."
    assert main(["report", ".", "-o", str(tmp_path / "report")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'report' / 'report.html'}\n"
    assert (tmp_path / "report" / "report.json").is_file()
    assert {p: p.stat().st_mtime_ns for p in bundle.folder.rglob("*")} == before


@pytest.mark.parametrize(
    ("folder", "message"), [("", "holds no results of transfer learning"), ("none", "is no folder")]
)
def test_a_folder_without_results_ends_with_a_message(tmp_path, capsys, folder, message):
    assert main(["report", str(tmp_path / folder)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("TL_RESULTS: ")
    assert message in error
    assert "alphadia_tl: {enabled: true}" in error
