import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphadia_tl.errors import ResultsError, SettingsError
from alphadia_tl.workflow.layout import Layout, peak_mb, read_receipt, run_ids, write_receipt

STEMS = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=80).filter(
    lambda s: s.strip(".") and not s.startswith(".")
)


@given(st.lists(STEMS, unique=True, max_size=8))
def test_names_are_safe_distinct_and_do_not_depend_on_other_runs(stems):
    paths = [f"/data/{stem}.raw" for stem in stems]
    ids = run_ids(paths)
    assert list(ids.values()) == paths
    for name, path in ids.items():
        assert re.fullmatch(r"[A-Za-z0-9_.-]+", name)
        assert run_ids([path]) == {name: path}


def test_a_plain_name_stays():
    assert run_ids(["/a/20240101_HeLa-1.raw"]) == {"20240101_HeLa-1": "/a/20240101_HeLa-1.raw"}


def test_two_raw_files_of_one_name_are_an_error():
    with pytest.raises(SettingsError, match=r"Two raw files are named 'x': /a/x\.raw and /b/x\.mzML"):
        run_ids(["/a/x.raw", "/b/x.mzML"])


def test_a_receipt_is_read_as_it_was_written_with_the_memory_of_the_job(tmp_path):
    path = Layout(tmp_path).run("transfer", "run_1")
    write_receipt(path, {"folder": "transfer/quant/Ångström"})
    found = read_receipt(path)
    assert found["folder"] == "transfer/quant/Ångström"
    assert found["peak_mb"] > 10


@pytest.mark.parametrize("content", [None, "- 1", "a: [", ""])
def test_a_missing_or_damaged_receipt_is_named(tmp_path, content):
    path = tmp_path / "tuned.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ResultsError, match=r"tuned\.yaml"):
        read_receipt(path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="told by /proc")
def test_a_jobs_memory_is_not_that_of_the_program_that_started_it():
    ballast = np.ones(100_000_000)  # 800 MB
    code = "from alphadia_tl.workflow.layout import peak_mb; print(peak_mb())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert peak_mb() > ballast.nbytes / 1024**2
    assert 10 < float(told) < 700
