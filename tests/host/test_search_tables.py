import pandas as pd
import pytest
from made_outputs import precursors, write_output

from alphadia_tl.errors import QuantificationError
from alphadia_tl.host.search_tables import read_output, read_outputs


def test_both_file_formats_read_the_same(tmp_path):
    made = precursors(range(10))
    parquet, tsv = (
        read_output(write_output(tmp_path / kind, made, file_format=kind), kind).rows for kind in ("parquet", "tsv")
    )
    pd.testing.assert_frame_equal(parquet, tsv, check_dtype=False, rtol=1e-3, atol=1e-5)
    assert tsv["precursor"].tolist() == parquet["precursor"].tolist()


def test_precursors_and_proteins_are_the_same_in_whatever_order_a_search_lists_their_parts(tmp_path):
    forms = [("Oxidation@M;Acetyl@Any_N-term", "10;0"), ("Acetyl@Any_N-term;Oxidation@M", "0;10"), ("Acetyl@K", "10")]
    tables = [
        precursors([2, 3], **{"precursor.mods": mods, "precursor.mod_sites": sites, "pg.name": pg, "pg.proteins": pg})
        for (mods, sites), pg in zip(forms, ("P1;P2", "P2;P1", "P1"), strict=True)
    ]
    one, same, other = (read_output(write_output(tmp_path / str(i), t), "x").rows for i, t in enumerate(tables))
    for key in ("precursor", "peptidoform", "protein group", "proteins"):
        assert one[key].tolist() == same[key].tolist()
        assert not set(one[key]) & set(other[key])
    assert [len(set(one[key])) for key in ("precursor", "peptidoform")] == [2, 1]


def test_only_targets_at_the_claimed_fdr_are_kept(tmp_path):
    made = precursors(range(4), **{"precursor.qval": [0.0, 0.05, 0.0, 0.0], "precursor.decoy": [0, 0, 1, 0],
                                   "pg.qval": [0.0, 0.0, 0.0, 0.02]})  # fmt: skip
    assert len(read_output(write_output(tmp_path / "strict", made), "strict").rows) == 1
    assert len(read_output(write_output(tmp_path / "loose", made, fdr=0.05), "loose").rows) == 3


def test_a_search_that_found_nothing_is_no_error(tmp_path):
    output = read_output(write_output(tmp_path, precursors([]).drop(columns="precursor.intensity")), "empty")
    assert output.runs == []
    assert len(output.rows) == 0


def damage_table(folder):
    (folder / "precursors.parquet").write_text("damaged")


def drop_column(folder):
    path = folder / "precursors.parquet"
    pd.read_parquet(path).drop(columns="precursor.proba").to_parquet(path)


def write_config(text):
    return lambda folder: (folder / "frozen_config.yaml").write_text(text)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "precursors.parquet").unlink(), "precursors.parquet does not exist"),
        (damage_table, "cannot be read"),
        (drop_column, "no column 'precursor.proba'"),
        (lambda folder: (folder / "frozen_config.yaml").unlink(), "frozen_config.yaml does not exist"),
        (write_config("fdr: ["), "is no valid YAML"),
        (write_config("- 1"), "no mapping"),
        (write_config("fdr: {}"), "'fdr.fdr' is None"),
        (write_config("fdr: {fdr: 2}"), "not between 0 and 1"),
    ],
)
def test_what_cannot_be_read_is_one_clear_error(tmp_path, damage, message):
    damage(write_output(tmp_path, precursors(range(3))))
    with pytest.raises(QuantificationError, match=message) as error:
        read_output(tmp_path, "x")
    assert str(tmp_path) in str(error.value)


def test_where_one_search_had_mbr_the_step_before_it_is_compared(tmp_path):
    off = write_output(tmp_path / "off", precursors(range(5)))
    on = write_output(tmp_path / "on", precursors(range(7)), mbr=True, fasta_paths=["x.fasta"])
    outputs, notes = read_outputs({"off": off, "on": on})
    assert outputs[1].settings["fasta_paths"] == ["x.fasta"]  # match between runs has none
    assert [len(o.rows) for o in outputs] == [5, 7]
    assert len(notes) == 1
    assert "on only" in notes[0]
    assert "Precursors after it: on 1" in notes[0]


def test_without_mbr_nothing_is_said_about_it(tmp_path):
    folders = {name: write_output(tmp_path / name, precursors(range(3))) for name in ("a", "b")}
    assert read_outputs(folders)[1] == []
